// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "crossdock/container/output_file.hpp"
#include "crossdock/container/tensor_writer.hpp"
#include "crossdock/container/transfer.hpp"
#include "crossdock/container/transfer/cut_transfer.hpp"
#include "crossdock/core/error.hpp"
#include "crossdock/core/fingerprint.hpp"
#include "crossdock/core/text.hpp"
#include "crossdock/core/world.hpp"

namespace crossdock {

/// Hands on what is this rank's of all that is submitted: the parts of tensors that go to its regions of their files.
/// All ranks submit the same, which is compared at times, so that none of them writes parts of another plan.
///
/// What goes to no file (a comparison) is shared as if it went to one, in the order in which it comes.
class SharedTransfers final : public Transfers {
public:
    SharedTransfers(World& world, Transfers& own) : world_(world), own_(own) {}

    /// Throws, besides what the others throw, the error of a rank that failed.
    void submit(std::vector<Transfer> group) override {
        std::map<std::uint64_t, std::vector<Transfer>> parts;  // by the number of the region within its tensor
        for (Transfer& transfer : group) {
            note(transfer);
            take_own(transfer, parts);
        }
        for (auto& [region, side_by_side] : parts) own_.submit(std::move(side_by_side));
        if (planned_bytes_ < compare_at_) return;
        compare_plans();
        compare_at_ = planned_bytes_ + bytes_between_comparisons * world_.size();
    }

    void wait() override {
        own_.wait();
        compare_plans();
    }

private:
    /// So many bytes of each rank are moved in vain at most when another one fails.
    static constexpr std::uint64_t bytes_between_comparisons = std::uint64_t{1} << 30;

    /// An element that lies across the end of a region is evaluated by both ranks; the file takes from each what is its
    /// own.
    void take_own(const Transfer& transfer, std::map<std::uint64_t, std::vector<Transfer>>& parts) {
        const std::uint64_t bytes = transfer.tensor.byte_count();
        const std::size_t item = item_size(transfer.tensor.dtype());
        std::uint64_t region = 0;
        for (std::uint64_t at = 0, end = 0; at < bytes; at = end, ++region) {
            const OutputFile::Extent extent = extent_of(*transfer.slot, at, item);
            end = at + std::min(extent.bytes, bytes - at);
            if (extent.is_own) parts[region].push_back(cut_transfer(transfer, at, end));
        }
        planned_bytes_ += bytes;
    }

    /// What lies in one region from the byte `at` of a tensor on.
    OutputFile::Extent extent_of(const TensorSlot& slot, std::uint64_t at, std::size_t item) const {
        const FilePlace place = slot.place(at);
        if (!place.file) {
            const std::uint64_t region = world_.region_bytes(), begin = planned_bytes_ + at;
            const std::uint64_t bytes = region - begin % region;
            return {(bytes + item - 1) / item * item, world_.owns(begin / region)};
        }
        OutputFile::Extent extent = place.file->extent(place.offset);
        extent.bytes = std::min(extent.bytes, place.bytes);
        return extent;
    }

    // The plan: what was submitted, and whereto.

    void note(const Transfer& transfer) {
        plan_.add(transfer.name);
        plan_.add(static_cast<std::uint64_t>(transfer.tensor.dtype()));
        for (const std::uint64_t extent : transfer.tensor.shape()) plan_.add(extent);
        const FilePlace place = transfer.slot->place(0);
        if (place.file) plan_.add(std::filesystem::path(place.file->name()).filename().string());
        plan_.add(place.offset);
        plans_.push_back(plan_.value());
        names_ += transfer.name;
        names_ += '\0';
    }

    void compare_plans() {
        std::array<std::uint64_t, 1> fewest{plans_.size()};
        world_.minimum(fewest);
        if (world_.is_same(plan_.value())) return;
        std::size_t same = 0,
                    other = static_cast<std::size_t>(fewest[0]);  // [same, other) holds the first that differs
        while (same < other) {
            const std::size_t middle = same + (other - same) / 2;
            if (world_.is_same(plans_[middle]))
                same = middle + 1;
            else
                other = middle;
        }
        throw Error(to_text("the ranks do not plan the same from tensor number ", same + 1, name_of(same),
                            " on; do all of them see the same files?"));
    }

    /// " ('model.norm.weight')"
    std::string name_of(std::size_t number) const {
        std::size_t begin = 0;
        for (; number > 0 && begin < names_.size(); --number) begin = names_.find('\0', begin) + 1;
        return begin < names_.size() ? to_text(" ('", names_.substr(begin, names_.find('\0', begin) - begin), "')")
                                     : "";
    }

    World& world_;
    Transfers& own_;
    std::uint64_t planned_bytes_ = 0, compare_at_ = 0;
    Fingerprint plan_;
    std::vector<std::uint64_t> plans_;  // the plan's fingerprint after each tensor
    std::string names_;                 // each followed by a zero
};

}  // namespace crossdock
