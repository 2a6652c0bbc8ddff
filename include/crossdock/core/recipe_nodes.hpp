// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <utility>
#include <vector>

#include "crossdock/core/cast_elements.hpp"
#include "crossdock/core/row_nodes.hpp"
#include "crossdock/core/tensor.hpp"

namespace crossdock::detail {

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
