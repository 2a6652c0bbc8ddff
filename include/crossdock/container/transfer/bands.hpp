// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "crossdock/container/transfer.hpp"
#include "crossdock/core/checked.hpp"

namespace crossdock::detail {

/// Elements of a tensor, one after the other, on their way to their place.
struct Block {
    const Transfer* transfer = nullptr;
    std::uint64_t begin = 0, count = 0;  ///< in elements

    std::size_t item() const { return item_size(transfer->tensor.dtype()); }
    std::uint64_t at() const { return begin * item(); }  ///< from the start of the tensor, in bytes
    std::size_t bytes() const { return count * item(); }
};

/// How many bands of at most `band_bytes` it takes.
inline std::uint64_t band_count(std::uint64_t bytes, std::uint64_t band_bytes) {
    return bytes / band_bytes + (bytes % band_bytes != 0);
}

/// The part of a tensor that is in one of `bands` bands: whole rows where there are enough of them. What does not divide
/// evenly goes to the first bands.
inline Block part_of(const Transfer& transfer, std::uint64_t band, std::uint64_t bands) {
    const Shape& shape = transfer.tensor.shape();
    const std::uint64_t row = shape.rank() < 2 ? 1 : shape[shape.rank() - 1];
    const std::uint64_t elements = transfer.tensor.element_count();
    const std::uint64_t unit = row > 0 && elements / row >= bands ? row : 1;
    const std::uint64_t units = elements / unit, even = units / bands, rest = units % bands;
    const std::uint64_t begin = even * band + std::min(rest, band);
    return {&transfer, begin * unit, (even + (band < rest)) * unit};
}

inline std::uint64_t bytes_of(const std::vector<Transfer>& transfers) {
    std::uint64_t bytes = 0;
    for (const Transfer& transfer : transfers)
        bytes = checked_add(bytes, transfer.tensor.byte_count(), "tensors that are moved together");
    return bytes;
}

/// Transfers that move side by side, cut into bands: band b holds the b-th part of every tensor. Shards that were cut by
/// columns from one source tensor thus read the same rows in the same band, and the file is read once, from start to
/// end. Says which bytes of which place there are, and nothing of who moves them, or when.
class Bands {
public:
    Bands(std::vector<Transfer> transfers, std::uint64_t band_bytes)
        : transfers_(std::move(transfers)),
          count_(band_count(bytes_of(transfers_), band_bytes)) {}

    std::uint64_t count() const noexcept { return count_; }
    const std::vector<Transfer>& transfers() const noexcept { return transfers_; }

    /// Calls visit(Block) for what a band has of each tensor that it has something of.
    template <class Visit>
    void for_each_block(std::uint64_t band, Visit&& visit) const {
        for (const Transfer& transfer : transfers_)
            if (const Block block = part_of(transfer, band, count_); block.count > 0) visit(block);
    }

private:
    std::vector<Transfer> transfers_;
    std::uint64_t count_ = 0;
};

}  // namespace crossdock::detail
