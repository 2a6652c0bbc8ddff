// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "crossdock/container/tensor_dict.hpp"
#include "crossdock/core/text.hpp"
#include "crossdock/family/ranks.hpp"
#include "crossdock/family/tensor_table.hpp"

namespace crossdock {

/// The tensors of one pipeline stage: a dictionary for each of its ranks, and which were asked for.
class StageTensors {
public:
    /// A tensor that two ranks, by their numbers in the stage, both hold all of.
    struct Replica {
        std::size_t tensor;  ///< its number among those of the other one
        std::size_t first, other;

        auto operator<=>(const Replica&) const = default;  // NOLINT(modernize-use-nullptr): it is not one
    };

    /// Tensor-parallel ranks in their order.
    explicit StageTensors(std::vector<TensorDict> ranks) : StageTensors(std::move(ranks), {}) {}
    /// Ranks that stand at `places`.
    StageTensors(std::vector<TensorDict> ranks, std::vector<RankCoordinates> places)
        : ranks_(std::move(ranks)),
          places_(std::move(places)) {
        for (std::uint64_t tensor = places_.size(); tensor < ranks_.size(); ++tensor)
            places_.push_back({.tensor = tensor});
        for (const TensorDict& rank : ranks_) used_.emplace_back(rank.entries().size(), false);
    }

    std::size_t size() const noexcept { return ranks_.size(); }
    const TensorDict& rank(std::size_t index) const { return ranks_[index]; }
    std::vector<TensorDict> ranks() && { return std::move(ranks_); }
    const std::vector<RankCoordinates>& places() const noexcept { return places_; }
    /// How many of its ranks share tensors.
    std::uint64_t count(Group group) const { return GroupSizes(places_).of(group); }

    /// Null when the rank has no such tensor. "/" and "." are one: nested dictionaries are read flat.
    const NamedTensor* find(std::size_t rank, std::string_view name) const {
        std::size_t at = name.find('/');
        if (at == std::string_view::npos) return ranks_[rank].find(name);
        std::string flat(name);
        for (; at != std::string::npos; at = flat.find('/', at + 1)) flat[at] = '.';
        return ranks_[rank].find(flat);
    }

    /// As find(); the tensor then counts as used.
    const NamedTensor* take(std::size_t rank, std::string_view name) {
        const NamedTensor* entry = find(rank, name);
        if (entry) used_[rank][number_of(*entry, rank)] = true;
        return entry;
    }

    void note_replica(std::string_view name, std::size_t first, std::size_t other) {
        if (knows_replicas_) return;
        if (const NamedTensor* entry = find(other, name)) replicas_.push_back({number_of(*entry, other), first, other});
    }
    /// Those that were noted, each once. What is noted from now on is known: it was found when all were looked through.
    const std::vector<Replica>& replicas() {
        if (std::exchange(knows_replicas_, true)) return replicas_;
        std::sort(replicas_.begin(), replicas_.end());
        replicas_.erase(std::unique(replicas_.begin(), replicas_.end()), replicas_.end());
        return replicas_;
    }

    /// Calls visit(tensor, whether it was asked for) for all tensors of all ranks.
    template <class Visit>
    void for_each(Visit&& visit) const {
        for (std::size_t rank = 0; rank < ranks_.size(); ++rank)
            for (std::size_t i = 0; i < used_[rank].size(); ++i) visit(ranks_[rank].entries()[i], used_[rank][i]);
    }

private:
    std::size_t number_of(const NamedTensor& entry, std::size_t rank) const {
        return static_cast<std::size_t>(&entry - ranks_[rank].entries().data());
    }

    std::vector<TensorDict> ranks_;
    std::vector<RankCoordinates> places_;
    std::vector<std::vector<bool>> used_;
    std::vector<Replica> replicas_;
    bool knows_replicas_ = false;
};

/// Where the names of a table's rows are looked up or written.
struct NameScope {
    std::string prefix{};      ///< in front of every name: "model/" in Megatron files
    std::uint64_t layer = 0;   ///< the layer's number in these files
    std::uint64_t layers = 0;  ///< how many there are; asked for where a table stacks them
    /// A layer that stands elsewhere than the table says: how its patterns begin there, and here; empty: as it says.
    std::string_view usual{}, instead{};

    std::string name(std::string_view pattern, std::uint64_t element = 0) const {
        std::string name;
        name.reserve(prefix.size() + instead.size() + pattern.size() + 20);
        name = prefix;
        if (!usual.empty() && pattern.starts_with(usual)) {
            append_stored_name(name, instead, layer, element);
            pattern.remove_prefix(usual.size());
        }
        append_stored_name(name, pattern, layer, element);
        return name;
    }
};

}  // namespace crossdock
