// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "crossdock/container/tensor_dict.hpp"
#include "crossdock/family/tensor_table.hpp"
#include "crossdock/layout/stack.hpp"

namespace crossdock {

/// Files may hold in one tensor, stacked on axis 0, what a table has under a name for each element: the experts of a
/// layer. Where the table has several names for an element, their rows lie one below the other.
struct StackedNames {
    std::string ending;              ///< of the tensor's name: ".experts.gate_up_proj"
    std::vector<std::string> names;  ///< what the table has in its place: ".experts.{e}.gate_proj.weight" and up's
};

namespace detail {

/// The line that speaks of a tensor; null where none does. A matrix is one element's own.
inline const StackedNames* stacked_names_of(const NamedTensor& entry, std::span<const StackedNames> lines) {
    if (entry.tensor.shape().rank() != 3) return nullptr;
    const auto line = std::find_if(lines.begin(), lines.end(),
                                   [&](const StackedNames& each) { return entry.name.ends_with(each.ending); });
    return line == lines.end() ? nullptr : &*line;
}

/// Adds the elements of a stacked tensor under the names of its line.
inline void add_elements(const NamedTensor& stacked, const StackedNames& line, TensorDict& dict) {
    constexpr std::uint64_t most = 1U << 16;
    const Shape& shape = stacked.tensor.shape();
    const std::uint64_t count = shape[0], parts = line.names.size(), rows = shape[1] / parts;
    if (count > most || shape[1] % parts != 0)
        throw Error(to_text(stacked.file, ": tensor '", stacked.name, "' has shape ", shape, ", expected at most ",
                            most, " experts, and ", parts, " matrices of equal size in each"));
    const std::string_view beginning =
        std::string_view(stacked.name).substr(0, stacked.name.size() - line.ending.size());
    for (std::uint64_t element = 0; element < count; ++element) {
        const Tensor matrix = take_element(stacked.tensor, element);
        for (std::size_t part = 0; part < parts; ++part)
            dict.add({to_text(beginning, stored_name(line.names[part], 0, element)),
                      slice(matrix, 0, part * rows, (part + 1) * rows), stacked.file});
    }
}

}  // namespace detail

/// The tensors with each element of a stacked one by itself. Throws Error naming a tensor that is not as `lines` say.
inline TensorDict separated(TensorDict from, std::span<const StackedNames> lines) {
    const auto& entries = from.entries();
    if (std::none_of(entries.begin(), entries.end(),
                     [&](const NamedTensor& entry) { return detail::stacked_names_of(entry, lines); }))
        return from;
    TensorDict dict;
    dict.reserve(entries.size());
    for (const NamedTensor& entry : entries)
        if (const StackedNames* line = detail::stacked_names_of(entry, lines))
            detail::add_elements(entry, *line, dict);
        else
            dict.add(entry);
    return dict;
}

}  // namespace crossdock
