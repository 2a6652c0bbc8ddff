// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <memory>
#include <vector>

namespace crossdock::detail {

/// Memory that is taken piece by piece and given back all at once. What was needed once is kept as one block: fresh
/// pages would cost as much as filling them. For one thread.
class Scratch {
public:
    /// Valid until clear(); aligned for any element. Its contents are unspecified.
    std::byte* take(std::size_t bytes) {
        bytes = (bytes + alignment - 1) / alignment * alignment;
        if (blocks_.empty() || bytes > blocks_.back().size - used_) {
            if (taken_ == 0) blocks_.clear();
            blocks_.push_back({std::make_unique_for_overwrite<std::byte[]>(bytes), bytes});
            used_ = 0;
        }
        std::byte* const piece = blocks_.back().memory.get() + used_;
        used_ += bytes;
        taken_ += bytes;
        return piece;
    }

    /// How much is taken.
    std::size_t taken() const noexcept { return taken_; }

    void clear() {
        if (blocks_.size() > 1) {
            blocks_.clear();
            blocks_.push_back({std::make_unique_for_overwrite<std::byte[]>(taken_), taken_});
        }
        used_ = taken_ = 0;
    }

private:
    static constexpr std::size_t alignment = 64;

    struct Block {
        std::unique_ptr<std::byte[]> memory;
        std::size_t size = 0;
    };

    std::vector<Block> blocks_;
    std::size_t used_ = 0;  // of the last block
    std::size_t taken_ = 0;
};

}  // namespace crossdock::detail
