// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "crossdock/core/tensor.hpp"

namespace crossdock {

/// Whether two tensors are the same: type, shape and bytes. Both are read in blocks, so that memory stays small however
/// large they are.
inline bool same_bytes(const Tensor& a, const Tensor& b) {
    if (a.dtype() != b.dtype() || a.shape() != b.shape()) return false;
    constexpr std::uint64_t block = 1U << 18;
    const std::size_t item = item_size(a.dtype());
    std::vector<std::byte> left, right;
    for (std::uint64_t begin = 0; begin < a.element_count(); begin += block) {
        left.resize(static_cast<std::size_t>(std::min(block, a.element_count() - begin)) * item);
        right.resize(left.size());
        a.evaluate(begin, left);
        b.evaluate(begin, right);
        if (std::memcmp(left.data(), right.data(), left.size()) != 0) return false;
    }
    return true;
}

}  // namespace crossdock
