// SPDX-License-Identifier: Apache-2.0
#include "crossdock/container/zip/envelope.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "crossdock/container/zip/crc32.hpp"
#include "crossdock/container/zip/reader.hpp"
#include "crossdock/container/zip/writer.hpp"
#include "crossdock/core/source.hpp"
#include "support/catch.hpp"
#include "support/temporary_directory.hpp"

using namespace crossdock;
using crossdock::test::read_file;
using crossdock::test::TemporaryDirectory;

namespace {
namespace envelope_test {

const std::vector<zip::Envelope::Content> contents{{"a", "alpha"}, {"folder/beta", std::string(100, 'b')}, {"c", ""}};

/// What zip::Writer makes of the same entries.
std::string written(const std::optional<std::string>& last) {
    const TemporaryDirectory directory;
    zip::Writer zip(directory / "x");
    for (const auto& content : contents) zip.put(content.name, content.bytes);
    if (last) zip.add("last", last->size()).write(0, std::as_bytes(std::span(*last)));
    zip.close();
    return read_file(directory / "x");
}

/// All of a zip around `last`.
std::string whole(const zip::Envelope& envelope, const std::string& last) {
    const std::uint32_t crc = zip::crc32(std::as_bytes(std::span(last)));
    return envelope.head(crc) + last + envelope.tail(crc);
}

}  // namespace envelope_test
}  // namespace

using namespace envelope_test;

TEST_CASE("an envelope is the zip around content that comes later", "[container][zip]") {
    const std::uint64_t begin = GENERATE(0U, 64U, 640U);
    const std::string last =
        GENERATE(as<std::string>(), "", "one", "more than one block, were blocks as small as that");
    const zip::Envelope envelope(begin, contents, zip::Envelope::Awaited{"last", last.size()});
    CHECK(whole(envelope, last) == written(last));
    CHECK(envelope.head_bytes() == envelope.head(0).size());
    CHECK(envelope.awaited_bytes() == last.size());
    CHECK(envelope.length() == written(last).size());
}

TEST_CASE("an envelope's entries begin at multiples of 64 of the file that it is a part of", "[container][zip]") {
    const std::uint64_t begin = GENERATE(0U, 1U, 37U, 63U, 1000U);
    const std::string last = GENERATE(as<std::string>(), "", "the last");
    const zip::Envelope envelope(begin, contents, zip::Envelope::Awaited{"last", last.size()});
    const std::string bytes = whole(envelope, last);
    CHECK(envelope.length() == bytes.size());
    const zip::Reader zip(std::make_shared<MemorySource>(std::as_bytes(std::span(bytes)), nullptr));
    std::vector<zip::Envelope::Content> expected = contents;
    expected.push_back({"last", last});
    REQUIRE(zip.entries().size() == expected.size());
    std::uint64_t end = 0;
    for (std::size_t i = 0; i < expected.size(); ++i) {
        const zip::Entry& entry = zip.entries()[i];
        const std::uint64_t payload = zip.payload_offset(entry);
        CHECK(entry.name == expected[i].name);
        CHECK(bytes.substr(payload, entry.size) == expected[i].bytes);
        CHECK(zip.read(entry, entry.size).size() == expected[i].bytes.size());  // its checksum is right
        CHECK((begin + payload) % 64 == 0);
        const std::uint64_t unpadded = end + 30 + entry.name.size() + 4;  // headers follow each other
        CHECK((payload >= unpadded && payload < unpadded + 64));
        end = payload + entry.size;
    }
    CHECK(envelope.head_bytes() == end - last.size());
}

TEST_CASE("an envelope that awaits nothing is a whole zip", "[container][zip]") {
    const std::uint64_t begin = GENERATE(0U, 640U);
    const zip::Envelope envelope(begin, contents);
    CHECK(envelope.whole() == written({}));
    CHECK(envelope.length() == envelope.whole().size());
}

TEST_CASE("an envelope has 64-bit numbers where its content is that long", "[container][zip]") {
    const std::uint64_t bytes = std::uint64_t{5} << 30;
    const TemporaryDirectory directory;
    zip::Writer zip(directory / "x");
    for (const auto& content : contents) zip.put(content.name, content.bytes);
    const zip::EntryWriter last = zip.add("last", bytes);
    const zip::Envelope envelope(0, contents, zip::Envelope::Awaited{"last", bytes});
    CHECK(envelope.length() == zip.length());
    CHECK(envelope.head_bytes() == last.offset());
}
