// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <numeric>
#include <span>
#include <utility>
#include <vector>

#include "crossdock/core/checked.hpp"
#include "crossdock/core/float_formats.hpp"
#include "crossdock/core/tensor.hpp"

namespace crossdock {

namespace detail {

using RecipePtr = std::shared_ptr<const Recipe>;

/// Elements that lie one after the other in a source.
class Region final : public Recipe {
public:
    Region(std::shared_ptr<const Source> source, std::uint64_t offset, std::size_t item)
        : source_(std::move(source)),
          offset_(offset),
          item_(item) {}

    void plan(std::uint64_t begin, std::uint64_t count, std::byte* out, ReadPlan& plan) const override {
        plan.read(*source_, offset_ + begin * item_, count * item_, out);
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
    while (count > 0) {
        const std::uint64_t at = begin % row;
        const std::uint64_t part = std::min(count, row - at);
        visit(begin / row, at, part);
        begin += part;
        count -= part;
    }
}

/// The elements [first, first + width) of every row of `child_row` elements.
class Columns final : public Recipe {
public:
    Columns(RecipePtr child, std::uint64_t child_row, std::uint64_t first, std::uint64_t width, std::size_t item)
        : child_(std::move(child)),
          child_row_(child_row),
          first_(first),
          width_(width),
          item_(item) {}

    void plan(std::uint64_t begin, std::uint64_t count, std::byte* out, ReadPlan& plan) const override {
        for_each_row(begin, count, width_, [&](std::uint64_t row, std::uint64_t at, std::uint64_t part) {
            child_->plan(row * child_row_ + first_ + at, part, out, plan);
            out += part * item_;
        });
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

    void plan(std::uint64_t begin, std::uint64_t count, std::byte* out, ReadPlan& plan) const override {
        for_each_row(begin, count, begins_.back(), [&](std::uint64_t row, std::uint64_t at, std::uint64_t part) {
            plan_row(row, at, part, out, plan);
            out += part * item_;
        });
    }

private:
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

/// [outer, rows, columns] → [outer, columns, rows], element by element: reads the columns it needs of all rows, then
/// turns them in memory. Reading single elements from a file would cost a run each.
class TransposeElements final : public Recipe {
public:
    TransposeElements(RecipePtr child, std::uint64_t rows, std::uint64_t columns, std::size_t item)
        : child_(std::move(child)),
          rows_(rows),
          columns_(columns),
          item_(item) {}

    /// What is transposed, as a matrix; only where there is no outer axis.
    Tensor child(DType dtype) const { return {dtype, Shape{rows_, columns_}, child_}; }

    void plan(std::uint64_t begin, std::uint64_t count, std::byte* out, ReadPlan& plan) const override {
        for_each_row(begin, count, rows_ * columns_, [&](std::uint64_t outer, std::uint64_t at, std::uint64_t part) {
            plan_matrix(outer, at, part, out, plan);
            out += part * item_;
        });
    }

private:
    void plan_matrix(std::uint64_t outer, std::uint64_t begin, std::uint64_t count, std::byte* out,
                     ReadPlan& plan) const {
        const std::uint64_t first = begin / rows_, width = (begin + count - 1) / rows_ + 1 - first;
        std::byte* tile = plan.scratch(rows_ * width * item_);
        for (std::uint64_t row = 0; row < rows_; ++row)
            child_->plan((outer * rows_ + row) * columns_ + first, width, tile + row * width * item_, plan);
        const std::uint64_t skip = begin - first * rows_;
        plan.then([=, rows = rows_, item = item_] {
            switch (item) {
                case 1: return turn<1>(tile, rows, width, skip, count, out);
                case 2: return turn<2>(tile, rows, width, skip, count, out);
                case 4: return turn<4>(tile, rows, width, skip, count, out);
                default: return turn<8>(tile, rows, width, skip, count, out);
            }
        });
    }

    /// Copies `count` elements of the turned tile, from the one at `skip` on.
    template <std::size_t item>
    static void turn(const std::byte* tile, std::uint64_t rows, std::uint64_t width, std::uint64_t skip,
                     std::uint64_t count, std::byte* out) {
        std::uint64_t row = skip % rows, column = skip / rows;
        for (; count > 0; --count, out += item) {
            std::memcpy(out, tile + (row * width + column) * item, item);
            if (++row == rows) row = 0, ++column;
        }
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

    void plan(std::uint64_t begin, std::uint64_t count, std::byte* out, ReadPlan& plan) const override {
        child_->plan(begin, count, out, plan);
        plan.then([=, item = item_] {
            for (std::uint64_t i = 0; i < count; ++i) std::reverse(out + i * item, out + (i + 1) * item);
        });
    }

private:
    RecipePtr child_;
    std::size_t item_;
};

}  // namespace detail

/// A tensor whose elements lie in C order at byte `offset` of a source. Throws Error when they do not fit it.
inline Tensor region(std::shared_ptr<const Source> source, std::uint64_t offset, DType dtype, Shape shape) {
    const std::uint64_t bytes = checked_multiply(shape.element_count(), item_size(dtype), "tensor bytes");
    if (checked_add(offset, bytes, "tensor end") > source->size())
        throw Error(text(source->name(), ": a tensor ", shape, " of ", name(dtype), " at offset ", offset, " needs ",
                         bytes, " bytes, the file ends at ", source->size(), "; it is probably truncated"));
    return {dtype, std::move(shape), std::make_shared<detail::Region>(std::move(source), offset, item_size(dtype))};
}

inline Tensor cast(const Tensor& tensor, DType dtype);
inline Tensor swap_axes(const Tensor& tensor, std::size_t axis);

/// The elements [begin, end) along `axis`. A slice moves below casts and transpositions, so that these see whole
/// blocks.
inline Tensor slice(const Tensor& tensor, std::size_t axis, std::uint64_t begin, std::uint64_t end) {
    assert(axis < tensor.shape().rank() && begin <= end && end <= tensor.shape()[axis]);
    const std::uint64_t inner = tensor.shape().inner(axis), extent = tensor.shape()[axis];
    const Shape shape = tensor.shape().with(axis, end - begin);
    if (end - begin == extent || shape.element_count() == 0) return {tensor.dtype(), shape, tensor.recipe()};
    const Recipe* recipe = tensor.recipe().get();
    if (const auto* plain = dynamic_cast<const detail::Region*>(recipe); plain && tensor.shape().outer(axis) == 1)
        return {tensor.dtype(), shape, plain->from(begin * inner)};
    if (const auto* converted = dynamic_cast<const detail::Cast*>(recipe))
        return cast(slice(converted->child(tensor.shape()), axis, begin, end), tensor.dtype());
    if (const auto* turned = dynamic_cast<const detail::TransposeElements*>(recipe); turned && shape.rank() == 2) {
        const Tensor child = turned->child(tensor.dtype());
        if (child.shape() == Shape{tensor.shape()[1], tensor.shape()[0]})
            return swap_axes(slice(child, 1 - axis, begin, end), 0);
    }
    return {tensor.dtype(), shape,
            std::make_shared<detail::Columns>(tensor.recipe(), extent * inner, begin * inner, (end - begin) * inner,
                                              item_size(tensor.dtype()))};
}

/// The same elements in C order under another shape of the same size.
inline Tensor reshape(const Tensor& tensor, Shape shape) {
    assert(shape.element_count() == tensor.element_count());
    return {tensor.dtype(), std::move(shape), tensor.recipe()};
}

/// The tensor with two neighbouring axes, `axis` and `axis + 1`, exchanged.
inline Tensor swap_axes(const Tensor& tensor, std::size_t axis) {
    const Shape& from = tensor.shape();
    assert(axis + 1 < from.rank());
    const std::uint64_t a = from[axis], b = from[axis + 1], inner = from.inner(axis + 1);
    const Shape shape = from.with(axis, b).with(axis + 1, a);
    if (a == 1 || b == 1 || from.element_count() == 0) return {tensor.dtype(), shape, tensor.recipe()};
    const std::size_t item = item_size(tensor.dtype());
    if (inner == 1)
        return {tensor.dtype(), shape, std::make_shared<detail::TransposeElements>(tensor.recipe(), a, b, item)};
    return {tensor.dtype(), shape, std::make_shared<detail::SwapAxes>(tensor.recipe(), a, b, inner, item)};
}

/// Rows as columns: [a, b] → [b, a].
inline Tensor transpose(const Tensor& matrix) { return swap_axes(matrix, 0); }

/// The parts one behind the other along `axis`; they agree in dtype and in all other extents.
inline Tensor concatenate(std::span<const Tensor> parts, std::size_t axis) {
    assert(!parts.empty());
    if (parts.size() == 1) return parts.front();
    std::vector<detail::SideBySide::Part> pieces;
    std::uint64_t extent = 0;
    for (const Tensor& part : parts) {
        assert(part.dtype() == parts[0].dtype() && part.shape().with(axis, 0) == parts[0].shape().with(axis, 0));
        const std::uint64_t width = part.shape()[axis] * part.shape().inner(axis);
        if (width > 0) pieces.push_back({part.recipe(), width});
        extent += part.shape()[axis];
    }
    return {parts[0].dtype(), parts[0].shape().with(axis, extent),
            std::make_shared<detail::SideBySide>(std::move(pieces), item_size(parts[0].dtype()))};
}

/// The tensor with its last row (along axis 0) repeated until there are `rows`: how Megatron pads a vocabulary.
inline Tensor repeat_last_row(const Tensor& tensor, std::uint64_t rows) {
    const std::uint64_t have = tensor.shape()[0];
    assert(have > 0 && rows >= have);
    if (rows == have) return tensor;
    const Tensor last = slice(tensor, 0, have - 1, have);
    const Tensor padding{
        tensor.dtype(), tensor.shape().with(0, rows - have),
        std::make_shared<detail::Repeat>(last.recipe(), last.element_count(), item_size(tensor.dtype()))};
    return concatenate(std::vector<Tensor>{tensor, padding}, 0);
}

/// The values in another float type, rounded to nearest even. Throws Error when either type is not a castable float.
inline Tensor cast(const Tensor& tensor, DType dtype) {
    if (tensor.dtype() == dtype) return tensor;
    if (!is_castable(tensor.dtype()) || !is_castable(dtype))
        throw Error(text("a tensor of ", name(tensor.dtype()), " cannot be cast to ", name(dtype),
                         "; only f64, f32, f16 and bf16 are cast"));
    return {dtype, tensor.shape(), std::make_shared<detail::Cast>(tensor.recipe(), tensor.dtype(), dtype)};
}

/// A tensor at `strides` (in elements) behind byte `offset` of a source, as torch stores views. Throws Error when an
/// element lies outside the source.
inline Tensor strided_region(std::shared_ptr<const Source> source, std::uint64_t offset, DType dtype, Shape shape,
                             std::vector<std::uint64_t> strides) {
    assert(strides.size() == shape.rank());
    if (shape.element_count() == 0) return region(std::move(source), 0, dtype, std::move(shape));
    const std::size_t item = item_size(dtype);
    std::uint64_t last = 0, packed = 1;
    bool contiguous = true;
    for (std::size_t axis = shape.rank(); axis-- > 0;) {
        last = checked_add(last, checked_multiply(shape[axis] - 1, strides[axis], "tensor stride"), "tensor extent");
        contiguous = contiguous && (shape[axis] == 1 || strides[axis] == packed);
        packed *= shape[axis];
    }
    const std::uint64_t bytes = checked_multiply(checked_add(last, 1, "tensor extent"), item, "tensor bytes");
    if (checked_add(offset, bytes, "tensor end") > source->size())
        throw Error(text(source->name(), ": a tensor ", shape, " of ", name(dtype), " at offset ", offset, " reaches ",
                         bytes, " bytes far, the file ends at ", source->size(), "; it is probably truncated"));
    if (contiguous) return region(std::move(source), offset, dtype, std::move(shape));
    if (shape.rank() == 2 && strides[0] == 1 && strides[1] == shape[0])
        return transpose(region(std::move(source), offset, dtype, Shape{shape[1], shape[0]}));
    auto recipe = std::make_shared<detail::Strided>(std::move(source), offset, shape, std::move(strides), item);
    return {dtype, std::move(shape), std::move(recipe)};
}

/// The tensor with the bytes of each element reversed.
inline Tensor swap_bytes(const Tensor& tensor) {
    const std::size_t item = item_size(tensor.dtype());
    if (item == 1) return tensor;
    return {tensor.dtype(), tensor.shape(), std::make_shared<detail::SwapBytes>(tensor.recipe(), item)};
}

}  // namespace crossdock
