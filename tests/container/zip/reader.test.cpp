// SPDX-License-Identifier: Apache-2.0
#include "crossdock/container/zip/reader.hpp"

#include <libdeflate.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "crossdock/core/error.hpp"
#include "support/catch.hpp"
#include "support/memory_source.hpp"
#include "support/zip_bytes.hpp"

using namespace crossdock;
using namespace crossdock::test;

namespace {

zip::Reader reader_of(const std::string& bytes) { return zip::Reader(memory_source(bytes)); }

std::string content(const zip::Reader& reader, std::string_view name, std::uint64_t limit = 1000) {
    const auto bytes = reader.read(*reader.find(name), limit);
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// One entry: header at 0, name at 30, payload at 33, directory at 38, its end record at 87, 109 bytes in all.
const std::string small = zip_bytes({{"p/a", "hello"}});
constexpr std::size_t central = 38, end = 87;

ZipPart deflated(const std::string& name, const std::string& data) {
    const std::unique_ptr<libdeflate_compressor, void (*)(libdeflate_compressor*)> compressor(
        libdeflate_alloc_compressor(6), libdeflate_free_compressor);
    std::string packed(data.size() + 100, '\0');
    packed.resize(
        libdeflate_deflate_compress(compressor.get(), data.data(), data.size(), packed.data(), packed.size()));
    return {name, packed, 8, static_cast<std::uint32_t>(data.size()), zip::crc32(std::as_bytes(std::span(data)))};
}

/// The same archive with its numbers in the 64-bit forms.
std::string with_zip64() {
    std::string out = small.substr(0, central), directory = small.substr(central, end - central);
    for (const std::size_t at : {20U, 24U, 42U}) directory = patched(directory, at, std::uint32_t{0xFFFFFFFF});
    directory = patched(directory, 30, std::uint16_t{32});
    append_little<std::uint16_t>(directory, 0x7777);  // an extra field of someone else
    append_little<std::uint16_t>(directory, 0);
    append_little<std::uint16_t>(directory, 1);
    append_little<std::uint16_t>(directory, 24);
    for (const std::uint64_t number : {5U, 5U, 0U}) append_little(directory, number);
    const std::uint64_t end_offset = central + directory.size();
    out += directory + std::string("PK\x06\x06", 4);
    append_little<std::uint64_t>(out, 44);
    append_little<std::uint32_t>(out, 0);
    append_little<std::uint64_t>(out, 0);
    for (const std::uint64_t number :
         {std::uint64_t{1}, std::uint64_t{1}, std::uint64_t{directory.size()}, std::uint64_t{central}})
        append_little(out, number);
    out += std::string("PK\x06\x07\0\0\0\0", 8);
    append_little(out, end_offset);
    append_little<std::uint32_t>(out, 1);
    std::string last = small.substr(end);
    for (const std::size_t at : {8U, 10U}) last = patched(last, at, std::uint16_t{0xFFFF});
    for (const std::size_t at : {12U, 16U}) last = patched(last, at, std::uint32_t{0xFFFFFFFF});
    return out + last;
}

}  // namespace

TEST_CASE("zip reader finds stored entries", "[container][zip]") {
    const zip::Reader reader = reader_of(zip_bytes({{"p/a", "hello"}, {"p/b", ""}, {"p/c", "you"}}));
    REQUIRE(reader.entries().size() == 3);
    CHECK(reader.entries()[1].name == "p/b");
    CHECK(reader.payload_offset(*reader.find("p/a")) == 33);
    CHECK(content(reader, "p/a") == "hello");
    CHECK(content(reader, "p/b").empty());
    CHECK(content(reader, "p/c") == "you");
    CHECK(reader.find("a") == nullptr);
}

TEST_CASE("zip reader reads an empty archive and one with a comment", "[container][zip]") {
    CHECK(reader_of(zip_bytes({})).entries().empty());
    CHECK(content(reader_of(patched(small, end + 20, std::uint16_t{4}) + "note"), "p/a") == "hello");
}

TEST_CASE("zip reader reads 64-bit numbers", "[container][zip]") {
    const zip::Reader reader = reader_of(with_zip64());
    CHECK(content(reader, "p/a") == "hello");
}

TEST_CASE("zip reader unpacks deflated entries up to a limit", "[container][zip]") {
    const std::string data(5000, 'x');
    const zip::Reader reader = reader_of(zip_bytes({deflated("p/a", data)}));
    CHECK(content(reader, "p/a", 5000) == data);
    CHECK_THROWS_WITH(content(reader, "p/a", 4999), "memory: zip entry 'p/a' holds 5000 bytes, at most 4999 are read");
    CHECK_THROWS_WITH(reader.payload_offset(*reader.find("p/a")),
                      "memory: zip entry 'p/a' is compressed, expected it stored as PyTorch does; save it again with "
                      "torch.save");
}

TEST_CASE("zip reader refuses a deflated entry that unpacks to something else", "[container][zip]") {
    ZipPart part = deflated("p/a", std::string(5000, 'x'));
    part.unpacked_bytes = 4999;
    CHECK_THROWS_WITH(content(reader_of(zip_bytes({part})), "p/a", 10000),
                      "memory: zip entry 'p/a' does not unpack to the 4999 bytes that the directory gives; the file is "
                      "damaged");
    part.unpacked_bytes = 0x7FFFFFFF;
    CHECK_THROWS_WITH(content(reader_of(zip_bytes({part})), "p/a", std::uint64_t{1} << 40),
                      "memory: zip entry 'p/a' cannot unpack to 2147483647 bytes; the file is damaged");
}

TEST_CASE("zip reader refuses a wrong checksum, but not one that was left out", "[container][zip]") {
    CHECK_THROWS_WITH(content(reader_of(patched(small, central + 16, 77)), "p/a"),
                      "memory: zip entry 'p/a' does not have the checksum that the directory gives; the file is "
                      "damaged");
    CHECK(content(reader_of(patched(small, central + 16, 0)), "p/a") == "hello");
}

TEST_CASE("zip reader refuses what is no zip", "[container][zip]") {
    CHECK_THROWS_WITH(reader_of(""),
                      "memory: no zip directory is found at its end, it holds 0 bytes; it is probably "
                      "truncated");
    CHECK_THROWS_WITH(reader_of(std::string(100, 'P')),
                      "memory: no zip directory is found at its end, it holds 100 bytes; it is probably truncated");
}

TEST_CASE("zip reader refuses an archive that is cut anywhere", "[container][zip]") {
    for (const std::string& whole : {small, with_zip64()})
        for (std::size_t bytes = 0; bytes < whole.size(); ++bytes)
            REQUIRE_THROWS_AS(reader_of(whole.substr(0, bytes)), Error);
}

TEST_CASE("zip reader refuses a directory that leaves the file", "[container][zip]") {
    CHECK_THROWS_WITH(reader_of(patched(small, end + 16, 4000)),
                      "memory: the zip directory should lie at offset 4000 with 49 bytes, but its end record stands at "
                      "87; the file is damaged");
    CHECK_THROWS_WITH(reader_of(patched(small, end + 12, 50)),
                      "memory: the zip directory should lie at offset 38 with 50 bytes, but its end record stands at "
                      "87; the file is damaged");
}

TEST_CASE("zip reader refuses a directory with more entries than bytes", "[container][zip]") {
    const std::string more = patched(patched(small, end + 8, std::uint16_t{2}), end + 10, std::uint16_t{2});
    CHECK_THROWS_WITH(reader_of(more), "memory: the zip directory claims 2 entries in 49 bytes; the file is damaged");
}

TEST_CASE("zip reader refuses a directory that holds no entry where one should stand", "[container][zip]") {
    CHECK_THROWS_WITH(
        reader_of(patched(small, central, 0)),
        "memory: offset 38 holds no entry of the zip directory, 1 more are expected; the file is damaged");
}

TEST_CASE("zip reader refuses an entry whose name leaves the directory", "[container][zip]") {
    CHECK_THROWS_WITH(reader_of(patched(small, central + 28, std::uint16_t{4})),
                      "memory: the zip directory's entry at offset 38 leaves it; the file is damaged");
}

TEST_CASE("zip reader refuses an entry that leaves the file", "[container][zip]") {
    CHECK_THROWS_WITH(reader_of(patched(small, central + 42, 9)),
                      "memory: zip entry 'p/a' lies at offset 9 with 5 bytes, the zip directory begins at 38; the file "
                      "is damaged");
    const std::string large = patched(patched(small, central + 20, 9), central + 24, 9);
    CHECK_THROWS_WITH(reader_of(large),
                      "memory: zip entry 'p/a' lies at offset 0 with 9 bytes, the zip directory begins at 38; the file "
                      "is damaged");
}

TEST_CASE("zip reader refuses a stored entry of two sizes", "[container][zip]") {
    CHECK_THROWS_WITH(reader_of(patched(small, central + 24, 4)),
                      "memory: zip entry 'p/a' is stored, but takes 5 bytes for 4; the file is damaged");
}

TEST_CASE("zip reader refuses 64-bit numbers that are not there", "[container][zip]") {
    const std::string lacking = patched(patched(small, central + 20, -1), central + 24, -1);
    CHECK_THROWS_WITH(
        reader_of(lacking),
        "memory: zip entry 'p/a' needs 64-bit sizes that the directory does not give; the file is damaged");
}

TEST_CASE("zip reader refuses a zip64 record that is not there", "[container][zip]") {
    const std::string whole = with_zip64();
    const std::size_t locator = whole.size() - 22 - 20;
    CHECK_THROWS_WITH(reader_of(patched(whole, locator + 8, std::uint64_t{locator})),
                      "memory: the zip64 locator points to offset 175, expected the end record in front of offset 175; "
                      "the file is damaged");
    CHECK_THROWS_WITH(
        reader_of(patched(whole, locator + 8, std::uint64_t{1})),
        "memory: offset 1 holds no zip64 end record though the locator points there; the file is damaged");
}

TEST_CASE("zip reader refuses encrypted, split and otherwise compressed archives", "[container][zip]") {
    CHECK_THROWS_WITH(reader_of(patched(small, central + 8, std::uint16_t{1})),
                      "memory: zip entry 'p/a' is encrypted; decrypt the file first");
    CHECK_THROWS_WITH(reader_of(patched(small, central + 34, std::uint16_t{1})),
                      "memory: zip entry 'p/a' lies in another part of a multi-part zip; join the parts first");
    CHECK_THROWS_WITH(reader_of(patched(small, end + 4, std::uint16_t{1})),
                      "memory: is one part of a multi-part zip; join the parts first");
    CHECK_THROWS_WITH(reader_of(patched(small, central + 10, std::uint16_t{12})),
                      "memory: zip entry 'p/a' is compressed by method 12, expected it stored");
}

TEST_CASE("zip reader refuses two entries of one name", "[container][zip]") {
    CHECK_THROWS_WITH(reader_of(zip_bytes({{"p/a", "x"}, {"p/a", "y"}})),
                      "memory: zip entry 'p/a' stands twice in the directory");
}

TEST_CASE("zip reader refuses a header that contradicts the directory", "[container][zip]") {
    CHECK_THROWS_WITH(content(reader_of(patched(small, 0, 0)), "p/a"),
                      "memory: zip entry 'p/a' has no header at offset 0; the file is damaged");
    CHECK_THROWS_WITH(content(reader_of(patched(small, 32, 'b')), "p/a"),
                      "memory: zip entry 'p/a' has another name in its header at offset 0; the file is damaged");
    CHECK_THROWS_WITH(content(reader_of(patched(small, 28, std::uint16_t{500})), "p/a"),
                      "memory: zip entry 'p/a' lies at offset 533 with 5 bytes, the file ends at 109; it is damaged");
}

TEST_CASE("zip reader tells where padded payloads begin, by the directory alone", "[container][zip]") {
    const std::vector<ZipPart> parts{{"p/a", "hello"}, {"p/bc", std::string(100, 'x')}, {"p/d", "0123456789"}};
    const std::string padded = zip_bytes(parts, true);
    const zip::Reader reader = reader_of(padded);
    for (const ZipPart& part : parts) {
        const auto offset = reader.padded_offset(*reader.find(part.name));
        REQUIRE(offset);
        CHECK(*offset == padded.find(part.data));
        CHECK(*offset == reader.payload_offset(*reader.find(part.name)));
    }
    const zip::Reader others = reader_of(zip_bytes(parts));
    for (const ZipPart& part : parts) CHECK_FALSE(others.padded_offset(*others.find(part.name)));
}

TEST_CASE("zip reader does not trust a padding that the directory contradicts", "[container][zip]") {
    const std::string padded = zip_bytes({{"p/a", "hello"}, {"p/b", "world"}}, true);
    const std::size_t directory = padded.find("PK\x01\x02"), size = directory + 24, packed = directory + 20;
    const auto with_size = [&](std::uint32_t bytes) {
        return reader_of(patched(patched(padded, packed, bytes), size, bytes));
    };
    const zip::Reader sound = with_size(5);
    CHECK(sound.padded_offset(*sound.find("p/a")) == 64);
    for (const std::uint32_t bytes : {4U, 6U, 60U}) {
        const zip::Reader reader = with_size(bytes);
        CHECK_FALSE(reader.padded_offset(*reader.find("p/a")));
    }
}
