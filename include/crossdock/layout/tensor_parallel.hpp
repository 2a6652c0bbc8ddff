// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "crossdock/core/recipe.hpp"

namespace crossdock {

/// The shard of tensor-parallel rank `rank` out of `size`: `axis` is cut into that many equal parts. Throws Error when
/// its extent does not divide so.
inline Tensor take_shard(const Tensor& whole, std::size_t axis, std::uint64_t rank, std::uint64_t size) {
    const std::uint64_t part = checked_divide(whole.shape()[axis], size, "a tensor for tensor-parallel ranks");
    return slice(whole, axis, rank * part, (rank + 1) * part);
}

/// The inverse of take_shard(): the shards of all ranks, in order.
inline Tensor join_shards(std::span<const Tensor> shards, std::size_t axis) { return concatenate(shards, axis); }

/// The rows of the vocabulary in a Megatron checkpoint: true_size, rounded up to a multiple of divisor × ranks. Throws
/// Error when the product is 0 or 64 bits are not enough.
inline std::uint64_t padded_vocab_rows(std::uint64_t true_size, std::uint64_t divisor, std::uint64_t ranks) {
    const std::uint64_t multiple =
        checked_multiply(divisor, ranks, "make_vocab_size_divisible_by × tensor parallel size");
    if (multiple == 0) throw Error("a vocabulary cannot be padded to a multiple of 0");
    return checked_multiply(true_size / multiple + (true_size % multiple != 0), multiple, "padded vocabulary");
}

/// Exactly `rows` rows of a vocabulary: cut off at the end, or with the last row repeated, as Megatron pads.
inline Tensor with_vocab_rows(const Tensor& tensor, std::uint64_t rows) {
    return rows <= tensor.shape()[0] ? slice(tensor, 0, 0, rows) : repeat_last_row(tensor, rows);
}

}  // namespace crossdock
