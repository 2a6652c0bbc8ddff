// SPDX-License-Identifier: Apache-2.0
#include "crossdock/container/zip/crc32.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "support/catch.hpp"

using namespace crossdock;

namespace {

std::uint32_t crc_of(std::string_view text) { return zip::crc32(std::as_bytes(std::span(text))); }

}  // namespace

TEST_CASE("crc32 gives the published check value", "[container][zip]") {
    CHECK(crc_of("123456789") == 0xCBF43926U);
    CHECK(crc_of("") == 0);
}

TEST_CASE("combine_crc32 gives the checksum of the whole, wherever it was cut", "[container][zip]") {
    std::string bytes;
    for (unsigned i = 0; i < 3000; ++i) bytes += static_cast<char>(i * i / 7);
    const std::string_view all = bytes;
    for (std::size_t cut = 0; cut <= all.size(); cut += 97) {
        const auto first = all.substr(0, cut), second = all.substr(cut);
        REQUIRE(zip::combine_crc32(crc_of(first), crc_of(second), second.size()) == crc_of(all));
    }
}
