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

TEST_CASE("what the pieces add to a checksum makes that of the whole, wherever it is cut", "[container][zip]") {
    std::string bytes;
    for (unsigned i = 0; i < 3000; ++i) bytes += static_cast<char>(i * i / 7);
    const std::string_view all = bytes;
    for (std::size_t cut = 0; cut <= all.size(); cut += 97) {
        const auto first = all.substr(0, cut), second = all.substr(cut);
        REQUIRE((zip::crc32_share(crc_of(first), second.size()) ^ zip::crc32_share(crc_of(second), 0)) == crc_of(all));
    }
}

TEST_CASE("a checksum can be moved by more bytes than there is memory", "[container][zip]") {
    // 2^32 - 1 is a period of x, and 8 has no divisor in common with it.
    CHECK(zip::crc32_share(0x12345678U, 0xFFFFFFFFU) == 0x12345678U);
    CHECK(zip::crc32_share(0x12345678U, (std::uint64_t{1} << 40) * 0xFFFFFFU) !=
          zip::crc32_share(0x12345678U, std::uint64_t{1} << 40));
    std::uint32_t halves = zip::crc32_share(0x12345678U, std::uint64_t{3} << 40);
    halves = zip::crc32_share(halves, std::uint64_t{5} << 40);
    CHECK(halves == zip::crc32_share(0x12345678U, std::uint64_t{8} << 40));
}
