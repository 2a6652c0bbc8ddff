// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <utility>
#include <vector>

#include "crossdock/core/cast_elements.hpp"
#include "crossdock/core/error.hpp"
#include "crossdock/core/tensor.hpp"

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

/// [outer, a, b, inner] → [outer, b, a, inner] for runs of `inner` elements that stay together.
class SwapAxes final : public Recipe {
public:
    SwapAxes(RecipePtr child, std::uint64_t a, std::uint64_t b, std::uint64_t inner, std::size_t item)
        : child_(std::move(child)),
          a_(a),
          b_(b),
          inner_(inner),
          item_(item) {}

    std::size_t item() const noexcept override { return item_; }

    void plan(std::uint64_t begin, std::uint64_t count, std::byte* out, ReadPlan& plan) const override {
        for_each_row(begin, count, inner_, [&](std::uint64_t run, std::uint64_t at, std::uint64_t part) {
            const std::uint64_t outer = run / (a_ * b_), j = run / a_ % b_, i = run % a_;
            child_->plan(((outer * a_ + i) * b_ + j) * inner_ + at, part, out, plan);
            out += part * item_;
        });
    }

private:
    RecipePtr child_;
    std::uint64_t a_, b_, inner_;
    std::size_t item_;
};

/// [outer, rows, columns] → [outer, columns, rows], element by element: reads the columns it needs of all rows, and turns
/// them on their way. Reading single elements from a file would cost a run each.
class TransposeElements final : public Recipe {
public:
    TransposeElements(RecipePtr child, std::uint64_t rows, std::uint64_t columns, std::size_t item)
        : child_(std::move(child)),
          rows_(rows),
          columns_(columns),
          item_(item) {}

    /// What is transposed, as a matrix; only where there is no outer axis.
    Tensor child(DType dtype) const { return {dtype, Shape{rows_, columns_}, child_}; }

    std::size_t item() const noexcept override { return item_; }

    void plan(std::uint64_t begin, std::uint64_t count, std::byte* out, ReadPlan& plan) const override {
        for_each_row(begin, count, rows_ * columns_, [&](std::uint64_t outer, std::uint64_t at, std::uint64_t part) {
            plan_matrix(outer * rows_ * columns_, RowRange(at, part, rows_), at, out, plan);
            out += part * item_;
        });
    }

private:
    /// The child's matrix begins at its element `first`; the range is of columns of it.
    void plan_matrix(std::uint64_t first, const RowRange& range, std::uint64_t begin, std::byte* out,
                     ReadPlan& plan) const {
        const auto part = [&](std::uint64_t row, std::uint64_t column, std::uint64_t rows, std::uint64_t columns) {
            if (rows == 0 || columns == 0) return;
            child_->plan_transposed({first + row * columns_ + column, rows, columns, columns_, item_, rows * item_},
                                    out, plan);
            out += rows * columns * item_;
        };
        part(range.at, begin / rows_, range.head, 1);
        part(0, range.first, rows_, range.rows);
        part(0, range.first + range.rows, range.tail, 1);
    }

    RecipePtr child_;
    std::uint64_t rows_, columns_;
    std::size_t item_;
};

/// The child's elements, again and again.
class Repeat final : public Recipe {
public:
    Repeat(RecipePtr child, std::uint64_t child_count, std::size_t item)
        : child_(std::move(child)),
          child_count_(child_count),
          item_(item) {}

    std::size_t item() const noexcept override { return item_; }

    void plan(std::uint64_t begin, std::uint64_t count, std::byte* out, ReadPlan& plan) const override {
        for_each_row(begin, count, child_count_, [&](std::uint64_t, std::uint64_t at, std::uint64_t part) {
            child_->plan(at, part, out, plan);
            out += part * item_;
        });
    }

private:
    RecipePtr child_;
    std::uint64_t child_count_;
    std::size_t item_;
};

/// Elements at any strides (in elements, zero for expanded axes), for what no other recipe expresses.
class Strided final : public Recipe {
public:
    Strided(std::shared_ptr<const Source> source, std::uint64_t offset, Shape shape, std::vector<std::uint64_t> strides,
            std::size_t item)
        : source_(std::move(source)),
          offset_(offset),
          shape_(std::move(shape)),
          strides_(std::move(strides)),
          item_(item) {}

    std::size_t item() const noexcept override { return item_; }

    void plan(std::uint64_t begin, std::uint64_t count, std::byte* out, ReadPlan& plan) const override {
        for (std::uint64_t index = begin; index < begin + count; ++index, out += item_)
            plan.read(*source_, offset_ + position(index) * item_, item_, out);
    }

private:
    std::uint64_t position(std::uint64_t index) const {
        std::uint64_t at = 0;
        for (std::size_t axis = shape_.rank(); axis-- > 0; index /= shape_[axis])
            at += index % shape_[axis] * strides_[axis];
        return at;
    }

    std::shared_ptr<const Source> source_;
    std::uint64_t offset_;
    Shape shape_;
    std::vector<std::uint64_t> strides_;
    std::size_t item_;
};

/// The child's values in another float type.
class Cast final : public Recipe {
public:
    Cast(RecipePtr child, DType from, DType to) : child_(std::move(child)), from_(from), to_(to) {}

    Tensor child(const Shape& shape) const { return {from_, shape, child_}; }

    std::size_t item() const noexcept override { return item_size(to_); }

    void plan(std::uint64_t begin, std::uint64_t count, std::byte* out, ReadPlan& plan) const override {
        std::byte* values = plan.scratch(count * item_size(from_));
        child_->plan(begin, count, values, plan);
        plan.then([=, from = from_, to = to_] { cast_elements(from, values, to, out, count); });
    }

private:
    RecipePtr child_;
    DType from_, to_;
};

/// The child's elements with their bytes reversed: big-endian files.
class SwapBytes final : public Recipe {
public:
    SwapBytes(RecipePtr child, std::size_t item) : child_(std::move(child)), item_(item) {}

    std::size_t item() const noexcept override { return item_; }

    void plan(std::uint64_t begin, std::uint64_t count, std::byte* out, ReadPlan& plan) const override {
        child_->plan(begin, count, out, plan);
        plan.then([=, item = item_] {
            switch (item) {
                case 2: return swap<std::uint16_t>(out, count, [](auto word) { return __builtin_bswap16(word); });
                case 4: return swap<std::uint32_t>(out, count, [](auto word) { return __builtin_bswap32(word); });
                default: return swap<std::uint64_t>(out, count, [](auto word) { return __builtin_bswap64(word); });
            }
        });
    }

private:
    /// With a swap that is one instruction; the words need no alignment.
    template <class Word, class Swapped>
    static void swap(std::byte* words, std::uint64_t count, Swapped swapped) {
        for (std::byte* const end = words + count * sizeof(Word); words != end; words += sizeof(Word)) {
            Word word;
            std::memcpy(&word, words, sizeof(Word));
            word = swapped(word);
            std::memcpy(words, &word, sizeof(Word));
        }
    }

    RecipePtr child_;
    std::size_t item_;
};

}  // namespace crossdock::detail
