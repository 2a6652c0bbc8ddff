// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace crossdock::test {

/// The 8 bytes of a header's length.
inline std::string header_length(std::uint64_t bytes) {
    std::string out;
    for (int shift = 0; shift < 64; shift += 8) out += static_cast<char>(bytes >> shift & 0xFF);
    return out;
}

/// A safetensors file, right or wrong, put together by hand.
inline std::string safetensors_bytes(std::string_view header, std::string_view data = {}) {
    return header_length(header.size()).append(header).append(data);
}

}  // namespace crossdock::test
