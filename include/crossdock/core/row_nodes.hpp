// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "crossdock/core/error.hpp"
#include "crossdock/core/tensor.hpp"

// The recipes of what lies in rows: in a source, cut out of others by columns, or put side by side.

namespace crossdock::detail {

using RecipePtr = std::shared_ptr<const Recipe>;

/// Elements that lie one after the other in a source.
class Region final : public Recipe {
public:
    Region(std::shared_ptr<const Source> source, std::uint64_t offset, std::size_t item)
        : source_(std::move(source)),
          offset_(offset),
          item_(item) {}

    std::size_t item() const noexcept override { return item_; }

    void plan(std::uint64_t begin, std::uint64_t count, std::byte* out, ReadPlan& plan) const override {
        plan.read(*source_, offset_ + begin * item_, count * item_, out);
    }

    void plan_pieces(const Pieces& pieces, std::byte* out, ReadPlan& plan) const override {
        plan.read_pieces({source_.get(), offset_ + pieces.begin * item_, pieces.count * item_, out, pieces.number,
                          pieces.step * item_, pieces.out_step});
    }

    void plan_transposed(const Matrix& matrix, std::byte* out, ReadPlan& plan) const override {
        plan.read_transposed({source_.get(), offset_ + matrix.begin * item_, matrix.columns * item_, out, matrix.rows,
                              matrix.step * item_, matrix.out_row_bytes, item_});
    }

    RecipePtr from(std::uint64_t begin) const {
        return std::make_shared<Region>(source_, offset_ + begin * item_, item_);
    }

private:
    std::shared_ptr<const Source> source_;
    std::uint64_t offset_;
    std::size_t item_;
};

/// The runs of a range in a tensor seen as rows of `row` elements: visit(row index, first element in the row, count).
template <class Visit>
void for_each_row(std::uint64_t begin, std::uint64_t count, std::uint64_t row, Visit&& visit) {
    if (row == 0 && count > 0) throw Error("elements are asked of rows without elements");
    while (count > 0) {
        const std::uint64_t at = begin % row;
        const std::uint64_t part = std::min(count, row - at);
        visit(begin / row, at, part);
        begin += part;
        count -= part;
    }
}

/// The same range as the end of a row, whole rows, and the beginning of another: all three may be empty.
struct RowRange {
    RowRange(std::uint64_t begin, std::uint64_t count, std::uint64_t width) {
        if (count == 0) return;
        if (width == 0) throw Error("elements are asked of rows without elements");
        at = begin % width;
        head = at > 0 ? std::min(count, width - at) : 0;
        first = (begin + head) / width;
        rows = (count - head) / width;
        tail = count - head - rows * width;
    }

    std::uint64_t at = 0;               // where in its row the range begins
    std::uint64_t head = 0, tail = 0;   // elements
    std::uint64_t first = 0, rows = 0;  // whole ones
};

/// The elements [first, first + width) of every row of `child_row` elements.
class Columns final : public Recipe {
public:
    Columns(RecipePtr child, std::uint64_t child_row, std::uint64_t first, std::uint64_t width, std::size_t item)
        : child_(std::move(child)),
          child_row_(child_row),
          first_(first),
          width_(width),
          item_(item) {}

    const RecipePtr& child() const noexcept { return child_; }
    std::uint64_t child_row() const noexcept { return child_row_; }
    std::uint64_t first() const noexcept { return first_; }
    std::uint64_t width() const noexcept { return width_; }
    std::size_t item() const noexcept override { return item_; }

    void plan(std::uint64_t begin, std::uint64_t count, std::byte* out, ReadPlan& plan) const override {
        const RowRange range(begin, count, width_);
        if (range.head > 0) child_->plan(begin / width_ * child_row_ + first_ + range.at, range.head, out, plan);
        out += range.head * item_;
        if (range.rows > 0)
            child_->plan_pieces({range.first * child_row_ + first_, width_, child_row_, width_ * item_, range.rows},
                                out, plan);
        out += range.rows * width_ * item_;
        if (range.tail > 0) child_->plan((range.first + range.rows) * child_row_ + first_, range.tail, out, plan);
    }

    void plan_transposed(const Matrix& matrix, std::byte* out, ReadPlan& plan) const override {
        const std::uint64_t at = matrix.begin % width_;
        if (matrix.step % width_ != 0 || at + matrix.columns > width_)
            return Recipe::plan_transposed(matrix, out, plan);
        Matrix below = matrix;
        below.begin = matrix.begin / width_ * child_row_ + first_ + at;
        below.step = matrix.step / width_ * child_row_;
        child_->plan_transposed(below, out, plan);
    }

private:
    RecipePtr child_;
    std::uint64_t child_row_, first_, width_;
    std::size_t item_;
};

/// Rows that are made of one row of each part, the parts' rows having different widths.
class SideBySide final : public Recipe {
public:
    struct Part {
        RecipePtr recipe;
        std::uint64_t width;
    };

    SideBySide(std::vector<Part> parts, std::size_t item) : parts_(std::move(parts)), item_(item) {
        begins_.push_back(0);
        for (const Part& part : parts_) begins_.push_back(begins_.back() + part.width);
    }

    const std::vector<Part>& parts() const noexcept { return parts_; }
    /// Of a row.
    std::uint64_t width() const noexcept { return begins_.back(); }

    /// The part that makes up the elements [begin, end) of every row; null where no single one does.
    RecipePtr part(std::uint64_t begin, std::uint64_t end) const {
        const auto first = std::lower_bound(begins_.begin(), begins_.end() - 1, begin);
        const bool whole = first != begins_.end() - 1 && *first == begin && *(first + 1) == end;
        return whole ? parts_[static_cast<std::size_t>(first - begins_.begin())].recipe : nullptr;
    }

    /// The part in which the elements [begin, end) of every row lie, and where it begins; null where no single one has
    /// them all.
    std::pair<const Part*, std::uint64_t> part_around(std::uint64_t begin, std::uint64_t end) const {
        const auto next = std::upper_bound(begins_.begin(), begins_.end(), begin);
        if (next == begins_.begin() || next == begins_.end() || end > *next) return {nullptr, 0};
        return {&parts_[static_cast<std::size_t>(next - begins_.begin()) - 1], *(next - 1)};
    }

    std::size_t item() const noexcept override { return item_; }

    void plan(std::uint64_t begin, std::uint64_t count, std::byte* out, ReadPlan& plan) const override {
        const RowRange range(begin, count, width());
        if (range.head > 0) plan_row(begin / width(), range.at, range.head, out, plan);
        plan_rows(range.first, range.rows, out + range.head * item_, plan);
        if (range.tail > 0)
            plan_row(range.first + range.rows, 0, range.tail, out + (range.head + range.rows * width()) * item_, plan);
    }

    void plan_transposed(const Matrix& matrix, std::byte* out, ReadPlan& plan) const override {
        if (matrix.rows == 0 || matrix.columns == 0) return;
        if (matrix.step % width() == 0 && matrix.begin % width() + matrix.columns <= width())
            transpose_columns(matrix, out, plan);
        else
            transpose_rows(matrix, out, plan);
    }

private:
    /// A matrix whose rows all have the same of each part.
    void transpose_columns(const Matrix& matrix, std::byte* out, ReadPlan& plan) const {
        const std::uint64_t row = matrix.begin / width(), begin = matrix.begin % width(), end = begin + matrix.columns;
        for (std::size_t index = part_at(begin); index < parts_.size() && begins_[index] < end; ++index) {
            const Part& part = parts_[index];
            const std::uint64_t from = std::max(begin, begins_[index]), to = std::min(end, begins_[index + 1]);
            Matrix below = matrix;
            below.begin = row * part.width + from - begins_[index];
            below.columns = to - from;
            below.step = matrix.step / width() * part.width;
            part.recipe->plan_transposed(below, out + (from - begin) * matrix.out_row_bytes, plan);
        }
    }

    /// A matrix whose rows lie in one part each, many of them in the same: stacked matrices.
    void transpose_rows(Matrix matrix, std::byte* out, ReadPlan& plan) const {
        while (matrix.rows > 0) {
            const std::uint64_t row = matrix.begin / width(), at = matrix.begin % width();
            const std::size_t index = part_at(at);
            const Part& part = parts_[index];
            if (at + matrix.columns > begins_[index + 1]) return Recipe::plan_transposed(matrix, out, plan);
            Matrix below = matrix;
            below.begin = row * part.width + at - begins_[index];
            below.rows = std::min(matrix.rows, (begins_[index + 1] - at - matrix.columns) / matrix.step + 1);
            part.recipe->plan_transposed(below, out, plan);
            out += below.rows * item_;
            matrix.begin += below.rows * matrix.step;
            matrix.rows -= below.rows;
        }
    }

    /// The part that an element of a row is in.
    std::size_t part_at(std::uint64_t at) const {
        return static_cast<std::size_t>(std::upper_bound(begins_.begin(), begins_.end(), at) - begins_.begin()) - 1;
    }

    /// Whole rows, part by part: so each part asks for its own in the order in which it has them.
    void plan_rows(std::uint64_t first, std::uint64_t rows, std::byte* out, ReadPlan& plan) const {
        for (std::size_t index = 0; index < parts_.size() && rows > 0; ++index) {
            const Part& part = parts_[index];
            part.recipe->plan_pieces({first * part.width, part.width, part.width, width() * item_, rows},
                                     out + begins_[index] * item_, plan);
        }
    }

    void plan_row(std::uint64_t row, std::uint64_t at, std::uint64_t count, std::byte* out, ReadPlan& plan) const {
        auto next = std::upper_bound(begins_.begin(), begins_.end(), at);
        while (count > 0) {
            const auto index = static_cast<std::size_t>(next - begins_.begin()) - 1;
            const std::uint64_t piece = std::min(count, *next - at);
            const Part& part = parts_[index];
            if (piece > 0) part.recipe->plan(row * part.width + at - begins_[index], piece, out, plan);
            out += piece * item_;
            at += piece;
            count -= piece;
            ++next;
        }
    }

    std::vector<Part> parts_;
    std::vector<std::uint64_t> begins_;
    std::size_t item_;
};

}  // namespace crossdock::detail
