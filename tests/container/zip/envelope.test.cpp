// SPDX-License-Identifier: Apache-2.0
#include "crossdock/container/zip/envelope.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "crossdock/container/output_file.hpp"
#include "crossdock/container/zip/crc32.hpp"
#include "crossdock/container/zip/writer.hpp"
#include "support/catch.hpp"
#include "support/temporary_directory.hpp"

using namespace crossdock;
using crossdock::test::read_file;
using crossdock::test::TemporaryDirectory;

namespace {
namespace envelope_test {

const std::vector<zip::Envelope::Content> contents{{"a", "alpha"}, {"folder/beta", std::string(100, 'b')}, {"c", ""}};

/// What zip::Writer makes of the same entries, from byte `begin` of a file on.
std::string written(std::uint64_t begin, const std::optional<std::string>& last) {
    const TemporaryDirectory directory;
    zip::Writer zip(std::make_shared<OutputFile>(OutputPath(directory / "x")), begin);
    for (const auto& content : contents) zip.put(content.name, content.bytes);
    if (last) zip.add("last", last->size()).write(0, std::as_bytes(std::span(*last)));
    zip.close();
    return read_file(directory / "x").substr(begin);
}

}  // namespace envelope_test
}  // namespace

using namespace envelope_test;

TEST_CASE("an envelope is the zip around content that comes later", "[container][zip]") {
    const std::uint64_t begin = GENERATE(0U, 1U, 63U, 64U, 1000U);
    const std::string last =
        GENERATE(as<std::string>(), "", "one", "more than one block, were blocks as small as that");
    const zip::Envelope envelope(begin, contents, zip::Envelope::Awaited{"last", last.size()});
    const std::uint32_t crc = zip::crc32(std::as_bytes(std::span(last)));
    CHECK(envelope.head(crc) + last + envelope.tail(crc) == written(begin, last));
    CHECK(envelope.head_bytes() == envelope.head(crc).size());
    CHECK(envelope.awaited_bytes() == last.size());
    CHECK(envelope.length() == written(begin, last).size());
    CHECK((begin + envelope.head_bytes()) % 64 == 0);
}

TEST_CASE("an envelope that awaits nothing is a whole zip", "[container][zip]") {
    const std::uint64_t begin = GENERATE(0U, 7U, 640U);
    const zip::Envelope envelope(begin, contents);
    CHECK(envelope.whole() == written(begin, {}));
    CHECK(envelope.length() == envelope.whole().size());
}

TEST_CASE("an envelope has 64-bit numbers where its content is that long", "[container][zip]") {
    const std::uint64_t bytes = std::uint64_t{5} << 30;
    const TemporaryDirectory directory;
    zip::Writer zip(std::make_shared<OutputFile>(OutputPath(directory / "x")), 0);
    for (const auto& content : contents) zip.put(content.name, content.bytes);
    const zip::EntryWriter last = zip.add("last", bytes);
    const zip::Envelope envelope(0, contents, zip::Envelope::Awaited{"last", bytes});
    CHECK(envelope.length() == zip.length());
    CHECK(envelope.head_bytes() == last.offset());
}
