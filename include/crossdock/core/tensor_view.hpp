// SPDX-License-Identifier: Apache-2.0
#pragma once

// xtensor moved its headers into folders in version 0.26.
#if __has_include(<xtensor/containers/xarray.hpp>)
#include <xtensor/containers/xarray.hpp>
#else
#include <xtensor/xarray.hpp>
#endif

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include "crossdock/core/element_type.hpp"
#include "crossdock/core/from_memory.hpp"
#include "crossdock/core/tensor.hpp"

// Tensors to and from xtensor arrays. The umbrella leaves this header out, and only who includes it needs xtensor: link
// crossdock::xtensor.

namespace crossdock {

/// An xtensor array whose elements lie in C order, as a tensor's do; xt::xarray<T>, unless xtensor was told otherwise.
template <class T>
using Array = xt::xarray<T, xt::layout_type::row_major>;

/// Evaluates the whole tensor, on the calling thread. T must be the tensor's own type, or else Error is thrown: to see
/// bf16 and f16 as numbers, cast to f32 first; to see their bits, ask for std::uint16_t (for 8-bit floats,
/// std::uint8_t). Throws Error when a source cannot be read.
template <class T>
Array<T> to_xtensor(const Tensor& tensor) {
    detail::require_can_hold<T>(tensor.dtype());
    auto array = Array<T>::from_shape(std::vector<std::size_t>(tensor.shape().begin(), tensor.shape().end()));
    if constexpr (std::same_as<T, bool>) {
        // A file may hold other bytes than 0 and 1, which a bool must not.
        const std::vector<std::byte> bytes = tensor.bytes();
        for (std::size_t i = 0; i < bytes.size(); ++i) array.data()[i] = bytes[i] != std::byte{0};
    } else {
        tensor.evaluate(0, std::as_writable_bytes(std::span(array.data(), array.size())));
    }
    return array;
}

/// A tensor of the elements of an xtensor array or expression, which it owns; an Array that is moved in is not copied.
/// Arrays of std::uint16_t hold the bits of f16 or bf16, so `dtype` says which. Throws Error when the elements cannot
/// be of that type.
template <class E>
Tensor from_xtensor(E&& expression, DType dtype) {
    using T = typename std::remove_cvref_t<E>::value_type;
    detail::require_can_hold<T>(dtype);
    const auto array = std::make_shared<const Array<T>>(std::forward<E>(expression));
    Shape shape(std::vector<std::uint64_t>(array->shape().begin(), array->shape().end()));
    return from_bytes(std::as_bytes(std::span(array->data(), array->size())), array, dtype, std::move(shape));
}

/// The same with the elements' own type.
template <class E>
Tensor from_xtensor(E&& expression) {
    return from_xtensor(std::forward<E>(expression), dtype_of<typename std::remove_cvref_t<E>::value_type>);
}

}  // namespace crossdock
