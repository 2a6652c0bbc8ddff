// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <utility>

#include "crossdock/core/axes.hpp"
#include "crossdock/core/checked.hpp"

namespace crossdock {

/// The extents of a tensor in elements, outermost first. The number of elements always fits in 64 bits. A shape of rank
/// 0 is a scalar and has one element. Copies of up to three axes, as nearly all tensors have, take no memory of their
/// own.
class Shape {
public:
    Shape() = default;
    Shape(std::initializer_list<std::uint64_t> extents) : Shape(std::span(extents.begin(), extents.size())) {}
    /// Throws Error when the number of elements does not fit in 64 bits.
    explicit Shape(std::span<const std::uint64_t> extents) : extents_(extents) { require_countable(); }

    std::size_t rank() const noexcept { return extents_.size(); }
    /// The extent of an axis, counted from 0. Throws Error when there is no such axis, as all functions below do.
    std::uint64_t operator[](std::size_t axis) const {
        require_axis(axis);
        return extents_[axis];
    }
    std::uint64_t element_count() const noexcept { return product(0, rank()); }
    const std::uint64_t* begin() const noexcept { return extents_.begin(); }
    const std::uint64_t* end() const noexcept { return extents_.end(); }

    /// The product of the extents before `axis`.
    std::uint64_t outer(std::size_t axis) const {
        require_axis(axis);
        return product(0, axis);
    }
    /// The product of the extents after `axis`: the elements that lie between two neighbours along it.
    std::uint64_t inner(std::size_t axis) const {
        require_axis(axis);
        return product(axis + 1, rank());
    }

    /// The same shape with one extent replaced.
    Shape with(std::size_t axis, std::uint64_t extent) const {
        require_axis(axis);
        Shape shape = *this;
        shape.extents_[axis] = extent;
        shape.require_countable();
        return shape;
    }

    /// The same shape with the extents of `axis` and `axis + 1` exchanged.
    Shape swapped(std::size_t axis) const {
        require_axis(axis);
        require_axis(axis + 1);
        Shape shape = *this;
        std::swap(shape.extents_[axis], shape.extents_[axis + 1]);
        return shape;
    }

    bool operator==(const Shape& other) const noexcept = default;

private:
    void require_axis(std::size_t axis) const {
        if (axis >= rank())
            throw Error(to_text("a tensor of ", rank(), " axes has no axis ", axis, ", counted from 0"));
    }

    void require_countable() const {
        // Empty tensors are legal whatever their other extents, so those must not overflow either.
        std::uint64_t product = 1;
        for (const std::uint64_t extent : extents_)
            product = checked_multiply(product, extent == 0 ? 1 : extent, "shape");
    }

    std::uint64_t product(std::size_t first, std::size_t last) const noexcept {
        std::uint64_t result = 1;
        for (std::size_t axis = first; axis < last; ++axis) result *= extents_[axis];
        return result;
    }

    [[no_unique_address]] Axes extents_;
};

/// "[4096, 11008]"
inline std::string to_string(const Shape& shape) {
    std::string out = "[";
    for (std::size_t axis = 0; axis < shape.rank(); ++axis) out += to_text(axis ? ", " : "", shape[axis]);
    return out + "]";
}

inline void append_text(std::string& out, const Shape& shape) { out += to_string(shape); }

}  // namespace crossdock
