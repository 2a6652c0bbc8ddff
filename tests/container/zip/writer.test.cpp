// SPDX-License-Identifier: Apache-2.0
#include "crossdock/container/zip/writer.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "crossdock/container/zip/reader.hpp"
#include "crossdock/core/error.hpp"
#include "crossdock/core/source.hpp"
#include "support/catch.hpp"
#include "support/temporary_directory.hpp"

using namespace crossdock;
using namespace crossdock::test;

namespace {

void put(const zip::EntryWriter& entry, std::string_view bytes, std::uint64_t at = 0) {
    entry.write(at, std::as_bytes(std::span(bytes)));
}

zip::Reader reader_of(const std::filesystem::path& path) { return zip::Reader(std::make_shared<FileSource>(path)); }

}  // namespace

TEST_CASE("zip writer writes these bytes", "[container][zip]") {
    const TemporaryDirectory directory;
    zip::Writer writer(directory / "x");
    put(writer.add("a", 2), "hi");
    writer.finish();
    const std::string fields("\0\x08\0\0\0\0\x21\0\xAC\x2A\x93\xD8\x02\0\0\0\x02\0\0\0\x01\0", 22);
    const std::string local = std::string("PK\x03\x04\x14\0", 6) + fields +
                              std::string(
                                  "\x21\0"
                                  "a"
                                  "FB\x1D\0",
                                  7) +
                              std::string(29, 'Z');
    const std::string central = std::string("PK\x01\x02\x2D\0\x14\0", 8) + fields + std::string(16, '\0') + "a";
    const std::string end("PK\x05\x06\0\0\0\0\x01\0\x01\0\x2F\0\0\0\x42\0\0\0\0\0", 22);
    CHECK(read_file(directory / "x") == local + "hi" + central + end);
}

TEST_CASE("zip writer aligns payloads to 64 bytes whatever the names and sizes", "[container][zip]") {
    const TemporaryDirectory directory;
    zip::Writer writer(directory / "x");
    std::vector<std::string> contents;
    for (std::size_t i = 0; i < 130; ++i) {
        contents.push_back(std::string(i * 3 % 70, static_cast<char>('a' + i % 26)));
        const auto entry = writer.add(std::string(1 + i, 'n'), contents.back().size());
        REQUIRE(entry.offset() % 64 == 0);
        put(entry, contents.back());
    }
    writer.finish();
    const zip::Reader reader = reader_of(directory / "x");
    REQUIRE(reader.entries().size() == contents.size());
    for (std::size_t i = 0; i < contents.size(); ++i) {
        const auto& entry = reader.entries()[i];
        REQUIRE(reader.payload_offset(entry) % 64 == 0);
        const auto bytes = reader.read(entry, 100);  // checks the checksum
        REQUIRE(std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size()) == contents[i]);
    }
}

TEST_CASE("zip writer's file passes unzip's test", "[container][zip]") {
    if (std::system("unzip -v > /dev/null 2>&1") != 0) return;
    const TemporaryDirectory directory;
    zip::Writer writer(directory / "x.zip");
    put(writer.add("p/data.pkl", 5), "hello");
    put(writer.add("p/data/0", 0), "");
    writer.finish();
    CHECK(std::system(("unzip -tq " + (directory / "x.zip").string() + " > /dev/null").c_str()) == 0);
}

TEST_CASE("zip writer takes blocks in any order and from several threads", "[container][zip]") {
    const TemporaryDirectory directory;
    std::string content;
    for (unsigned i = 0; i < 100000; ++i) content += static_cast<char>(i * 31 / 7);
    zip::Writer writer(directory / "x");
    const auto entry = writer.add("p/data/0", content.size()), other = writer.add("p/data/1", 1);
    std::vector<std::thread> threads;
    for (std::size_t first = 0; first < 3; ++first)
        threads.emplace_back([&, first] {
            const std::size_t blocks = content.size() / 1000;
            for (std::size_t block = blocks - first; block-- > 0; block -= std::min<std::size_t>(block, 2))
                put(entry, std::string_view(content).substr(block * 1000, 1000), block * 1000);
        });
    for (auto& thread : threads) thread.join();
    put(other, "x");
    writer.finish();
    const zip::Reader reader = reader_of(directory / "x");
    const auto bytes = reader.read(*reader.find("p/data/0"), content.size());
    CHECK(std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size()) == content);
}

TEST_CASE("zip writer uses 64-bit numbers from 65535 entries on", "[container][zip]") {
    const TemporaryDirectory directory;
    zip::Writer writer(directory / "x");
    for (int i = 0; i < 65535; ++i) writer.add(std::to_string(i), 0);
    writer.finish();
    CHECK(reader_of(directory / "x").entries().size() == 65535);
}

TEST_CASE("zip writer numbers entries, whichever others come between", "[container][zip]") {
    const TemporaryDirectory directory;
    zip::Writer writer(directory / "x", "p/data/");
    writer.add("p/a", 0);
    writer.add_numbered(0);
    writer.put("p/b", "");
    const auto last = writer.add_numbered(4);
    CHECK_THROWS_WITH(writer.finish(),
                      (directory / "x").string() + ": zip entry 'p/data/1' has not received all of its 4 bytes");
    CHECK_THROWS_WITH(put(last, "", 5),
                      (directory / "x").string() + ": zip entry 'p/data/1' is given more than its 4 bytes");
    put(last, "abcd");
    writer.finish();
    const zip::Reader reader = reader_of(directory / "x");
    std::vector<std::string> names;
    for (const zip::Entry& entry : reader.entries()) names.emplace_back(entry.name);
    CHECK(names == std::vector<std::string>{"p/a", "p/data/0", "p/b", "p/data/1"});
}

TEST_CASE("zip writer refuses an entry that lacks bytes", "[container][zip]") {
    const TemporaryDirectory directory;
    zip::Writer writer(directory / "x");
    const auto entry = writer.add("p/a", 4);
    put(entry, "ab");
    put(entry, "d", 3);
    const std::string file = (directory / "x").string();
    CHECK_THROWS_WITH(writer.finish(), file + ": zip entry 'p/a' has not received all of its 4 bytes");
}

TEST_CASE("zip writer refuses an entry that receives more bytes than it has", "[container][zip]") {
    const TemporaryDirectory directory;
    zip::Writer writer(directory / "x");
    const auto entry = writer.add("p/a", 4);
    put(entry, "cd", 2);
    const std::string place = (directory / "x").string() + ": zip entry 'p/a' ";
    CHECK_THROWS_WITH(put(entry, "abc", 0), place + "is written twice: it has received more than its 4 bytes");
    CHECK_THROWS_WITH(put(entry, "ef", 3), place + "is given more than its 4 bytes");
    CHECK_THROWS_WITH(put(entry, "", 5), place + "is given more than its 4 bytes");
}

TEST_CASE("zip writer refuses a name that is taken", "[container][zip]") {
    const TemporaryDirectory directory;
    zip::Writer writer(directory / "x");
    writer.add("p/a", 0);
    CHECK_THROWS_WITH(writer.add("p/a", 0), (directory / "x").string() + ": zip entry 'p/a' is added twice");
}
