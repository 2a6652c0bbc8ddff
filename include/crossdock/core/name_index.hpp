// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "crossdock/core/error.hpp"

namespace crossdock {

/// Finds the numbers of names that somebody else keeps, in `names`: names[number] gives a name back. Takes 6 to 12 bytes
/// a name.
class NameIndex {
public:
    /// The name's number; nothing when it is not here.
    template <class Names>
    std::optional<std::size_t> find(std::string_view name, const Names& names) const {
        if (slots_.empty()) return std::nullopt;
        const std::uint32_t number = slots_[slot_of(name, names)];
        return number == free_slot ? std::nullopt : std::optional<std::size_t>(number);
    }

    /// The name's number, and whether it is new: then it is that of the last name so far, plus one, and
    /// the caller puts it there.
    template <class Names>
    std::pair<std::size_t, bool> add(std::string_view name, const Names& names) {
        if (count_ + count_ / 2 >= slots_.size()) grow(names);
        std::uint32_t& slot = slots_[slot_of(name, names)];
        if (slot != free_slot) return {slot, false};
        if (count_ == free_slot) throw Error("an index of names is full");
        slot = count_++;
        return {slot, true};
    }

private:
    static constexpr std::uint32_t free_slot = 0xFFFFFFFF;

    /// Where the name is, or would be put. One slot in three is free at least.
    template <class Names>
    std::size_t slot_of(std::string_view name, const Names& names) const {
        const std::size_t last = slots_.size() - 1;
        std::size_t slot = std::hash<std::string_view>()(name) & last;
        while (slots_[slot] != free_slot && names[slots_[slot]] != name) slot = (slot + 1) & last;
        return slot;
    }

    template <class Names>
    void grow(const Names& names) {
        slots_.assign(std::max<std::size_t>(16, 2 * slots_.size()), free_slot);
        for (std::uint32_t number = 0; number < count_; ++number) slots_[slot_of(names[number], names)] = number;
    }

    std::uint32_t count_ = 0;
    std::vector<std::uint32_t> slots_;  ///< numbers, found by their names' hashes; as many as a power of two
};

}  // namespace crossdock
