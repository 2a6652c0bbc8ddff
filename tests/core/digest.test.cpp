// SPDX-License-Identifier: Apache-2.0
#include "crossdock/core/digest.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <random>
#include <span>
#include <thread>
#include <utility>
#include <vector>

#include "support/catch.hpp"

using namespace crossdock;

namespace {

/// What the digests below were made of, by Python's xxhash 3.5 and the function in docs/proof.md.
std::vector<std::byte> some_bytes(std::size_t count) {
    std::vector<std::byte> bytes;
    std::uint32_t state = 1;
    for (std::size_t i = 0; i < count; ++i) {
        state = state * 1103515245U + 12345U;
        bytes.push_back(static_cast<std::byte>(state >> 16 & 255U));
    }
    return bytes;
}

struct Known {
    std::size_t bytes;
    const char *plain, *in_blocks;
};
constexpr Known known[]{{0, "99aa06d3014798d86001c324468d497f", "99aa06d3014798d86001c324468d497f"},
                        {1, "9a0f174ae92e6df2e5e62017e96f839c", "a21509d56961a1bdbbdbe57f7c248513"},
                        {65535, "19c693de3da0b51211f7464289584740", "edf5f64162a853cec2d3414e87d98df1"},
                        {65536, "cbf3724bfd4de45b3387c315d69e9c87", "7ffce8b92e62f66137c8feeb30e0db39"},
                        {65537, "eade9352a127ead4d47f6fc3e6410610", "b4b932777a9a52d8c8107274fb593aba"},
                        {300000, "c69406b7557524b271be5eb7dcd8cefe", "851847e15ad37847464fb3226449aee0"}};

/// Cuts [0, size) at random places.
std::vector<std::pair<std::size_t, std::size_t>> pieces_of(std::size_t size, std::mt19937& random) {
    std::vector<std::pair<std::size_t, std::size_t>> pieces;
    for (std::size_t at = 0; at < size;) {
        const std::size_t count = std::min<std::size_t>(size - at, 1 + random() % 40'000);
        pieces.emplace_back(at, count);
        at += count;
    }
    return pieces;
}

}  // namespace

TEST_CASE("a digest is XXH3-128, and of blocks that of the list of theirs", "[core][digest]") {
    for (const Known& expected : known) {
        INFO(expected.bytes);
        const std::vector<std::byte> bytes = some_bytes(expected.bytes);
        CHECK(to_string(digest_of(bytes)) == expected.plain);
        DigestStream stream;
        for (std::size_t at = 0; at < bytes.size(); at += 1000)
            stream.add(std::span(bytes).subspan(at, std::min<std::size_t>(1000, bytes.size() - at)));
        CHECK(to_string(stream.value()) == expected.plain);
        BlockDigest blocks(bytes.size());
        blocks.add(0, bytes);
        CHECK(to_string(blocks.value()) == expected.in_blocks);
    }
}

TEST_CASE("a digest of blocks depends neither on pieces, nor on their order, nor on threads", "[core][digest]") {
    const std::vector<std::byte> bytes = some_bytes(300'000);
    std::mt19937 random(7);
    for (int run = 0; run < 20; ++run) {
        auto pieces = pieces_of(bytes.size(), random);
        std::shuffle(pieces.begin(), pieces.end(), random);
        BlockDigest blocks(bytes.size());
        const auto add = [&](std::size_t first) {
            for (std::size_t i = first; i < pieces.size(); i += 2)
                blocks.add(pieces[i].first, std::span(bytes).subspan(pieces[i].first, pieces[i].second));
        };
        std::thread other([&] { add(1); });
        add(0);
        other.join();
        CHECK(to_string(blocks.value()) == "851847e15ad37847464fb3226449aee0");
    }
}

TEST_CASE("a digest of blocks wants all bytes, and no others", "[core][digest]") {
    const std::vector<std::byte> bytes = some_bytes(70'000);
    BlockDigest blocks(bytes.size());
    blocks.add(1, std::span(bytes).subspan(1));
    CHECK_THROWS_AS(blocks.value(), Error);
    CHECK_THROWS_AS(blocks.add(69'999, std::span(bytes).first(2)), Error);
    CHECK_THROWS_AS(blocks.add(70'001, {}), Error);
    blocks.add(0, std::span(bytes).first(1));
    BlockDigest whole(bytes.size());
    whole.add(0, bytes);
    CHECK(blocks.value() == whole.value());
}

TEST_CASE("a digest is read as it is written", "[core][digest]") {
    const Digest digest{0x0123456789abcdef, 0x00000000000000ff};
    CHECK(to_string(digest) == "0123456789abcdef00000000000000ff");
    CHECK(parse_digest(to_string(digest)) == digest);
    for (const char* text : {"", "0123456789abcdef00000000000000f", "0123456789abcdef00000000000000fff",
                             "0123456789abcdef00000000000000fg", "0123456789ABCDEF00000000000000ff"})
        CHECK_FALSE(parse_digest(text).has_value());
}
