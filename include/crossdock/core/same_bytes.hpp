// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>

#include "crossdock/core/tensor.hpp"

namespace crossdock {

/// Whether two tensors are the same: type, shape and bytes. Both are read in blocks, so that memory stays small however
/// large they are.
inline bool same_bytes(const Tensor& a, const Tensor& b) {
    if (a.dtype() != b.dtype() || a.shape() != b.shape()) return false;
    constexpr std::uint64_t most = 1U << 16;
    const std::size_t item = item_size(a.dtype());
    const std::uint64_t block = std::min(most, a.element_count());
    const auto bytes = static_cast<std::size_t>(block) * item;
    const auto memory = std::make_unique_for_overwrite<std::byte[]>(2 * bytes);
    for (std::uint64_t begin = 0; begin < a.element_count(); begin += block) {
        const auto now = static_cast<std::size_t>(std::min(block, a.element_count() - begin)) * item;
        const std::span left(memory.get(), now), right(memory.get() + bytes, now);
        a.evaluate(begin, left);
        b.evaluate(begin, right);
        if (std::memcmp(left.data(), right.data(), now) != 0) return false;
    }
    return true;
}

}  // namespace crossdock
