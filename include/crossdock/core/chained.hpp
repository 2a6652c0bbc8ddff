// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <type_traits>
#include <vector>

namespace crossdock {

/// The elements of all lists, one list behind the other: how tables are made of tables.
template <class T>
std::vector<T> chained(std::vector<T> first, const std::type_identity_t<std::vector<T>>& second) {
    first.insert(first.end(), second.begin(), second.end());
    return first;
}

}  // namespace crossdock
