// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <deque>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "crossdock/core/name_index.hpp"

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
    std::optional<std::size_t> find(std::string_view name) const { return index_.find(name, names_); }

    /// The name's number, and whether it is new.
    std::pair<std::size_t, bool> add(std::string_view name) {
        const auto found = index_.add(name, names_);
        if (found.second) names_.push_back(kept(name));
        return found;
    }

private:
    /// A copy of the text, in a block that is never moved.
    std::string_view kept(std::string_view name) {
        constexpr std::size_t first_block = 256, doublings = 8;
        if (name.size() > room_) {
            room_ = std::max(name.size(), first_block << std::min(blocks_.size(), doublings));
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
    NameIndex index_;
};

}  // namespace crossdock
