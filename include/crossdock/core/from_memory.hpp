// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "crossdock/core/checked.hpp"
#include "crossdock/core/element_type.hpp"
#include "crossdock/core/error.hpp"
#include "crossdock/core/recipe.hpp"
#include "crossdock/core/source.hpp"
#include "crossdock/core/tensor.hpp"
#include "crossdock/core/text.hpp"

namespace crossdock {

/// A tensor over memory: `bytes` are its elements in C order, little-endian, without gaps, at any alignment. They are
/// not copied. The tensor and all that is derived from it share `owner`, so that the bytes live as long as they are
/// needed; with a null owner the caller sees to that. Nobody may change them until then: other threads read them.
/// Throws Error when the tensor has another number of bytes.
inline Tensor from_bytes(std::span<const std::byte> bytes, std::shared_ptr<const void> owner, DType dtype,
                         Shape shape) {
    const std::uint64_t needed = checked_multiply(shape.element_count(), item_size(dtype), "tensor bytes");
    if (bytes.size() != needed)
        throw Error(to_text("a tensor ", shape, " of ", dtype_name(dtype), " has ", needed,
                            " bytes, the memory for it ", bytes.size()));
    return region(std::make_shared<MemorySource>(bytes, std::move(owner)), 0, dtype, std::move(shape));
}

/// A tensor of a vector's elements, in C order. The tensor owns the vector; one that is moved in is not copied.
/// std::uint16_t holds the bits of f16 or bf16, std::uint8_t those of 8-bit floats, too: `dtype` says of which.
/// Throws Error when the shape has another number of elements, or when T cannot hold such elements.
template <class T>
requires(!std::same_as<T, bool>)  // a vector of bool has no bytes to show; take one of std::uint8_t
    Tensor from_vector(std::vector<T> values, Shape shape, DType dtype) {
    detail::require_can_hold<T>(dtype);
    if (values.size() != shape.element_count())
        throw Error(to_text("a tensor ", shape, " has ", shape.element_count(), " elements, the vector for it ",
                            values.size()));
    const auto owner = std::make_shared<const std::vector<T>>(std::move(values));
    return from_bytes(std::as_bytes(std::span(*owner)), owner, dtype, std::move(shape));
}

/// The same with the elements' own type: from_vector(std::vector<float>{…}, {rows, columns}).
template <class T>
Tensor from_vector(std::vector<T> values, Shape shape) {
    return from_vector(std::move(values), std::move(shape), dtype_of<T>);
}

}  // namespace crossdock
