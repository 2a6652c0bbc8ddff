// SPDX-License-Identifier: Apache-2.0
#include "crossdock/core/read_plan.hpp"

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "crossdock/core/error.hpp"
#include "support/catch.hpp"

using namespace crossdock;

namespace {

/// A source whose byte at offset i is i modulo 256, and that notes which ranges were asked for.
class NotingSource final : public Source {
public:
    using Source::read;
    const std::string& name() const noexcept override { return name_; }
    std::uint64_t size() const noexcept override { return std::uint64_t{1} << 30; }
    void read(std::uint64_t offset, std::span<iovec> buffers) const override {
        if (broken) throw Error("noting: broken");
        std::size_t bytes = 0;
        for (const iovec& buffer : buffers)
            for (std::size_t i = 0; i < buffer.iov_len; ++i, ++bytes)
                static_cast<std::byte*>(buffer.iov_base)[i] = static_cast<std::byte>(offset + bytes);
        ranges.emplace_back(offset, bytes);
    }

    mutable std::vector<std::pair<std::uint64_t, std::size_t>> ranges;
    bool broken = false;

private:
    std::string name_ = "noting";
};

using Ranges = std::vector<std::pair<std::uint64_t, std::size_t>>;

std::vector<std::byte> bytes_of(std::initializer_list<int> values) {
    std::vector<std::byte> out;
    for (const int value : values) out.push_back(static_cast<std::byte>(value));
    return out;
}

}  // namespace

TEST_CASE("a read plan reads in file order and puts each range where it belongs", "[core][read_plan]") {
    const NotingSource source;
    std::vector<std::byte> out(6);
    ReadPlan plan;
    plan.read(source, 40'040, 2, out.data());
    plan.read(source, 10, 2, out.data() + 2);
    plan.read(source, 20'020, 2, out.data() + 4);
    CHECK(source.ranges.empty());
    plan.execute();
    CHECK(out == bytes_of({40'040, 40'041, 10, 11, 20'020, 20'021}));
    CHECK(source.ranges == Ranges{{10, 2}, {20'020, 2}, {40'040, 2}});
}

TEST_CASE("a read plan reads what lies close together at once, with what is between", "[core][read_plan]") {
    const NotingSource source;
    const auto bytes = GENERATE(std::size_t{2}, std::size_t{5000});  // by way of a buffer, and not
    std::vector<std::byte> out(2 * bytes);
    ReadPlan plan;
    plan.read(source, 10 + bytes + 1000, bytes, out.data());
    plan.read(source, 10, bytes, out.data() + bytes);
    plan.execute();
    CHECK(source.ranges == Ranges{{10, 2 * bytes + 1000}});
    for (std::size_t i = 0; i < bytes; ++i) {
        REQUIRE(out[i] == static_cast<std::byte>(10 + bytes + 1000 + i));
        REQUIRE(out[bytes + i] == static_cast<std::byte>(10 + i));
    }
}

TEST_CASE("a read plan reads a matrix that is cut by columns once", "[core][read_plan]") {
    const NotingSource source;
    const std::uint64_t rows = 3000, width = 100, shards = 4;
    std::vector<std::byte> out(rows * width * shards);
    ReadPlan plan;
    for (std::uint64_t shard = 0; shard < shards; ++shard)
        for (std::uint64_t row = 0; row < rows; ++row)
            plan.read(source, 7 + (row * shards + shard) * width, width, out.data() + (shard * rows + row) * width);
    const std::uint64_t calls = plan.cost().reads;
    plan.execute();
    CHECK(source.ranges.size() == calls);
    CHECK(calls < 10);
    std::uint64_t next = 7;
    for (const auto& range : source.ranges) {
        CHECK(range.first == next);
        next += range.second;
    }
    CHECK(next == 7 + out.size());
    for (std::uint64_t i = 0; i < out.size(); ++i) {
        const std::uint64_t shard = i / width / rows, row = i / width % rows;
        REQUIRE(out[i] == static_cast<std::byte>(7 + (row * shards + shard) * width + i % width));
    }
}

TEST_CASE("a read plan spreads what lies together over places at equal distances", "[core][read_plan]") {
    const NotingSource source;
    std::vector<std::byte> out(60);
    ReadPlan plan;
    for (std::size_t row = 0; row < 20; ++row) plan.read(source, 100 + 2 * row, 2, out.data() + 3 * row);
    plan.execute();
    CHECK(source.ranges == Ranges{{100, 40}});
    for (std::size_t row = 0; row < 20; ++row) {
        CHECK(out[3 * row] == static_cast<std::byte>(100 + 2 * row));
        CHECK(out[3 * row + 1] == static_cast<std::byte>(101 + 2 * row));
        CHECK(out[3 * row + 2] == std::byte{0});
    }
}

TEST_CASE("a read plan reads pieces at equal distances as it reads one after the other", "[core][read_plan]") {
    // bytes, step, out_step, pieces: apart, together, whole, large, one, none, empty, overlapping
    const auto [bytes, step, out_step, pieces] =
        GENERATE(table<std::size_t, std::uint64_t, std::size_t, std::uint64_t>({{10, 30, 10, 50},
                                                                                {2, 2, 3, 20},
                                                                                {7, 7, 7, 9},
                                                                                {5000, 6000, 5500, 4},
                                                                                {8, 100, 100, 1},
                                                                                {8, 100, 100, 0},
                                                                                {0, 5, 5, 3},
                                                                                {10, 4, 10, 6}}));
    CAPTURE(bytes, step, out_step, pieces);
    const NotingSource source, other;
    std::vector<std::byte> out(30'000), expected(30'000);
    ReadPlan at_once, one_by_one;
    at_once.read_pieces({&source, 11, bytes, out.data() + 1, pieces, step, out_step});
    for (std::uint64_t i = 0; i < pieces; ++i)
        one_by_one.read(other, 11 + i * step, bytes, expected.data() + 1 + i * out_step);
    at_once.execute();
    one_by_one.execute();
    CHECK(out == expected);
    CHECK(source.ranges == other.ranges);
}

TEST_CASE("a read plan does not read long gaps between the rows of one shard", "[core][read_plan]") {
    const NotingSource source;
    std::vector<std::byte> out(30);
    ReadPlan plan;
    for (std::size_t row = 0; row < 3; ++row) plan.read(source, 100'000 * row, 10, out.data() + 10 * row);
    plan.execute();
    CHECK(source.ranges == Ranges{{0, 10}, {100'000, 10}, {200'000, 10}});
    for (std::size_t i = 0; i < out.size(); ++i) CHECK(out[i] == static_cast<std::byte>(100'000 * (i / 10) + i % 10));
}

TEST_CASE("a read plan reads ranges that touch in the file at once, wherever they go", "[core][read_plan]") {
    const NotingSource source;
    std::vector<std::byte> out(6);
    ReadPlan plan;
    plan.read(source, 12, 2, out.data());
    plan.read(source, 10, 2, out.data() + 4);
    plan.read(source, 14, 2, out.data() + 2);
    plan.execute();
    CHECK(out == bytes_of({12, 13, 14, 15, 10, 11}));
    CHECK(source.ranges == Ranges{{10, 6}});
}

TEST_CASE("a read plan reads a range as often as it is asked for", "[core][read_plan]") {
    const NotingSource source;
    std::vector<std::byte> out(6);
    ReadPlan plan;
    for (std::size_t i = 0; i < 3; ++i) plan.read(source, 5, 2, out.data() + 2 * i);
    plan.execute();
    CHECK(out == bytes_of({5, 6, 5, 6, 5, 6}));
}

TEST_CASE("a read plan keeps sources apart", "[core][read_plan]") {
    const NotingSource a, b;
    std::vector<std::byte> out(4);
    ReadPlan plan;
    plan.read(a, 10, 2, out.data());
    plan.read(b, 12, 2, out.data() + 2);
    plan.execute();
    CHECK(out == bytes_of({10, 11, 12, 13}));
    CHECK(a.ranges == Ranges{{10, 2}});
    CHECK(b.ranges == Ranges{{12, 2}});
}

TEST_CASE("a read plan asks no source for nothing", "[core][read_plan]") {
    const NotingSource source;
    ReadPlan plan;
    plan.read(source, 10, 0, nullptr);
    plan.execute();
    CHECK(source.ranges.empty());
}

TEST_CASE("a read plan runs its steps after all reads, in the order in which they were added", "[core][read_plan]") {
    const NotingSource source;
    std::vector<std::byte> out(1);
    std::string log;
    ReadPlan plan;
    plan.then([&] { log += source.ranges.size() == 1 ? "read, " : "not read, "; });
    std::byte* scratch = plan.scratch(4);
    plan.read(source, 7, 4, scratch);
    plan.then([&, scratch] { out[0] = scratch[3], log += "first, "; });
    plan.then([&] { log += "second"; });
    plan.execute();
    CHECK(log == "read, first, second");
    CHECK(out == bytes_of({10}));
}

TEST_CASE("a read plan is empty after it was executed", "[core][read_plan]") {
    const NotingSource source;
    std::vector<std::byte> out(2);
    int steps = 0;
    ReadPlan plan;
    plan.read(source, 0, 2, out.data());
    plan.then([&] { ++steps; });
    plan.execute();
    plan.execute();
    CHECK(source.ranges.size() == 1);
    CHECK(steps == 1);
}

TEST_CASE("a read plan hands on a source's error and runs no step", "[core][read_plan]") {
    NotingSource source;
    source.broken = true;
    std::byte out{};
    int steps = 0;
    ReadPlan plan;
    plan.read(source, 0, 1, &out);
    plan.then([&] { ++steps; });
    CHECK_THROWS_WITH(plan.execute(), "noting: broken");
    CHECK(steps == 0);
}
