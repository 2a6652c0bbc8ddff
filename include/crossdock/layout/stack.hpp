// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "crossdock/core/recipe.hpp"

namespace crossdock {

/// Element `index` along axis 0, without that axis: [n, a, b] → [a, b].
inline Tensor take_element(const Tensor& stacked, std::uint64_t index) {
    const Shape& shape = stacked.shape();
    const std::uint64_t extent = shape[0];  // throws where there is no axis
    if (index >= extent) throw Error(to_text("a tensor ", shape, " does not have the element ", index));
    return reshape(slice(stacked, 0, index, index + 1), Shape(std::span(shape.begin() + 1, shape.end())));
}

/// The shape of `count` elements stacked on a new axis 0: [a, b] → [count, a, b].
inline Shape stacked_shape(const Shape& element, std::uint64_t count) {
    std::vector<std::uint64_t> extents{count};
    extents.insert(extents.end(), element.begin(), element.end());
    return Shape(std::move(extents));
}

/// The inverse of take_element(): all elements in their order.
inline Tensor stack_elements(std::span<const Tensor> elements) {
    std::vector<Tensor> rows;
    for (const Tensor& element : elements) rows.push_back(reshape(element, stacked_shape(element.shape(), 1)));
    return concatenate(rows, 0);
}

}  // namespace crossdock
