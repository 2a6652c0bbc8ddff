// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "crossdock/container/output_file.hpp"
#include "crossdock/container/tensor_writer.hpp"
#include "crossdock/container/transfer.hpp"

namespace crossdock {

/// Moves nothing: says of planned files how far the tensors reach in them, and adds up their bytes.
class PlanningTransfers final : public Transfers {
public:
    void submit(std::vector<Transfer> group) override {
        for (const Transfer& transfer : group) {
            const std::uint64_t bytes = transfer.tensor.byte_count();
            for (std::uint64_t at = 0, piece = 0; at < bytes; at += piece) {
                const FilePlace place = transfer.slot->place(at);
                piece = std::min(place.bytes, bytes - at);
                if (place.file) place.file->plan(place.offset + piece);
            }
            bytes_ += bytes;
        }
    }
    void wait() override {}

    std::uint64_t bytes() const noexcept { return bytes_; }

private:
    std::uint64_t bytes_ = 0;
};

}  // namespace crossdock
