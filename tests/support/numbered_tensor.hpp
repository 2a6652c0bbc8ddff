// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <cstring>
#include <numeric>
#include <string>
#include <vector>

#include "crossdock/core/recipe.hpp"
#include "support/memory_source.hpp"

namespace crossdock::test {

/// A tensor with these elements.
inline Tensor int_tensor(Shape shape, const std::vector<std::int32_t>& elements) {
    std::string bytes(elements.size() * sizeof(std::int32_t), '\0');
    if (!bytes.empty()) std::memcpy(bytes.data(), elements.data(), bytes.size());
    return region(memory_source(std::move(bytes)), 0, DType::i32, std::move(shape));
}

/// A tensor whose elements are 0, 1, 2, …
inline Tensor numbered(Shape shape) {
    std::vector<std::int32_t> elements(shape.element_count());
    std::iota(elements.begin(), elements.end(), 0);
    return int_tensor(std::move(shape), elements);
}

inline std::vector<std::int32_t> elements(const Tensor& tensor) {
    const auto bytes = tensor.bytes();
    std::vector<std::int32_t> out(bytes.size() / sizeof(std::int32_t));
    if (!out.empty()) std::memcpy(out.data(), bytes.data(), bytes.size());
    return out;
}

}  // namespace crossdock::test
