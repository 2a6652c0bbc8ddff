// SPDX-License-Identifier: Apache-2.0
#include "crossdock/core/source.hpp"

#include <sys/stat.h>
#include <sys/uio.h>

#include <algorithm>
#include <chrono>
#include <climits>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <memory>
#include <span>
#include <thread>
#include <vector>

#include "crossdock/core/error.hpp"
#include "support/catch.hpp"
#include "support/temporary_file.hpp"

using namespace crossdock;
using crossdock::test::TemporaryFile;

namespace {

std::vector<std::byte> numbered_bytes(std::size_t count) {
    std::vector<std::byte> out(count);
    for (std::size_t i = 0; i < count; ++i) out[i] = static_cast<std::byte>(i * 7 + i / 251);
    return out;
}

std::vector<std::byte> read(const Source& source, std::uint64_t offset, std::size_t count) {
    std::vector<std::byte> out(count);
    source.read(offset, std::span(out));
    return out;
}

std::vector<std::byte> part(const std::vector<std::byte>& bytes, std::size_t begin, std::size_t count) {
    const auto first = bytes.begin() + static_cast<std::ptrdiff_t>(begin);
    return {first, first + static_cast<std::ptrdiff_t>(count)};
}

/// Reads to many buffers, some of them empty; all must come in order.
void check_scattered_read(const Source& source, const std::vector<std::byte>& expected, std::size_t buffer_bytes) {
    std::vector<std::byte> out(expected.size());
    std::vector<iovec> buffers{{nullptr, 0}};
    for (std::size_t at = 0; at < out.size(); at += buffer_bytes) {
        buffers.push_back({out.data() + at, std::min(buffer_bytes, out.size() - at)});
        if (at % 3 == 0) buffers.push_back({nullptr, 0});
    }
    source.read(0, std::span(buffers));
    CHECK(out == expected);
}

}  // namespace

TEST_CASE("a file source gives the file's bytes and name", "[core][source]") {
    const auto bytes = numbered_bytes(10'000);
    const TemporaryFile file(bytes);
    const FileSource source(file.path());
    CHECK(source.size() == 10'000);
    CHECK(source.name() == file.name());
    CHECK(read(source, 0, 10'000) == bytes);
    CHECK(read(source, 4321, 100) == part(bytes, 4321, 100));
    CHECK(read(source, 10'000, 0).empty());
}

TEST_CASE("a source fills more buffers than one system call takes", "[core][source]") {
    const auto bytes = numbered_bytes(3 * IOV_MAX + 17);
    const TemporaryFile file(bytes);
    check_scattered_read(FileSource(file.path()), bytes, 1);
    check_scattered_read(FileSource(file.path()), bytes, 1000);
    check_scattered_read(MemorySource(bytes, nullptr), bytes, 1);
}

TEST_CASE("a source refuses a range that leaves it", "[core][source]") {
    const auto bytes = numbered_bytes(100);
    const TemporaryFile file(bytes);
    const FileSource source(file.path());
    CHECK_THROWS_WITH(read(source, 90, 11),
                      file.name() + ": 11 bytes at offset 90 are asked for, it holds 100; it is probably truncated");
    CHECK_THROWS_WITH(
        read(source, ~std::uint64_t{0}, 2),
        file.name() + ": 2 bytes at offset 18446744073709551615 are asked for, it holds 100; it is probably truncated");
    CHECK_THROWS_WITH(read(MemorySource(bytes, nullptr), 101, 0),
                      "memory: 0 bytes at offset 101 are asked for, it holds 100; it is probably truncated");
}

TEST_CASE("a file that shrinks while it is read is an error", "[core][source]") {
    const TemporaryFile file(numbered_bytes(10'000));
    const FileSource source(file.path());
    file.resize(4096);
    CHECK_THROWS_WITH(read(source, 0, 10'000), file.name() +
                                                   ": ends at offset 4096, it held 10000 bytes when it was "
                                                   "opened; it shrank while it was being read");
    CHECK_THROWS_WITH(read(source, 5000, 10), file.name() +
                                                  ": ends at offset 5000, it held 10000 bytes when it was "
                                                  "opened; it shrank while it was being read");
    CHECK_THROWS_WITH(read(source, 0, 4096), file.name() +
                                                 ": was changed while it was being read; convert it again "
                                                 "when nobody writes it");
}

TEST_CASE("a file that is changed while it is read is an error of the next read", "[core][source]") {
    const TemporaryFile file(numbered_bytes(1000));
    const auto long_ago = std::filesystem::file_time_type::clock::now() - std::chrono::hours(1);
    std::filesystem::last_write_time(file.path(), long_ago);
    const FileSource source(file.path());
    CHECK(read(source, 0, 1000) == numbered_bytes(1000));
    SECTION("in place") { std::fstream(file.path(), std::ios::binary | std::ios::in | std::ios::out).put('x'); }
    SECTION("at its end") {
        file.resize(1001);
        std::filesystem::last_write_time(file.path(), long_ago);
    }
    CHECK_THROWS_WITH(read(source, 500, 10), file.name() +
                                                 ": was changed while it was being read; convert it again "
                                                 "when nobody writes it");
}

TEST_CASE("a file that grows keeps the size it was opened with", "[core][source]") {
    const TemporaryFile file(numbered_bytes(10));
    const FileSource source(file.path());
    file.resize(100);
    CHECK(source.size() == 10);
    CHECK_THROWS_AS(read(source, 5, 6), Error);
}

TEST_CASE("a file source outlives the file's name", "[core][source]") {
    const auto bytes = numbered_bytes(50);
    const TemporaryFile file(bytes);
    const FileSource source(file.path());
    std::filesystem::remove(file.path());
    CHECK(read(source, 0, 50) == bytes);
}

TEST_CASE("a file source refuses what is no readable file", "[core][source]") {
    CHECK_THROWS_WITH(FileSource("/nonexistent/model.bin"),
                      "/nonexistent/model.bin: cannot be opened: No such file or directory");
    const auto directory = std::filesystem::temp_directory_path();
    CHECK_THROWS_WITH(FileSource(directory), directory.string() + ": is not a regular file");
    CHECK_THROWS_WITH(FileSource("/dev/null"), "/dev/null: is not a regular file");
}

TEST_CASE("a file source refuses a named pipe instead of waiting for its writer", "[core][source]") {
    const TemporaryFile file({});
    std::filesystem::remove(file.path());
    REQUIRE(::mkfifo(file.name().c_str(), 0600) == 0);
    CHECK_THROWS_WITH(FileSource(file.path()), file.name() + ": is not a regular file");
}

TEST_CASE("an empty file is a source of no bytes", "[core][source]") {
    const TemporaryFile file({});
    const FileSource source(file.path());
    CHECK(source.size() == 0);
    CHECK(read(source, 0, 0).empty());
}

TEST_CASE("a memory source keeps its owner alive", "[core][source]") {
    const auto bytes = std::make_shared<const std::vector<std::byte>>(numbered_bytes(20));
    {
        const MemorySource source(*bytes, bytes);
        CHECK(bytes.use_count() == 2);
        CHECK(read(source, 3, 4) == part(*bytes, 3, 4));
    }
    CHECK(bytes.use_count() == 1);
}

TEST_CASE("a part of a source is a source of its own", "[core][source]") {
    const auto bytes = std::make_shared<const std::vector<std::byte>>(numbered_bytes(20));
    const auto whole = std::make_shared<MemorySource>(*bytes, bytes);
    const PartSource source(whole, 5, 10);
    CHECK(source.size() == 10);
    CHECK(source.name() == "memory from byte 5 on");
    CHECK(read(source, 0, 10) == part(*bytes, 5, 10));
    CHECK(read(source, 9, 1) == part(*bytes, 14, 1));
    CHECK_THROWS_AS(read(source, 9, 2), Error);
    CHECK(read(PartSource(whole, 20, 0), 0, 0).empty());
    CHECK_THROWS_WITH(PartSource(whole, 15, 6),
                      "memory: 6 bytes at offset 15 are asked for, it holds 20; it is probably truncated");
    CHECK_THROWS_AS(PartSource(whole, 21, 0), Error);
    CHECK_THROWS_AS(PartSource(whole, 1, UINT64_MAX), Error);
}

TEST_CASE("several threads read one file source", "[core][source]") {
    const auto bytes = numbered_bytes(100'000);
    const TemporaryFile file(bytes);
    const FileSource source(file.path());
    std::vector<char> right(4, 0);
    std::vector<std::thread> threads;
    for (std::size_t t = 0; t < right.size(); ++t)
        threads.emplace_back([&, t] {
            bool all = true;
            for (std::size_t i = 0; i < 200; ++i) {
                const std::size_t begin = (i * 7919 + t * 104'729) % 90'000;
                all = all && read(source, begin, 1000) == part(bytes, begin, 1000);
            }
            right[t] = all;
        });
    for (std::thread& thread : threads) thread.join();
    CHECK(right == std::vector<char>(4, 1));
}
