// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "crossdock/core/error.hpp"
#include "crossdock/core/name_index.hpp"
#include "crossdock/core/shared_text.hpp"
#include "crossdock/core/tensor.hpp"
#include "crossdock/core/text.hpp"

namespace crossdock {

/// One tensor of a checkpoint, and the file that errors about it name.
struct NamedTensor {
    std::string name;
    Tensor tensor;
    SharedText file;
};

/// The tensors of one file or of several, by name, in file order. What every container's reader returns.
class TensorDict {
public:
    TensorDict() = default;
    /// Throws Error when two have the same name.
    explicit TensorDict(std::vector<NamedTensor> entries) : entries_(std::move(entries)) {
        for (std::size_t number = 0; number < entries_.size(); ++number)
            require_new(entries_[number], index_.add(entries_[number].name, Names{entries_}));
    }

    /// Makes room for so many.
    void reserve(std::size_t tensors) { entries_.reserve(tensors); }

    /// Throws Error when the name is taken.
    void add(NamedTensor entry) {
        require_new(entry, index_.add(entry.name, Names{entries_}));
        entries_.push_back(std::move(entry));
    }

    /// Null when there is no such tensor.
    const NamedTensor* find(std::string_view name) const {
        const auto found = index_.find(name, Names{entries_});
        return found ? &entries_[*found] : nullptr;
    }

    const std::vector<NamedTensor>& entries() const& noexcept { return entries_; }
    std::vector<NamedTensor> entries() && { return std::move(entries_); }

private:
    struct Names {
        const std::vector<NamedTensor>& entries;

        std::string_view operator[](std::size_t number) const noexcept { return entries[number].name; }
    };

    void require_new(const NamedTensor& entry, const std::pair<std::size_t, bool>& found) const {
        if (!found.second)
            throw Error(
                to_text(entry.file, ": tensor '", entry.name, "' stands twice, first in ", entries_[found.first].file));
    }

    std::vector<NamedTensor> entries_;
    NameIndex index_;
};

}  // namespace crossdock
