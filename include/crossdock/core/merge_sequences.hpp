// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <vector>

namespace crossdock::detail {

/// Sorts items that already stand in a few ascending sequences, by merging neighbours until one is left: with k of them
/// log2(k) passes, where std::sort takes as many as for any order. `spare` is memory that is kept for the next time;
/// its items are lost.
template <class Item, class Less>
void merge_sequences(std::vector<Item>& items, std::vector<Item>& spare, Less less) {
    std::vector<std::size_t> ends;
    for (std::size_t i = 1; i < items.size(); ++i)
        if (less(items[i], items[i - 1])) ends.push_back(i);
    ends.push_back(items.size());
    for (; ends.size() > 1; items.swap(spare)) {
        spare.clear();
        std::size_t kept = 0;
        auto begin = items.begin();
        for (std::size_t i = 0; i < ends.size(); i += 2) {
            const auto end_of = [&](std::size_t sequence) {
                return items.begin() + static_cast<std::ptrdiff_t>(ends[std::min(sequence, ends.size() - 1)]);
            };
            const auto middle = end_of(i), end = end_of(i + 1);
            std::merge(begin, middle, middle, end, std::back_inserter(spare), less);
            begin = end;
            ends[kept++] = spare.size();
        }
        ends.resize(kept);
    }
}

}  // namespace crossdock::detail
