// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "crossdock/core/tensor.hpp"

namespace crossdock {

/// Whether two tensors have one type, one shape and the same bytes. Reads both in blocks, up to the first difference.
inline bool same_bytes(const Tensor& a, const Tensor& b) {
    constexpr std::uint64_t block = 1U << 18;
    if (a.dtype() != b.dtype() || a.shape() != b.shape()) return false;
    std::vector<std::byte> left, right;
    for (std::uint64_t begin = 0; begin < a.element_count(); begin += block) {
        const std::uint64_t count = std::min(block, a.element_count() - begin);
        left.resize(count * item_size(a.dtype()));
        right.resize(left.size());
        a.evaluate(begin, left);
        b.evaluate(begin, right);
        if (left != right) return false;
    }
    return true;
}

}  // namespace crossdock
