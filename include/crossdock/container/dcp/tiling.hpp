// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "crossdock/container/dcp/metadata.hpp"
#include "crossdock/core/axes.hpp"
#include "crossdock/core/checked.hpp"
#include "crossdock/core/error.hpp"
#include "crossdock/core/text.hpp"

namespace crossdock::dcp {

namespace detail {

/// "[3, 0, 4096]"
inline std::string at_text(const Axes& offsets) {
    std::string out = "[";
    for (const std::uint64_t offset : offsets) out += to_text(out.size() > 1 ? ", " : "", offset);
    return out + "]";
}

inline bool lies_inside(const Chunk& chunk, const Shape& shape) {
    if (chunk.offsets.size() != shape.rank() || chunk.sizes.rank() != shape.rank()) return false;
    for (std::size_t axis = 0; axis < shape.rank(); ++axis)
        if (chunk.offsets[axis] > shape[axis] || chunk.sizes[axis] > shape[axis] - chunk.offsets[axis]) return false;
    return true;
}

/// The axes along which some chunk is smaller than the tensor.
inline std::vector<std::size_t> cut_axes(const TensorItem& tensor) {
    std::vector<std::size_t> axes;
    for (std::size_t axis = 0; axis < tensor.shape.rank(); ++axis) {
        const std::uint64_t extent = tensor.shape[axis];
        const bool cut = std::any_of(tensor.chunks.begin(), tensor.chunks.end(),
                                     [&](const Chunk& chunk) { return chunk.sizes[axis] != extent; });
        if (cut) axes.push_back(axis);
    }
    return axes;
}

/// The corners of boxes as numbers: those with an even number of far sides, and the others.
///
/// A box's indicator function has the mixed difference +1 at its even corners and -1 at its odd ones. Boxes therefore
/// cover each element of the whole exactly once if, and only if, their corners and the whole's, signed the other way,
/// cancel out. That is exact for any tiling, and costs no more than sorting the corners.
class Corners {
public:
    Corners(const Shape& shape, std::vector<std::size_t> axes) : axes_(std::move(axes)) {
        constexpr std::size_t most_axes = 6;
        if (axes_.size() > most_axes)
            throw Error(to_text("its chunks are cut along ", axes_.size(), " axes, at most ", most_axes, " are read"));
        std::uint64_t step = 1;
        for (const std::size_t axis : axes_) {
            steps_.push_back(step);
            step = checked_multiply(step, checked_add(shape[axis], 1, "extent"), "corners of a tensor");
        }
    }

    void add(const Axes& offsets, const Shape& sizes, bool whole) {
        for (std::size_t corner = 0; corner < std::size_t{1} << axes_.size(); ++corner) {
            std::uint64_t number = 0;
            bool odd = whole;
            for (std::size_t bit = 0; bit < axes_.size(); ++bit) {
                const bool far = (corner >> bit & 1) != 0;
                number += steps_[bit] * (offsets[axes_[bit]] + (far ? sizes[axes_[bit]] : 0));
                odd ^= far;
            }
            (odd ? odd_ : even_).push_back(number);
        }
    }

    bool cancel_out() {
        std::sort(even_.begin(), even_.end());
        std::sort(odd_.begin(), odd_.end());
        return even_ == odd_;
    }

private:
    std::vector<std::size_t> axes_;
    std::vector<std::uint64_t> steps_;
    std::vector<std::uint64_t> even_, odd_;
};

}  // namespace detail

/// Throws Error, which does not name the tensor, unless its chunks hold each of its elements exactly once.
inline void require_tiling(const TensorItem& tensor) {
    std::uint64_t elements = 0;
    for (const Chunk& chunk : tensor.chunks) {
        if (!detail::lies_inside(chunk, tensor.shape))
            throw Error(to_text("its chunk ", chunk.sizes, " at ", detail::at_text(chunk.offsets), " lies outside it, ",
                                "its shape is ", tensor.shape, "; the file is damaged"));
        elements = checked_add(elements, chunk.sizes.element_count(), "elements of chunks");
    }
    if (elements < tensor.shape.element_count())
        throw Error(to_text("its ", tensor.chunks.size(), " chunks hold ", elements, " elements, its shape ",
                            tensor.shape, " has ", tensor.shape.element_count(),
                            "; chunks are missing, was it saved by all ranks?"));
    if (elements == 0) return;
    detail::Corners corners(tensor.shape, detail::cut_axes(tensor));
    corners.add(std::vector<std::uint64_t>(tensor.shape.rank()), tensor.shape, true);
    for (const Chunk& chunk : tensor.chunks) corners.add(chunk.offsets, chunk.sizes, false);
    if (!corners.cancel_out())
        throw Error(to_text("its ", tensor.chunks.size(), " chunks overlap, they hold ", elements,
                            " elements and its shape ", tensor.shape, " has ", tensor.shape.element_count(),
                            "; the file is damaged"));
}

}  // namespace crossdock::dcp
