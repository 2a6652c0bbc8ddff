// SPDX-License-Identifier: Apache-2.0
#include "crossdock/container/gathered_writes.hpp"

#include <sys/uio.h>

#include <climits>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "crossdock/container/output_file.hpp"
#include "support/catch.hpp"
#include "support/temporary_directory.hpp"

using namespace crossdock;
using crossdock::test::read_file;
using crossdock::test::TemporaryDirectory;

namespace {
namespace gathered_writes_test {

using Writes = std::vector<std::pair<std::uint64_t, std::string>>;

std::span<const std::byte> bytes_of(std::string_view text) { return std::as_bytes(std::span(text)); }

/// The writes that pieces of one file become.
Writes written(GatheredWrites& pieces, std::size_t most = 1 << 20) {
    Writes writes;
    for_each_touching(pieces.sorted(), most, [&](std::uint64_t offset, std::span<const iovec> buffers) {
        std::string text;
        for (const iovec& buffer : buffers) text.append(static_cast<const char*>(buffer.iov_base), buffer.iov_len);
        writes.emplace_back(offset, std::move(text));
    });
    return writes;
}

struct Files {
    TemporaryDirectory directory{};
    OutputFile a{OutputPath(directory / "a")}, b{OutputPath(directory / "b")};

    std::string content(const char* name) const { return read_file(directory / name); }
};

}  // namespace gathered_writes_test
}  // namespace

using namespace gathered_writes_test;

TEST_CASE("gathered writes become one where they touch, in whichever order they came", "[container][output_file]") {
    Files files;
    GatheredWrites pieces;
    CHECK(pieces.add(files.a, 5, bytes_of("five ")));
    CHECK(pieces.add(files.a, 10, bytes_of("ten ")));
    CHECK(pieces.add(files.a, 100, bytes_of("apart")));
    CHECK(pieces.add(files.a, 0, bytes_of("zero ")));
    CHECK(written(pieces) == Writes{{0, "zero five ten "}, {100, "apart"}});
    pieces.begin({});
    CHECK(written(pieces).empty());
    pieces.add(files.a, 7, bytes_of("again"));
    CHECK(written(pieces) == Writes{{7, "again"}});
}

TEST_CASE("gathered writes come in so many bytes at a time, and in as many buffers as the kernel takes",
          "[container][output_file]") {
    Files files;
    GatheredWrites pieces;
    pieces.add(files.a, 3, bytes_of("defghij"));
    pieces.add(files.a, 0, bytes_of("abc"));
    CHECK(written(pieces, 4) == Writes{{0, "abcd"}, {4, "efgh"}, {8, "ij"}});

    const std::string text(5000, 'x');
    pieces.begin(bytes_of(text));
    for (std::size_t i = 0; i < text.size() / 2; ++i) pieces.add(files.a, i, bytes_of(text).subspan(2 * i, 1));
    std::size_t calls = 0, bytes = 0;
    for_each_touching(pieces.sorted(), text.size(), [&](std::uint64_t offset, std::span<const iovec> buffers) {
        CHECK(offset == bytes);
        CHECK(buffers.size() <= IOV_MAX);
        for (const iovec& buffer : buffers) bytes += buffer.iov_len;
        ++calls;
    });
    CHECK(bytes == text.size() / 2);
    CHECK(calls == (text.size() / 2 + IOV_MAX - 1) / IOV_MAX);
}

TEST_CASE("gathered writes copy what does not stay where it is", "[container][output_file]") {
    Files files;
    GatheredWrites pieces;
    std::string stays = "stays", passes = "passes";
    pieces.begin(bytes_of(stays));
    CHECK(pieces.add(files.a, 0, bytes_of(passes)));
    CHECK(pieces.add(files.a, 6, bytes_of(stays)));
    stays = "keeps";
    passes = "******";
    CHECK(written(pieces) == Writes{{0, "passeskeeps"}});
}

TEST_CASE("gathered writes take small copies while there is room, and all that stays where it is",
          "[container][output_file]") {
    Files files;
    GatheredWrites pieces;
    const std::string small(1000, 's'), large(1'000'000, 'l');
    CHECK_FALSE(pieces.add(files.a, 0, bytes_of(large)));
    std::size_t count = 0;
    while (pieces.add(files.a, count * small.size(), bytes_of(small))) ++count;
    CHECK(count > 100);
    CHECK(count < 10'000);
    CHECK(written(pieces, 1 << 30) == Writes{{0, std::string(count * small.size(), 's')}});
    pieces.begin(bytes_of(large));
    for (std::size_t i = 0; i < 10; ++i) CHECK(pieces.add(files.a, i * large.size(), bytes_of(large)));
    CHECK(pieces.add(files.b, 0, bytes_of(small)));
}

TEST_CASE("what a thread writes is put off while it says so, and written to its files later",
          "[container][output_file]") {
    Files files;
    GatheredWrites pieces;
    const std::string kept(700'000, 'k'), large(100'000, 'l');
    {
        const OutputFile::PuttingOff putting_off(pieces);
        pieces.begin(bytes_of(kept));
        files.a.write(0, "small ");
        files.b.write(0, "other");
        files.a.write(6, kept);
        CHECK(files.content("a").empty());
        CHECK(files.content("b").empty());
        files.a.write(6 + kept.size(), large);  // is in nobody's way when it is written at once
        CHECK(files.content("a").size() == 6 + kept.size() + large.size());
    }
    for (const GatheredWrites::Piece& piece : pieces.sorted()) piece.file->write_pieces({&piece, 1});
    CHECK(files.content("a") == "small " + kept + large);
    CHECK(files.content("b") == "other");
    files.a.write(0, "Small");
    CHECK(files.content("a").starts_with("Small "));
}
