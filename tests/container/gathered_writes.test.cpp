// SPDX-License-Identifier: Apache-2.0
#include "crossdock/container/gathered_writes.hpp"

#include <cstddef>
#include <cstdint>
#include <fstream>
#include <iterator>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "crossdock/container/output_file.hpp"
#include "support/catch.hpp"
#include "support/temporary_directory.hpp"

using namespace crossdock;
using crossdock::test::TemporaryDirectory;

namespace {
namespace gathered_writes_test {

using Writes = std::vector<std::pair<std::uint64_t, std::string>>;

std::span<const std::byte> bytes_of(std::string_view text) { return std::as_bytes(std::span(text)); }

Writes flushed(GatheredWrites& pieces) {
    Writes writes;
    pieces.flush([&](std::uint64_t offset, std::span<const std::byte> bytes) {
        writes.emplace_back(offset, std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
    });
    return writes;
}

std::string content(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace gathered_writes_test
}  // namespace

using namespace gathered_writes_test;

TEST_CASE("gathered writes become one where they touch, in whichever order they came", "[container][output_file]") {
    GatheredWrites pieces;
    pieces.add(5, bytes_of("five "));
    pieces.add(10, bytes_of("ten "));
    pieces.add(100, bytes_of("apart"));
    pieces.add(0, bytes_of("zero "));
    CHECK(flushed(pieces) == Writes{{0, "zero five ten "}, {100, "apart"}});
    CHECK(pieces.is_empty());
    pieces.add(7, bytes_of("again"));
    CHECK(flushed(pieces) == Writes{{7, "again"}});
}

TEST_CASE("gathered writes have room for some pieces", "[container][output_file]") {
    GatheredWrites pieces;
    const std::string piece(GatheredWrites::most_bytes, 'x');
    std::size_t count = 0;
    for (; pieces.has_room_for(piece.size()); ++count) pieces.add(count * piece.size(), bytes_of(piece));
    CHECK(count > 1);
    CHECK(flushed(pieces) == Writes{{0, std::string(count * piece.size(), 'x')}});
    CHECK(pieces.has_room_for(piece.size()));
}

TEST_CASE("an output file gathers what one thread writes to it, until it is finished", "[container][output_file]") {
    const TemporaryDirectory directory;
    const std::string path = (directory.path() / "file").string();
    const std::string piece(GatheredWrites::most_bytes, 'p'), large(GatheredWrites::most_bytes + 1, 'l');
    OutputFile file{OutputPath(path)}, other{OutputPath(path + "2")};
    GatheredWrites pieces;
    {
        OutputFile::Gathering gathering(&file, pieces);
        file.write(0, "small ");
        other.write(0, "other");
        CHECK(content(path).empty());
        CHECK(content(path + "2") == "other");
        file.write(6, large);
        CHECK(content(path).size() == 6 + large.size());
        CHECK(content(path)[0] == '\0');
        for (std::size_t i = 0; i < 20; ++i) file.write(6 + large.size() + i * piece.size(), piece);  // more than fits
        gathering.finish();
    }
    std::string expected = "small " + large;
    for (std::size_t i = 0; i < 20; ++i) expected += piece;
    CHECK(content(path) == expected);
    file.write(0, "Small");
    CHECK(content(path).starts_with("Small "));
}

TEST_CASE("what was gathered is dropped when its writer fails", "[container][output_file]") {
    const TemporaryDirectory directory;
    const std::string path = (directory.path() / "file").string();
    OutputFile file{OutputPath(path)};
    GatheredWrites pieces;
    {
        OutputFile::Gathering gathering(&file, pieces);
        file.write(0, "lost");
    }
    CHECK(pieces.is_empty());
    CHECK(content(path).empty());
}
