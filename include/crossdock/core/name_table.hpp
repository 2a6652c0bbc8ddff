// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "crossdock/core/error.hpp"

namespace crossdock {

/// Names, each once, numbered from 0 in the order in which they came. Checkpoints may have a million, so a name takes
/// little more memory than its text: about 25 bytes. The texts stay where they are as long as the table lives, also
/// when it is moved.
class NameTable {
public:
    std::size_t size() const noexcept { return names_.size(); }

    /// The name of a number below size().
    std::string_view operator[](std::size_t number) const noexcept { return names_[number]; }

    /// The name's number; nothing when it is not here.
    std::optional<std::size_t> find(std::string_view name) const noexcept {
        if (slots_.empty()) return std::nullopt;
        const std::uint32_t number = slots_[slot_of(name)];
        return number == free_slot ? std::nullopt : std::optional<std::size_t>(number);
    }

    /// The name's number, and whether it is new.
    std::pair<std::size_t, bool> add(std::string_view name) {
        if (names_.size() + names_.size() / 2 >= slots_.size()) grow();
        std::uint32_t& slot = slots_[slot_of(name)];
        if (slot != free_slot) return {slot, false};
        if (names_.size() == free_slot) throw Error("a table of names is full");
        names_.push_back(kept(name));
        slot = static_cast<std::uint32_t>(names_.size() - 1);
        return {slot, true};
    }

private:
    static constexpr std::uint32_t free_slot = 0xFFFFFFFF;

    /// Where the name is, or would be put. One slot in three is free at least.
    std::size_t slot_of(std::string_view name) const noexcept {
        const std::size_t last = slots_.size() - 1;
        std::size_t slot = std::hash<std::string_view>()(name) & last;
        while (slots_[slot] != free_slot && names_[slots_[slot]] != name) slot = (slot + 1) & last;
        return slot;
    }

    void grow() {
        slots_.assign(std::max<std::size_t>(16, 2 * slots_.size()), free_slot);
        for (std::size_t number = 0; number < names_.size(); ++number)
            slots_[slot_of(names_[number])] = static_cast<std::uint32_t>(number);
    }

    /// A copy of the text, in a block that is never moved.
    std::string_view kept(std::string_view name) {
        constexpr std::size_t first_block = 256, largest_block = std::size_t{1} << 16;
        if (name.size() > room_) {
            room_ =
                std::max(name.size(), std::min(largest_block, first_block << std::min<std::size_t>(blocks_.size(), 8)));
            blocks_.push_back(std::make_unique_for_overwrite<char[]>(room_));
            next_ = blocks_.back().get();
        }
        std::copy(name.begin(), name.end(), next_);
        const std::string_view copy(next_, name.size());
        next_ += name.size();
        room_ -= name.size();
        return copy;
    }

    std::vector<std::unique_ptr<char[]>> blocks_;
    char* next_ = nullptr;  ///< in the last block
    std::size_t room_ = 0;  ///< behind it
    std::deque<std::string_view> names_;
    std::vector<std::uint32_t> slots_;  ///< numbers, found by their names' hashes; as many as a power of two
};

}  // namespace crossdock
