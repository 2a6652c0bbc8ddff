// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <bit>
#include <concepts>
#include <cstddef>
#include <cstring>
#include <string>

namespace crossdock {

static_assert(std::endian::native == std::endian::little, "crossdock runs on little-endian machines");

/// The little-endian number at `at`, which need not be aligned.
template <std::integral T>
T load_little(const std::byte* at) {
    T value;
    std::memcpy(&value, at, sizeof value);
    return value;
}

/// Appends a number to `out`, little-endian.
template <std::integral T>
void append_little(std::string& out, T value) {
    char bytes[sizeof value];
    std::memcpy(bytes, &value, sizeof value);
    out.append(bytes, sizeof bytes);
}

}  // namespace crossdock
