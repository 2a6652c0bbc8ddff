// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "crossdock/core/checked.hpp"
#include "crossdock/core/error.hpp"
#include "crossdock/core/recipe_nodes.hpp"
#include "crossdock/core/scaled_blocks.hpp"
#include "crossdock/core/tensor.hpp"
#include "crossdock/core/text.hpp"

// What can be done with tensors. Nothing here reads or computes an element: each function returns a tensor that says
// how its elements come from those of its arguments, in time and memory that do not depend on their number. Axes are
// counted from 0. Whatever the arguments do not allow (an axis that is not there, extents that do not fit) throws
// Error. A result has no content when an argument has none, so that shapes can be computed without any.

namespace crossdock {

namespace detail {

/// A tensor made of others by a recipe; without content where those have none.
inline Tensor derived(const Tensor& from, Shape shape, std::shared_ptr<const Recipe> recipe) {
    return {from.dtype(), std::move(shape), from.recipe() ? std::move(recipe) : nullptr};
}

}  // namespace detail

/// A tensor whose elements lie in C order, without gaps, at byte `offset` of a source, at any alignment. Throws Error
/// when the source ends before them.
inline Tensor region(std::shared_ptr<const Source> source, std::uint64_t offset, DType dtype, Shape shape) {
    if (!source) throw Error(to_text("a tensor ", shape, " is made of no source"));
    const std::uint64_t bytes = checked_multiply(shape.element_count(), item_size(dtype), "tensor bytes");
    if (checked_add(offset, bytes, "tensor end") > source->size())
        throw Error(to_text(source->name(), ": a tensor ", shape, " of ", dtype_name(dtype), " at offset ", offset,
                            " needs ", bytes, " bytes, the file ends at ", source->size(),
                            "; it is probably truncated"));
    return {dtype, std::move(shape), std::make_shared<detail::Region>(std::move(source), offset, item_size(dtype))};
}

inline Tensor cast(const Tensor& tensor, DType dtype);
inline Tensor slice(const Tensor& tensor, std::size_t axis, std::uint64_t begin, std::uint64_t end);
inline Tensor reshape(const Tensor& tensor, Shape shape);
inline Tensor swap_axes(const Tensor& tensor, std::size_t axis);

namespace detail {

/// A part of a matrix of scaled blocks, with the scales of the blocks that it touches.
inline Tensor slice_of_blocks(const ScaledBlocks& whole, DType dtype, std::size_t axis, std::uint64_t begin,
                              std::uint64_t end) {
    const BlockGrid& grid = whole.grid();
    const std::uint64_t size = axis == 0 ? grid.block.rows : grid.block.columns;
    BlockSize skipped = grid.skipped;
    std::uint64_t& first = axis == 0 ? skipped.rows : skipped.columns;
    begin += first, end += first;  // in the grid of blocks
    Tensor scales = slice(whole.scales(), axis, begin / size, (end - 1) / size + 1);
    Tensor codes = slice(whole.codes(), axis, begin - first, end - first);
    first = begin % size;
    const Shape shape = codes.shape();
    return {dtype, shape,
            std::make_shared<ScaledBlocks>(std::move(codes), std::move(scales), grid.block, skipped, dtype)};
}

/// The elements [begin, end) of what is cut from a child by columns: cut from fewer rows of it, or in one go. Null where
/// neither can be.
inline RecipePtr slice_below(const Columns& cut, const Tensor& tensor, std::uint64_t begin, std::uint64_t end) {
    const std::uint64_t width = cut.width(), rows = tensor.element_count() / width;
    const auto from_row = [&](const Tensor& row, std::uint64_t skipped, std::uint64_t stop) {
        return slice(reshape(row, Shape{cut.child_row()}), 0, cut.first() + skipped, cut.first() + stop).recipe();
    };
    const Tensor whole(tensor.dtype(), Shape{rows, cut.child_row()}, cut.child());
    if (rows == 1) return from_row(whole, begin, end);
    if (begin % width != 0 || end % width != 0) return nullptr;
    const Tensor part = slice(whole, 0, begin / width, end / width);
    if (end - begin == width) return from_row(part, 0, width);
    return slice(part, 1, cut.first(), cut.first() + width).recipe();
}

/// Of parts that lie side by side, whole rows are the same rows of each; what lies in one part of a single row is cut from
/// that part. Null where neither is so.
inline RecipePtr slice_below(const SideBySide& row, const Tensor& tensor, std::uint64_t begin, std::uint64_t end) {
    const std::uint64_t width = row.width(), rows = tensor.element_count() / width;
    if (rows == 1) {
        const auto [part, at] = row.part_around(begin, end);
        if (!part) return nullptr;
        return slice(Tensor(tensor.dtype(), Shape{part->width}, part->recipe), 0, begin - at, end - at).recipe();
    }
    if (begin % width != 0 || end % width != 0) return nullptr;
    std::vector<SideBySide::Part> parts;
    parts.reserve(row.parts().size());
    for (const SideBySide::Part& part : row.parts()) {
        const Tensor whole(tensor.dtype(), Shape{rows, part.width}, part.recipe);
        parts.push_back({slice(whole, 0, begin / width, end / width).recipe(), part.width});
    }
    return std::make_shared<SideBySide>(std::move(parts), item_size(tensor.dtype()));
}

/// Null where the recipe is of another kind.
inline RecipePtr slice_below(const Recipe* recipe, const Tensor& tensor, std::uint64_t begin, std::uint64_t end) {
    if (const auto* cut = dynamic_cast<const Columns*>(recipe)) return slice_below(*cut, tensor, begin, end);
    if (const auto* row = dynamic_cast<const SideBySide*>(recipe)) return slice_below(*row, tensor, begin, end);
    return nullptr;
}

/// The matrix that this one is the transposition of, if it is one.
inline std::optional<Tensor> transposed_of(const Tensor& matrix) {
    const auto* turned = dynamic_cast<const TransposeElements*>(matrix.recipe().get());
    if (!turned || matrix.shape().rank() != 2) return std::nullopt;
    const Tensor child = turned->child(matrix.dtype());
    if (child.shape() != matrix.shape().swapped(0)) return std::nullopt;
    return child;
}

/// The matrices that these are the transpositions of; none unless all are.
inline std::vector<Tensor> transposed_of(std::span<const Tensor> matrices) {
    std::vector<Tensor> out;
    for (const Tensor& matrix : matrices) {
        const auto turned = transposed_of(matrix);
        if (!turned) return {};
        out.push_back(*turned);
    }
    return out;
}

}  // namespace detail

/// The elements [begin, end) along `axis`. A slice moves below casts, scales and transpositions, so that these work on
/// whole blocks, and one of whole rows below cuts and joins by columns: so an expert is taken from a stack of them
/// whatever was done with all.
inline Tensor slice(const Tensor& tensor, std::size_t axis, std::uint64_t begin, std::uint64_t end) {
    if (begin > end || end > tensor.shape()[axis])
        throw Error(to_text("a tensor ", tensor.shape(), " does not have the elements ", begin, " to ", end,
                            " along axis ", axis));
    const std::uint64_t inner = tensor.shape().inner(axis), extent = tensor.shape()[axis];
    const Shape shape = tensor.shape().with(axis, end - begin);
    if (end - begin == extent || shape.element_count() == 0) return {tensor.dtype(), shape, tensor.recipe()};
    const Recipe* recipe = tensor.recipe().get();
    if (const auto* plain = dynamic_cast<const detail::Region*>(recipe); plain && tensor.shape().outer(axis) == 1)
        return {tensor.dtype(), shape, plain->from(begin * inner)};
    if (const auto* converted = dynamic_cast<const detail::Cast*>(recipe))
        return cast(slice(converted->child(tensor.shape()), axis, begin, end), tensor.dtype());
    if (const auto* scaled = dynamic_cast<const detail::ScaledBlocks*>(recipe);
        scaled && scaled->codes().shape() == tensor.shape())
        return detail::slice_of_blocks(*scaled, tensor.dtype(), axis, begin, end);
    if (const auto turned = detail::transposed_of(tensor)) return swap_axes(slice(*turned, 1 - axis, begin, end), 0);
    if (const auto* row = dynamic_cast<const detail::SideBySide*>(recipe); row && row->width() == extent * inner)
        if (const detail::RecipePtr part = row->part(begin * inner, end * inner)) return {tensor.dtype(), shape, part};
    if (tensor.shape().outer(axis) == 1)
        if (detail::RecipePtr moved = detail::slice_below(recipe, tensor, begin * inner, end * inner))
            return {tensor.dtype(), shape, std::move(moved)};
    return detail::derived(tensor, shape,
                           std::make_shared<detail::Columns>(tensor.recipe(), extent * inner, begin * inner,
                                                             (end - begin) * inner, item_size(tensor.dtype())));
}

/// The same elements in the same order, under another shape with as many.
inline Tensor reshape(const Tensor& tensor, Shape shape) {
    if (shape.element_count() != tensor.element_count())
        throw Error(to_text("a tensor ", tensor.shape(), " cannot be seen as ", shape, ", which has ",
                            shape.element_count(), " elements"));
    return {tensor.dtype(), std::move(shape), tensor.recipe()};
}

/// The tensor with two neighbouring axes, `axis` and `axis + 1`, exchanged.
inline Tensor swap_axes(const Tensor& tensor, std::size_t axis) {
    const Shape& from = tensor.shape();
    const Shape shape = from.swapped(axis);
    const std::uint64_t a = from[axis], b = from[axis + 1], inner = from.inner(axis + 1);
    if (a == 1 || b == 1 || from.element_count() == 0) return {tensor.dtype(), shape, tensor.recipe()};
    if (const auto turned = detail::transposed_of(tensor)) return *turned;
    const std::size_t item = item_size(tensor.dtype());
    if (inner == 1)
        return detail::derived(tensor, shape, std::make_shared<detail::TransposeElements>(tensor.recipe(), a, b, item));
    return detail::derived(tensor, shape, std::make_shared<detail::SwapAxes>(tensor.recipe(), a, b, inner, item));
}

/// Rows as columns: [a, b] → [b, a].
inline Tensor transpose(const Tensor& matrix) { return swap_axes(matrix, 0); }

/// The parts one after the other along `axis`; they must agree in dtype and in all other extents.
inline Tensor concatenate(std::span<const Tensor> parts, std::size_t axis) {
    if (parts.empty()) throw Error("no tensors are to be put together, expected at least one");
    const Tensor& first = parts.front();
    if (parts.size() == 1) return first;
    std::vector<detail::SideBySide::Part> pieces;
    std::uint64_t extent = 0;
    bool has_content = true;
    for (const Tensor& part : parts) {
        if (part.dtype() != first.dtype() || part.shape().with(axis, 0) != first.shape().with(axis, 0))
            throw Error(to_text("a tensor ", first.shape(), " of ", dtype_name(first.dtype()), " and one ",
                                part.shape(), " of ", dtype_name(part.dtype()), " cannot be put together along axis ",
                                axis));
        const std::uint64_t width = part.shape()[axis] * part.shape().inner(axis);
        if (width > 0) pieces.push_back({part.recipe(), width});
        extent = checked_add(extent, part.shape()[axis], "rows put together");
        has_content = has_content && part.has_content();
    }
    // One transposition of all is turned in larger blocks, and back again costs nothing.
    if (const auto turned = detail::transposed_of(parts); !turned.empty())
        return swap_axes(concatenate(turned, 1 - axis), 0);
    Shape shape = first.shape().with(axis, extent);
    if (!has_content) return {first.dtype(), std::move(shape), nullptr};
    return {first.dtype(), std::move(shape),
            std::make_shared<detail::SideBySide>(std::move(pieces), item_size(first.dtype()))};
}

/// The tensor with its last row (along axis 0) repeated until there are `rows`: how Megatron pads a vocabulary.
inline Tensor repeat_last_row(const Tensor& tensor, std::uint64_t rows) {
    const std::uint64_t have = tensor.shape()[0];
    if (have == 0 || rows < have)
        throw Error(
            to_text("the last row of a tensor ", tensor.shape(), " cannot be repeated to make ", rows, " rows"));
    if (rows == have) return tensor;
    const Tensor last = slice(tensor, 0, have - 1, have);
    const Tensor padding = detail::derived(
        last, tensor.shape().with(0, rows - have),
        std::make_shared<detail::Repeat>(last.recipe(), last.element_count(), item_size(tensor.dtype())));
    return concatenate(std::vector<Tensor>{tensor, padding}, 0);
}

/// The values in another float type, rounded to the nearest, ties to even; float_formats.hpp says what becomes of NaNs.
/// Throws Error when the types differ and is_castable() is false for either.
inline Tensor cast(const Tensor& tensor, DType dtype) {
    if (tensor.dtype() == dtype) return tensor;
    if (!is_castable(tensor.dtype()) || !is_castable(dtype))
        throw Error(to_text("a tensor of ", dtype_name(tensor.dtype()), " cannot be cast to ", dtype_name(dtype),
                            "; only f64, f32, f16 and bf16 are cast"));
    if (!tensor.recipe()) return {dtype, tensor.shape(), nullptr};
    if (const auto* scaled = dynamic_cast<const detail::ScaledBlocks*>(tensor.recipe().get());
        scaled && tensor.dtype() == DType::f32)
        return {dtype, tensor.shape(), scaled->cast_to(dtype)};
    return {dtype, tensor.shape(), std::make_shared<detail::Cast>(tensor.recipe(), tensor.dtype(), dtype)};
}

/// An f8_e4m3 matrix whose blocks, the last ones of a row or column perhaps smaller, have a scale each, as f32: every
/// element times its block's scale. `scales` has one castable element for each block. Throws Error on other types and
/// shapes.
inline Tensor scale_blocks(const Tensor& codes, const Tensor& scales, BlockSize block) {
    if (codes.dtype() != DType::f8_e4m3 || codes.shape().rank() != 2)
        throw Error(to_text("a tensor ", codes.shape(), " of ", dtype_name(codes.dtype()),
                            " has no blocks with scales; only matrices of f8_e4m3 have"));
    if (block.rows == 0 || block.columns == 0)
        throw Error(to_text("blocks of ", block.rows, " × ", block.columns, " elements hold none"));
    const auto blocks = [](std::uint64_t extent, std::uint64_t size) { return extent / size + (extent % size != 0); };
    const Shape& shape = codes.shape();
    const Shape expected{blocks(shape[0], block.rows), blocks(shape[1], block.columns)};
    if (scales.shape() != expected)
        throw Error(to_text("a tensor ", shape, " in blocks of ", block.rows, " × ", block.columns, " has scales ",
                            scales.shape(), ", expected ", expected));
    if (!codes.recipe() || !scales.recipe()) return {DType::f32, shape, nullptr};
    const Tensor factors = cast(scales, DType::f32);
    return {DType::f32, shape, std::make_shared<detail::ScaledBlocks>(codes, factors, block, BlockSize{}, DType::f32)};
}

/// Casts tensors of different float types to the smallest that holds the values of all. Throws Error when there is
/// none.
inline void cast_to_common(std::span<Tensor> tensors) {
    if (tensors.empty()) return;
    DType dtype = tensors.front().dtype();
    for (const Tensor& tensor : tensors) {
        const auto common = common_dtype(dtype, tensor.dtype());
        if (!common)
            throw Error(to_text("no type holds both ", dtype_name(dtype), " and ", dtype_name(tensor.dtype())));
        dtype = *common;
    }
    for (Tensor& tensor : tensors) tensor = cast(tensor, dtype);
}

/// A tensor at `strides` (in elements, one for each axis) from byte `offset` of a source on, as torch stores views.
/// Throws Error when an element lies outside the source.
inline Tensor strided_region(std::shared_ptr<const Source> source, std::uint64_t offset, DType dtype, Shape shape,
                             std::vector<std::uint64_t> strides) {
    if (strides.size() != shape.rank())
        throw Error(to_text("a tensor ", shape, " has ", strides.size(), " strides, expected one for each axis"));
    if (!source || shape.element_count() == 0) return region(std::move(source), 0, dtype, std::move(shape));
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
        throw Error(to_text(source->name(), ": a tensor ", shape, " of ", dtype_name(dtype), " at offset ", offset,
                            " reaches ", bytes, " bytes far, the file ends at ", source->size(),
                            "; it is probably truncated"));
    if (contiguous) return region(std::move(source), offset, dtype, std::move(shape));
    if (shape.rank() == 2 && strides[0] == 1 && strides[1] == shape[0])
        return transpose(region(std::move(source), offset, dtype, Shape{shape[1], shape[0]}));
    auto recipe = std::make_shared<detail::Strided>(std::move(source), offset, shape, std::move(strides), item);
    return {dtype, std::move(shape), std::move(recipe)};
}

/// The tensor with the bytes of each element reversed: for big-endian files.
inline Tensor swap_bytes(const Tensor& tensor) {
    const std::size_t item = item_size(tensor.dtype());
    if (item == 1) return tensor;
    return detail::derived(tensor, tensor.shape(), std::make_shared<detail::SwapBytes>(tensor.recipe(), item));
}

}  // namespace crossdock
