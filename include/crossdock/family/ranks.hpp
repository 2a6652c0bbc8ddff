// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "crossdock/core/tensor.hpp"
#include "crossdock/core/text.hpp"
#include "crossdock/layout/tensor_parallel.hpp"

namespace crossdock {

/// The groups of ranks that share tensors: tensor-parallel ones, those that have an expert each, and those that share
/// one expert's tensors.
enum class Group : std::uint8_t { tensor, expert, expert_tensor };

/// Where a rank stands, counted from 0 in each kind of parallelism.
struct RankCoordinates {
    std::uint64_t pipeline = 0;
    std::uint64_t tensor = 0;
    std::uint64_t expert = 0;
    std::uint64_t expert_tensor = 0;

    std::uint64_t in(Group group) const {
        return group == Group::tensor ? tensor : group == Group::expert ? expert : expert_tensor;
    }
    auto operator<=>(const RankCoordinates&) const = default;  // NOLINT(modernize-use-nullptr): it is not one
};

/// "1", a tensor-parallel rank, or "1 of expert-parallel rank 3"
inline std::string to_string(const RankCoordinates& at) {
    return at.expert == 0 ? to_text(at.tensor) : to_text(at.tensor, " of expert-parallel rank ", at.expert);
}

inline void append_text(std::string& out, const RankCoordinates& at) { out += to_string(at); }

/// How many ranks of one pipeline stage stand in each group.
class GroupSizes {
public:
    explicit GroupSizes(std::span<const RankCoordinates> ranks) {
        for (const RankCoordinates& at : ranks)
            for (const Group group : {Group::tensor, Group::expert, Group::expert_tensor}) {
                std::uint64_t& size = sizes_[static_cast<std::size_t>(group)];
                size = std::max(size, at.in(group) + 1);
            }
    }

    std::uint64_t of(Group group) const { return sizes_[static_cast<std::size_t>(group)]; }

private:
    std::array<std::uint64_t, 3> sizes_{1, 1, 1};
};

/// How ranks share a tensor of a message: those of a group hold equal parts along an axis.
struct Cut {
    std::optional<std::size_t> axis{};  ///< none: all ranks hold all of it
    Group group = Group::tensor;

    bool operator==(const Cut&) const = default;

    static const Cut none, rows, columns;  ///< the last two: of tensor-parallel ranks
};
inline constexpr Cut Cut::none{};
inline constexpr Cut Cut::rows{.axis = 0};
inline constexpr Cut Cut::columns{.axis = 1};

/// The cuts of a tensor, each by another group: {Cut{0, Group::expert}, Cut{1, Group::expert_tensor}}.
class Cuts {
public:
    Cuts(Cut cut) : Cuts({cut}) {}
    Cuts(std::initializer_list<Cut> cuts) {
        for (const Cut& cut : cuts)
            if (cut.axis) cuts_.push_back(cut);
    }

    /// How a group shares the tensor.
    Cut of(Group group) const {
        const auto cut = std::find_if(cuts_.begin(), cuts_.end(), [&](const Cut& each) { return each.group == group; });
        return cut == cuts_.end() ? Cut::none : *cut;
    }

    /// How many different parts there are over all ranks.
    std::uint64_t count(const GroupSizes& sizes) const {
        std::uint64_t parts = 1;
        for (const Cut& cut : cuts_) parts *= sizes.of(cut.group);
        return parts;
    }

    /// Which of these a rank holds.
    std::uint64_t number(const RankCoordinates& at, const GroupSizes& sizes) const {
        std::uint64_t part = 0;
        for (const Cut& cut : cuts_) part = part * sizes.of(cut.group) + at.in(cut.group);
        return part;
    }

    /// A rank's part of a tensor.
    Tensor take(Tensor whole, const RankCoordinates& at, const GroupSizes& sizes) const {
        for (const Cut& cut : cuts_)
            if (const std::uint64_t size = sizes.of(cut.group); size > 1)
                whole = take_shard(whole, *cut.axis, at.in(cut.group), size);
        return whole;
    }

    /// The inverse of take(): all parts in the order of their numbers.
    Tensor join(std::vector<Tensor> parts, const GroupSizes& sizes) const {
        for (auto cut = cuts_.rbegin(); cut != cuts_.rend(); ++cut) {
            const std::size_t size = sizes.of(cut->group);
            std::vector<Tensor> joined;
            for (std::size_t first = 0; first < parts.size(); first += size)
                joined.push_back(join_shards(std::span(parts).subspan(first, size), *cut->axis));
            parts = std::move(joined);
        }
        return parts.front();
    }

private:
    std::vector<Cut> cuts_;
};

}  // namespace crossdock
