// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <vector>

#include "crossdock/core/tensor.hpp"

namespace crossdock {

/// The first element in which two tensors of one type and shape differ; empty when they hold the same bytes. Both are
/// read in blocks, so that memory stays small however large they are.
inline std::optional<std::uint64_t> first_difference(const Tensor& a, const Tensor& b) {
    constexpr std::uint64_t block = 1U << 18;
    const std::size_t item = item_size(a.dtype());
    std::vector<std::byte> left, right;
    for (std::uint64_t begin = 0; begin < a.element_count(); begin += block) {
        left.resize(static_cast<std::size_t>(std::min(block, a.element_count() - begin)) * item);
        right.resize(left.size());
        a.evaluate(begin, left);
        b.evaluate(begin, right);
        const auto differing = std::mismatch(left.begin(), left.end(), right.begin()).first;
        if (differing != left.end()) return begin + static_cast<std::uint64_t>(differing - left.begin()) / item;
    }
    return std::nullopt;
}

/// Whether two tensors are the same: type, shape and bytes.
inline bool same_bytes(const Tensor& a, const Tensor& b) {
    return a.dtype() == b.dtype() && a.shape() == b.shape() && !first_difference(a, b);
}

}  // namespace crossdock
