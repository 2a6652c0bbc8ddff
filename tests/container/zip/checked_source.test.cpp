// SPDX-License-Identifier: Apache-2.0
#include "crossdock/container/zip/checked_source.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "crossdock/container/zip/reader.hpp"
#include "crossdock/core/error.hpp"
#include "support/catch.hpp"
#include "support/memory_source.hpp"
#include "support/zip_bytes.hpp"

using namespace crossdock;
using namespace crossdock::test;
using Catch::Matchers::ContainsSubstring;

namespace {

const std::string text = "the quick brown fox jumps over the lazy dog";

/// A zip of one entry whose byte `damaged`, if any, is another one.
std::unique_ptr<zip::CheckedSource> source_of(int damaged = -1) {
    std::string bytes = zip_bytes({{"p/first", "something else"}, {"p/a", text}, {"p/last", "and more"}});
    if (damaged >= 0) bytes[bytes.find(text) + static_cast<std::size_t>(damaged)] ^= 1;
    auto file = memory_source(bytes);
    const zip::Reader reader(file);
    auto source = std::make_unique<zip::CheckedSource>(file);
    source->watch(*reader.find("p/a"), reader.payload_offset(*reader.find("p/a")));
    source->start();
    return source;
}

std::uint64_t begin_of_text(const zip::CheckedSource& source) {
    std::string whole(source.size(), '\0');
    source.read(0, std::as_writable_bytes(std::span(whole).first(60)));
    return zip_bytes({{"p/first", "something else"}, {"p/a", text}, {"p/last", "and more"}}).find(text);
}

/// Reads the ranges of the entry one after the other.
void read(const zip::CheckedSource& source, const std::vector<std::pair<std::size_t, std::size_t>>& ranges) {
    const std::uint64_t begin = begin_of_text(source);
    for (const auto& range : ranges) {
        std::string piece(range.second - range.first, '\0');
        source.read(begin + range.first, std::as_writable_bytes(std::span(piece)));
    }
}

}  // namespace

TEST_CASE("a checksum is compared when all bytes have come, in whichever pieces", "[container][zip]") {
    const std::size_t size = text.size();
    const std::vector<std::vector<std::pair<std::size_t, std::size_t>>> orders{
        {{0, size}},
        {{0, 10}, {10, 20}, {20, size}},
        {{20, size}, {0, 10}, {10, 20}},
        {{5, 15}, {0, 10}, {0, 20}, {10, size}, {0, size}},
        {{0, 4}, {8, 12}, {16, 20}, {2, 18}, {19, size}}};
    for (const auto& order : orders) {
        CHECK_NOTHROW(read(*source_of(), order));
        for (const int damaged : {0, 9, 10, 42})
            CHECK_THROWS_WITH(read(*source_of(damaged), order),
                              ContainsSubstring("zip entry 'p/a' does not have the checksum that the directory gives; "
                                                "the file is damaged"));
    }
    CHECK_NOTHROW(read(*source_of(42), {{0, size - 1}}));
}

TEST_CASE("a checksum is compared when bytes come in many buffers, beside those of others", "[container][zip]") {
    for (const int damaged : {-1, 7}) {
        const auto source = source_of(damaged);
        std::string whole(source->size(), '\0');
        std::vector<iovec> buffers;
        for (std::size_t at = 0; at < whole.size(); at += 5)
            buffers.push_back({whole.data() + at, std::min<std::size_t>(5, whole.size() - at)});
        if (damaged < 0)
            CHECK_NOTHROW(source->read(0, std::span(buffers)));
        else
            CHECK_THROWS_AS(source->read(0, std::span(buffers)), Error);
    }
}

TEST_CASE("checksums are compared from the start on, of entries that were named in any order, and twice",
          "[container][zip]") {
    std::string bytes = zip_bytes({{"p/first", "something else"}, {"p/a", text}, {"p/last", "and more"}});
    bytes[bytes.find(text)] ^= 1;
    const auto file = memory_source(bytes);
    const zip::Reader reader(file);
    zip::CheckedSource source(file);
    for (const char* name : {"p/last", "p/a", "p/first", "p/a", "p/last"})
        source.watch(*reader.find(name), reader.payload_offset(*reader.find(name)));
    std::string whole(source.size(), '\0');
    CHECK_NOTHROW(source.read(0, std::as_writable_bytes(std::span(whole))));
    source.start();
    CHECK_THROWS_WITH(source.read(0, std::as_writable_bytes(std::span(whole))), ContainsSubstring("zip entry 'p/a'"));
}

TEST_CASE("the header of a padded entry is compared when its bytes are read, with them or alone", "[container][zip]") {
    const std::string sound = zip_bytes({{"p/first", "something else"}, {"p/a", text}, {"p/last", "and more"}}, true);
    const std::size_t header = sound.find("p/a") - 30, payload = sound.find(text);
    const auto read_of = [&](const std::string& bytes, std::size_t begin, std::size_t end) {
        const auto file = memory_source(bytes);
        const zip::Reader reader(file);
        zip::CheckedSource source(file);
        for (const char* name : {"p/first", "p/a", "p/last"})
            source.watch(*reader.find(name), reader.padded_offset(*reader.find(name)).value());
        source.start();
        std::string piece(end - begin, '\0');
        source.read(begin, std::as_writable_bytes(std::span(piece)));
        CHECK(piece == bytes.substr(begin, end - begin));
    };
    const std::vector<std::pair<std::size_t, std::size_t>> ranges{
        {0, sound.size()}, {header, payload + 1}, {payload, payload + text.size()}, {payload + 7, payload + 9}};
    for (const auto& range : ranges) {
        CHECK_NOTHROW(read_of(sound, range.first, range.second));
        for (const std::size_t damaged : {header, header + 26, header + 28, header + 30, header + 32}) {
            INFO("byte " << damaged - header << " of the header");
            std::string bytes = sound;
            bytes[damaged] ^= 1;
            CHECK_THROWS_WITH(read_of(bytes, range.first, range.second),
                              ContainsSubstring(std::to_string(header) +
                                                " has another header than the directory says; the file is damaged"));
            CHECK_NOTHROW(read_of(bytes, 64, 70));  // of another entry
        }
    }
}
