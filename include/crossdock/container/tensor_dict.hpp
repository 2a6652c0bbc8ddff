// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "crossdock/core/error.hpp"
#include "crossdock/core/tensor.hpp"

namespace crossdock {

/// One tensor of a checkpoint, and the file that errors about it name.
struct NamedTensor {
    std::string name;
    Tensor tensor;
    std::string file;
};

/// The tensors of one file or of several, by name, in file order. What every container's reader returns.
class TensorDict {
public:
    /// Throws Error when the name is taken.
    void add(NamedTensor entry) {
        const auto [at, inserted] = index_.try_emplace(entry.name, entries_.size());
        if (!inserted)
            throw Error(
                to_text(entry.file, ": tensor '", entry.name, "' stands twice, first in ", entries_[at->second].file));
        entries_.push_back(std::move(entry));
    }

    /// Null when there is no such tensor.
    const NamedTensor* find(std::string_view name) const {
        const auto found = index_.find(name);
        return found == index_.end() ? nullptr : &entries_[found->second];
    }

    const std::vector<NamedTensor>& entries() const& noexcept { return entries_; }
    std::vector<NamedTensor> entries() && { return std::move(entries_); }

private:
    /// Lets a name be looked up without a copy.
    struct Hash {
        using is_transparent = void;
        std::size_t operator()(std::string_view name) const noexcept { return std::hash<std::string_view>{}(name); }
    };

    std::vector<NamedTensor> entries_;
    std::unordered_map<std::string, std::size_t, Hash, std::equal_to<>> index_;
};

}  // namespace crossdock
