// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <type_traits>
#include <utility>
#include <vector>

namespace crossdock {

/// The elements of all lists, one list after the other: how tables are made of tables.
template <class T, class... More>
std::vector<T> join_lists(std::vector<T> first, const std::type_identity_t<std::vector<T>>& second,
                          const More&... more) {
    first.insert(first.end(), second.begin(), second.end());
    if constexpr (sizeof...(more) == 0)
        return first;
    else
        return join_lists(std::move(first), more...);
}

}  // namespace crossdock
