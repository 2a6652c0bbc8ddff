// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "crossdock/container/transfer/bands.hpp"
#include "crossdock/container/transfer/memory_budget.hpp"
#include "crossdock/core/error.hpp"
#include "crossdock/core/read_plan.hpp"
#include "crossdock/core/text.hpp"

namespace crossdock::detail {

/// Decides how tensors are cut into bands. A disk, and above all one behind a network, wants few calls of many bytes;
/// caches want small bands. So bands are small, and larger only where a recipe would read or write in small pieces: by
/// columns, or transposed. The tensors of a group move side by side where this saves reads, and each by itself
/// otherwise. Small tensors, of whichever groups, are put in the order of their files, and neighbours share a band. It
/// plans a few bands to see, and reads nothing.
class BandCutter {
public:
    explicit BandCutter(const MemoryBudget& memory)
        : memory_(memory),
          least_(std::clamp(memory.share() / 4, smallest_band, usual_band)) {}

    /// What can be moved now. Small tensors that are not in memory may be kept back until there are enough of them.
    /// Throws Error when the memory does not suffice for a tensor.
    std::vector<Bands> cut(std::vector<Transfer> group, bool is_in_memory) {
        std::vector<Bands> ready;
        const std::uint64_t bytes = bytes_of(group);
        if (!is_in_memory &&
            std::all_of(group.begin(), group.end(), [this](const auto& one) { return is_small(one); })) {
            keep_back(std::move(group), ready);
        } else if (bytes <= least_ / 4) {
            ready.emplace_back(std::move(group), usual_band);
        } else if (const Cut best = known_cut(group, bytes); best.is_together) {
            ready.emplace_back(std::move(group), best.band_bytes);
        } else {
            for (Transfer& one : group) cut_alone(std::move(one), best.band_bytes, is_in_memory, ready);
        }
        return ready;
    }

    /// What was kept back.
    std::vector<Bands> rest() {
        std::vector<Bands> ready;
        kept_bytes_ = 0;
        std::vector<Transfer> kept = std::exchange(kept_, {}), band;
        const std::vector<Neighbour> sorted = in_file_order(kept);
        std::uint64_t band_bytes = 0;
        const auto end_band = [&] {
            if (!band.empty()) ready.emplace_back(std::exchange(band, {}), std::exchange(band_bytes, 0));
        };
        for (std::size_t begin = 0, end; begin < sorted.size(); begin = end) {
            std::vector<Transfer> group;
            for (end = begin; end == begin || (end < sorted.size() && sorted[end].is_joined); ++end)
                group.push_back(std::move(kept[sorted[end].number]));
            const std::uint64_t bytes = bytes_of(group);
            if (const Cut* best = bytes > least_ ? &known_cut(group, bytes) : nullptr; best && best->is_together) {
                ready.emplace_back(std::move(group), best->band_bytes);
                continue;
            }
            if (band_bytes + bytes > least_) end_band();
            for (Transfer& one : group) {
                band_bytes += one.tensor.byte_count();
                band.push_back(std::move(one));
                if (band_bytes >= least_ || band.size() >= many_in_band) end_band();
            }
        }
        end_band();
        return ready;
    }

    /// Whether a group has its bytes in memory, which is taken until they have moved. The first tensor speaks for all.
    bool keeps_memory(const std::vector<Transfer>& group) {
        for (const Transfer& transfer : group)
            if (transfer.tensor.element_count() > 0) {
                const Block first{&transfer, 0, 1};
                return plan({&first, 1}).from_memory;
            }
        return false;
    }

private:
    // On tmpfs, 256 KiB to 4 MiB differed little; 1 MiB was never far from the best, for it stays in a core's cache.
    static constexpr std::uint64_t usual_band = std::uint64_t{1} << 20;
    static constexpr std::uint64_t smallest_band = std::uint64_t{64} << 10;
    static constexpr std::uint64_t largest_band = std::uint64_t{64} << 20;
    static constexpr std::uint64_t good_call = std::uint64_t{256} << 10;  // bytes a call, on average
    static constexpr std::uint64_t most_reads = 50'000;                   // of a band, that are worth planning
    static constexpr std::uint64_t much_kept = std::uint64_t{64} << 20;   // bytes
    static constexpr std::size_t many_kept = 4096, many_in_band = 1024;   // tensors

    /// A way to cut a group, and what all of it takes.
    struct Cut {
        bool is_together = true;
        std::uint64_t band_bytes = 0;
        std::uint64_t reads = 0, writes = 0, memory = 0;  ///< memory: of the thread that moves a band

        std::uint64_t call_bytes(std::uint64_t bytes) const { return 2 * bytes / (reads + writes); }
    };

    /// One of the tensors that were kept back.
    struct Neighbour {
        ReadPlan::Range range;   ///< of a file, that it is read from
        std::size_t number;      ///< among those
        bool is_joined = false;  ///< with the one before: their ranges overlap
    };

    bool is_small(const Transfer& transfer) const { return transfer.tensor.byte_count() <= least_ / 4; }

    /// By where they are read; where several files make one tensor, the first of these counts.
    std::vector<Neighbour> in_file_order(const std::vector<Transfer>& transfers) {
        std::vector<Neighbour> sorted;
        sorted.reserve(transfers.size());
        for (std::size_t number = 0; number < transfers.size(); ++number)
            sorted.push_back({range_of(transfers[number].tensor), number});
        std::sort(sorted.begin(), sorted.end(), [](const Neighbour& a, const Neighbour& b) {
            return std::tie(a.range.source, a.range.begin, a.number) <
                   std::tie(b.range.source, b.range.begin, b.number);
        });
        std::uint64_t end = 0;
        for (std::size_t i = 0; i < sorted.size(); ++i) {
            sorted[i].is_joined =
                i > 0 && sorted[i].range.source == sorted[i - 1].range.source && sorted[i].range.begin < end;
            end = sorted[i].is_joined ? std::max(end, sorted[i].range.end) : sorted[i].range.end;
        }
        return sorted;
    }

    /// From its first to its last element, which says enough.
    ReadPlan::Range range_of(const Tensor& tensor) {
        std::array<std::byte, 8> first, last;
        tensor.plan(0, 1, first.data(), reads_);
        tensor.plan(tensor.element_count() - 1, 1, last.data(), reads_);
        const ReadPlan::Range range = reads_.range();
        reads_.clear();
        return range;
    }

    void cut_alone(Transfer one, std::uint64_t band_bytes, bool is_in_memory, std::vector<Bands>& ready) {
        const std::uint64_t bytes = one.tensor.byte_count();
        if (bytes == 0) return;
        std::vector<Transfer> group;
        group.push_back(std::move(one));
        if (is_small(group.front()) && !is_in_memory)
            keep_back(std::move(group), ready);
        else
            ready.emplace_back(std::move(group), band_bytes);
    }

    void keep_back(std::vector<Transfer> group, std::vector<Bands>& ready) {
        for (Transfer& one : group) {
            if (one.tensor.byte_count() == 0) continue;
            kept_bytes_ += one.tensor.byte_count();
            kept_.push_back(std::move(one));
        }
        if (kept_bytes_ < much_kept && kept_.size() < many_kept) return;
        for (Bands& bands : rest()) ready.push_back(std::move(bands));
    }

    /// What was found for the same tensors of another layer, or else is found now. The same are those of equal shapes
    /// that take the same to be moved in small bands: others' recipes are made in another way.
    const Cut& known_cut(const std::vector<Transfer>& group, std::uint64_t bytes) {
        const Cut small = cut_into(group, bytes, least_);
        std::string kind;
        for (const char c : group.front().name)
            if (c < '0' || c > '9') kind += c;
        kind +=
            to_text(small.is_together ? " together " : " alone ", small.reads, ' ', small.writes, ' ', small.memory);
        for (const Transfer& one : group) kind += to_text(' ', dtype_name(one.tensor.dtype()), one.tensor.shape());
        const auto found = known_.find(kind);
        return found != known_.end() ? found->second
                                     : known_.emplace(kind, best_cut(group, bytes, small)).first->second;
    }

    /// The smallest bands whose calls are good, or those whose calls are best.
    Cut best_cut(const std::vector<Transfer>& group, std::uint64_t bytes, const Cut& small) {
        std::uint64_t size = least_;
        Cut best = small;
        for (; best.memory > memory_.share() && size > smallest_band; best = cut_into(group, bytes, size)) size /= 2;
        in_context(to_text("tensor '", group.front().name, "'"), [&] { memory_.require(best.memory); });
        while (best.call_bytes(bytes) < good_call && best.reads / band_count(bytes, size) < most_reads &&
               size < std::min(bytes, largest_band)) {
            size *= 2;
            const Cut larger = cut_into(group, bytes, size);
            if (larger.memory > memory_.share()) break;
            if (larger.call_bytes(bytes) > best.call_bytes(bytes)) best = larger;
        }
        return best;
    }

    /// Side by side, or each by itself where that takes no more reads.
    Cut cut_into(const std::vector<Transfer>& group, std::uint64_t bytes, std::uint64_t band_bytes) {
        const Cut together = cut_together(group, bytes, band_bytes);
        if (group.size() == 1) return together;
        const Cut alone = cut_alone(group, band_bytes);
        return alone.reads <= together.reads ? alone : together;
    }

    Cut cut_together(const std::vector<Transfer>& group, std::uint64_t bytes, std::uint64_t band_bytes) {
        Cut cut{.is_together = true, .band_bytes = band_bytes};
        const std::uint64_t bands = band_count(bytes, band_bytes);
        add_cost(group, bands, bands, cut);
        return cut;
    }

    /// Shards have few different shapes: the first of each stands for the others.
    Cut cut_alone(const std::vector<Transfer>& group, std::uint64_t band_bytes) {
        Cut cut{.is_together = false, .band_bytes = band_bytes};
        std::vector<std::pair<const Transfer*, std::uint64_t>> shapes;
        for (const Transfer& one : group) {
            const auto same = std::find_if(shapes.begin(), shapes.end(), [&](const auto& shape) {
                return shape.first->tensor.shape() == one.tensor.shape() &&
                       shape.first->tensor.dtype() == one.tensor.dtype();
            });
            if (same != shapes.end())
                ++same->second;
            else if (one.tensor.byte_count() > 0)
                shapes.emplace_back(&one, 1);
        }
        for (const auto& shape : shapes) {
            const std::uint64_t bands = band_count(shape.first->tensor.byte_count(), band_bytes);
            add_cost({shape.first, 1}, bands, shape.second * bands, cut);
        }
        return cut;
    }

    /// Adds what the middle one of `bands` bands takes, `times` times.
    void add_cost(std::span<const Transfer> transfers, std::uint64_t bands, std::uint64_t times, Cut& cut) {
        blocks_.clear();
        std::uint64_t bytes = 0;
        for (const Transfer& transfer : transfers)
            if (const Block block = part_of(transfer, bands / 2, bands); block.count > 0) {
                blocks_.push_back(block);
                bytes += block.bytes();
            }
        const ReadCost cost = plan(blocks_);
        cut.reads += times * cost.reads;
        cut.writes += times * blocks_.size();
        cut.memory = std::max(cut.memory, cost.memory + 2 * bytes);  // while one is read, another is written
    }

    ReadCost plan(std::span<const Block> blocks) {
        std::size_t bytes = 0;
        for (const Block& block : blocks) bytes += block.bytes();
        if (bytes > room_) {
            never_filled_ = std::make_unique_for_overwrite<std::byte[]>(bytes);
            room_ = bytes;
        }
        std::byte* out = never_filled_.get();
        for (const Block& block : blocks) {
            block.transfer->tensor.plan(block.begin, block.count, out, reads_);
            if (const Tensor* beside = block.transfer->slot->reads_beside())
                beside->plan(block.begin, block.count, reads_.scratch(block.bytes()), reads_);
            out += block.bytes();
        }
        const ReadCost cost = reads_.cost();
        reads_.clear();
        return cost;
    }

    MemoryBudget memory_;
    std::uint64_t least_;         // bytes of a band
    std::vector<Transfer> kept_;  // small ones
    std::uint64_t kept_bytes_ = 0;
    std::map<std::string, Cut> known_;  // by names without numbers, shapes, and what small bands take
    ReadPlan reads_;
    std::vector<Block> blocks_;
    std::unique_ptr<std::byte[]> never_filled_;  // where plans would read to; untouched, it costs addresses alone
    std::size_t room_ = 0;
};

}  // namespace crossdock::detail
