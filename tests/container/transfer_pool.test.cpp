// SPDX-License-Identifier: Apache-2.0
#include "crossdock/container/transfer_pool.hpp"

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <mutex>
#include <span>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "crossdock/container/output_file.hpp"
#include "crossdock/container/transfer/bands.hpp"
#include "crossdock/container/transfer/schedule.hpp"
#include "crossdock/core/read_plan.hpp"
#include "crossdock/core/recipe.hpp"
#include "support/catch.hpp"
#include "support/temporary_directory.hpp"

using namespace crossdock;

namespace {

/// A place in memory; knows which pieces were written.
class MemorySlot final : public TensorSlot {
public:
    explicit MemorySlot(std::uint64_t bytes) : bytes_(bytes) {}

    void write(std::uint64_t at, std::span<const std::byte> bytes) override {
        const std::lock_guard lock(mutex_);
        std::ranges::copy(bytes, bytes_.begin() + static_cast<std::ptrdiff_t>(at));
        pieces_.emplace_back(at, at + bytes.size());
        smallest_ = std::min(smallest_, bytes.size());
    }

    const std::vector<std::byte>& bytes() const { return bytes_; }
    std::size_t smallest_write() const { return smallest_; }
    bool is_written_once() const {
        auto pieces = pieces_;
        std::ranges::sort(pieces);
        std::uint64_t end = 0;
        for (const auto& [from, to] : pieces) {
            if (from != end) return false;
            end = to;
        }
        return end == bytes_.size();
    }

private:
    std::mutex mutex_;
    std::vector<std::byte> bytes_;
    std::vector<std::pair<std::uint64_t, std::uint64_t>> pieces_;
    std::size_t smallest_ = std::size_t(-1);
};

/// A place on a full disk.
class FullSlot final : public TensorSlot {
public:
    void write(std::uint64_t, std::span<const std::byte>) override { throw Error("disk: is full"); }
};

/// Counts what is read of it, and notes reads that go back. Like a file, it keeps nothing in memory.
class CountingSource final : public Source {
public:
    explicit CountingSource(std::uint64_t size) : size_(size) {}

    using Source::read;
    const std::string& name() const noexcept override { return name_; }
    std::uint64_t size() const noexcept override { return size_; }
    bool keeps_memory() const noexcept override { return false; }

    void read(std::uint64_t offset, std::span<iovec> buffers) const override {
        if (offset < next_) ++backward_;
        ++reads_;
        for (const iovec& buffer : buffers) {
            auto* out = static_cast<std::uint8_t*>(buffer.iov_base);
            for (std::size_t left = buffer.iov_len; left > 0;) {
                const std::size_t from = offset % values().size(), length = std::min(left, values().size() - from);
                out = std::copy_n(values().data() + from, length, out);
                offset += length;
                left -= length;
            }
            read_ += buffer.iov_len;
        }
        next_ = offset;
    }

    std::uint64_t bytes_read() const { return read_; }
    std::uint64_t reads() const { return reads_; }
    std::uint64_t reads_backward() const { return backward_; }

private:
    /// What it consists of, again and again: of prime length, so that no bytes at round distances are alike.
    static const std::vector<std::uint8_t>& values() {
        static const std::vector<std::uint8_t> all = [] {
            std::vector<std::uint8_t> made(65'521);
            for (std::size_t at = 0; at < made.size(); ++at) made[at] = static_cast<std::uint8_t>(at * 31 + at / 509);
            return made;
        }();
        return all;
    }

    std::string name_ = "counted";
    std::uint64_t size_;
    mutable std::atomic<std::uint64_t> read_ = 0, reads_ = 0, next_ = 0, backward_ = 0;
};

/// Tensors that keep their bytes in memory; few of them wait at a time.
Tensor tensor_in_memory(std::uint64_t bytes) {
    const auto memory = std::make_shared<std::vector<std::byte>>(bytes, std::byte{7});
    return region(std::make_shared<MemorySource>(*memory, memory), 0, DType::u8, Shape{bytes});
}

Tensor tensor_of(DType dtype, Shape shape) {
    const std::uint64_t bytes = shape.element_count() * item_size(dtype);
    return region(std::make_shared<CountingSource>(bytes), 0, dtype, std::move(shape));
}

struct Moved {
    Tensor tensor;
    std::shared_ptr<MemorySlot> slot;

    explicit Moved(Tensor from) : tensor(std::move(from)), slot(std::make_shared<MemorySlot>(tensor.byte_count())) {}
    operator Transfer() const { return {tensor, slot, "moved"}; }

    void check() const {
        CHECK(slot->is_written_once());
        CHECK(slot->bytes() == tensor.bytes());
    }
};

}  // namespace

TEST_CASE("transfer pool moves tensors of any size, each byte once", "[container][transfer]") {
    const std::size_t threads = GENERATE(0U, 1U, 3U);
    const std::vector<Moved> all{
        Moved(tensor_of(DType::f32, Shape{})),           Moved(tensor_of(DType::u8, Shape{3'333'333})),
        Moved(tensor_of(DType::bf16, Shape{1000, 999})), Moved(tensor_of(DType::f32, Shape{2, 400'001})),
        Moved(tensor_of(DType::f64, Shape{5, 0, 3})),    Moved(tensor_of(DType::bf16, Shape{8, 300, 513})),
        Moved(tensor_of(DType::f32, Shape{400'001, 1})), Moved(tensor_of(DType::i64, Shape{0}))};
    std::uint64_t expected = 0, moved = 0;
    TransferPool pool(threads, [&](std::uint64_t bytes) { moved += bytes; });
    for (const Moved& one : all) {
        expected += one.tensor.byte_count();
        pool.submit({one});
    }
    pool.wait();
    for (const Moved& one : all) one.check();
    CHECK(moved == expected);
}

TEST_CASE("transfer pool moves tensors of one group that differ in size", "[container][transfer]") {
    const std::vector<Moved> all{Moved(tensor_of(DType::u8, Shape{5'000'000})), Moved(tensor_of(DType::f32, Shape{3})),
                                 Moved(tensor_of(DType::bf16, Shape{7, 11})),
                                 Moved(tensor_of(DType::bf16, Shape{3, 500'000}))};
    TransferPool pool(2);
    pool.submit({all.begin(), all.end()});
    pool.submit({});
    pool.wait();
    for (const Moved& one : all) one.check();
}

TEST_CASE("transfer pool reads a tensor that is cut by columns once, in file order", "[container][transfer]") {
    const auto source = std::make_shared<CountingSource>(4096 * 1024 * 2);
    const Tensor whole = region(source, 0, DType::bf16, Shape{4096, 1024});
    std::vector<Moved> shards;
    for (std::uint64_t rank = 0; rank < 8; ++rank) shards.emplace_back(slice(whole, 1, rank * 128, rank * 128 + 128));
    {
        TransferPool pool(1);
        pool.submit({shards.begin(), shards.end()});
        pool.wait();
    }
    CHECK(source->bytes_read() == whole.byte_count());
    CHECK(source->reads_backward() == 0);
    for (const Moved& shard : shards) shard.check();
}

TEST_CASE("transfer pool evaluates casts and transpositions", "[container][transfer]") {
    const Tensor tensor = tensor_of(DType::bf16, Shape{700, 1300});
    const std::vector<Moved> all{Moved(cast(tensor, DType::f32)), Moved(transpose(tensor)),
                                 Moved(transpose(cast(tensor, DType::f64)))};
    TransferPool pool(2);
    for (const Moved& one : all) pool.submit({one});
    pool.wait();
    for (const Moved& one : all) one.check();
}

TEST_CASE("transfer pool writes tensors that are cut by rows in whole bands", "[container][transfer]") {
    const auto source = std::make_shared<CountingSource>(4096 * 1024 * 2);
    const Tensor whole = region(source, 0, DType::bf16, Shape{4096, 1024});
    std::vector<Moved> shards;
    for (std::uint64_t rank = 0; rank < 8; ++rank) shards.emplace_back(slice(whole, 0, rank * 512, rank * 512 + 512));
    {
        TransferPool pool(2);
        pool.submit({shards.begin(), shards.end()});
        pool.wait();
    }
    CHECK(source->reads() == 8);
    for (const Moved& shard : shards) {
        CHECK(shard.slot->smallest_write() == shard.tensor.byte_count());
        shard.check();
    }
}

TEST_CASE("transfer pool takes larger bands of what would be moved in small pieces", "[container][transfer]") {
    const auto source = std::make_shared<CountingSource>(4096 * 1024 * 2);
    const Tensor whole = region(source, 0, DType::bf16, Shape{4096, 1024});
    std::vector<Moved> moved;
    SECTION("shards of columns") {
        for (std::uint64_t rank = 0; rank < 16; ++rank) moved.emplace_back(slice(whole, 1, rank * 64, rank * 64 + 64));
    }
    SECTION("a transposed tensor") { moved.emplace_back(transpose(whole)); }
    {
        TransferPool pool(2);
        pool.submit({moved.begin(), moved.end()});
        pool.wait();
    }
    CHECK(source->bytes_read() == whole.byte_count());
    CHECK(source->reads() <= 64);
    for (const Moved& one : moved) {
        CHECK(one.slot->smallest_write() >= 256 << 10);
        one.check();
    }
}

TEST_CASE("transfer pool reads a transposed matrix once where there is memory for it", "[container][transfer]") {
    const auto source = std::make_shared<CountingSource>(3072 * 4096 * 2);
    const Moved moved(transpose(region(source, 0, DType::bf16, Shape{3072, 4096})));
    {
        TransferPool pool(2);
        pool.submit({moved});
        pool.wait();
    }
    CHECK(source->bytes_read() == source->size());
    CHECK(source->reads() <= 3072 / 64);  // 64 rows at a time
    moved.check();
}

TEST_CASE("transfer pool chooses bands by how a tensor is made, not by its name alone", "[container][transfer]") {
    const auto source = std::make_shared<CountingSource>(2048 * 2048 * 2);
    const Tensor whole = region(source, 0, DType::bf16, Shape{2048, 2048});
    const Moved plain(whole), turned(transpose(whole));
    TransferPool pool(2);
    pool.submit({plain});
    pool.wait();
    const auto reads = source->reads();
    pool.submit({turned});
    pool.wait();
    CHECK(source->reads() - reads <= 2048 / 64);
    turned.check();
}

TEST_CASE("transfer pool joins the reads of small tensors", "[container][transfer]") {
    const std::uint64_t count = 3000, bytes = 50;
    const auto source = std::make_shared<CountingSource>(count * bytes);
    std::vector<Moved> all;
    for (std::uint64_t i = 0; i < count; ++i) all.emplace_back(region(source, i * bytes, DType::u8, Shape{bytes}));
    {
        TransferPool pool(2);
        for (const Moved& one : all) pool.submit({one});
        pool.wait();
    }
    CHECK(source->reads() < 20);
    for (const Moved& one : all) one.check();
}

TEST_CASE("a file has one writer at a time, and files have theirs side by side", "[container][transfer]") {
    class FileSlot final : public TensorSlot {
    public:
        explicit FileSlot(OutputFile& file) : file_(file) {}
        void write(std::uint64_t at, std::span<const std::byte> bytes) override { file_.write(at, bytes); }
        FilePlace place(std::uint64_t at) const override { return {&file_, at}; }

    private:
        OutputFile& file_;
    };
    using Task = crossdock::detail::Schedule::Task;
    const test::TemporaryDirectory directory;
    const Tensor tensor = tensor_of(DType::u8, Shape{1'000'000});
    OutputFile a{OutputPath(directory / "a")}, b{OutputPath(directory / "b")};
    crossdock::detail::Schedule schedule(4);
    for (OutputFile* file : {&a, &b})
        schedule.add(crossdock::detail::Bands({{tensor, std::make_shared<FileSlot>(*file), "t"}}, 100'000), false);

    ReadPlan reads;
    std::vector<Task> writing;
    std::size_t most = 0;
    const auto end = [&](const Task& task) {
        if (const auto work = schedule.done(task)) schedule.forget(work->bands.transfers().size(), false);
    };
    for (;;) {
        if (const Task task = schedule.next(); task && task.part) {
            for (const Task& other : writing) CHECK(other.part->file != task.part->file);
            writing.push_back(task);
            most = std::max(most, writing.size());
        } else if (task) {
            CHECK(task.carrier->band.load(task.carrier->work->bands, task.carrier->number, reads) == 0);
            end(task);
        } else if (!writing.empty()) {
            CHECK(writing.back().carrier->band.write(*writing.back().part) == 100'000);
            end(writing.back());
            writing.pop_back();
        } else {
            break;
        }
    }
    CHECK(most == 2);
    CHECK(schedule.is_empty());
    const std::vector<std::byte> bytes = tensor.bytes();
    const std::string expected(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    CHECK(test::read_file(directory / "a") == expected);
    CHECK(test::read_file(directory / "b") == expected);
}

TEST_CASE("transfer pool refuses too little memory and says how much would do", "[container][transfer]") {
    const std::uint64_t mebibyte = 1 << 20;
    CHECK_THROWS_WITH(
        TransferPool(8, {}, {}, 10 * mebibyte),
        "memory 10 MiB is too little for 8 threads; give the option memory at least 18 MiB, or the option "
        "threads a smaller number");
    CHECK_THROWS_WITH(TransferPool(1, {}, {}, 1),
                      "memory 1 MiB is too little for 1 thread; give the option memory at least 17 MiB");
    TransferPool(8, {}, {}, 18 * mebibyte).wait();

    const Moved tall(transpose(cast(tensor_of(DType::f32, Shape{100'000, 3}), DType::bf16)));  // cast one by one
    TransferPool little(2, {}, {}, 17 * mebibyte);
    const std::string refusal =
        "tensor 'moved': moving a part of it takes 3 MiB of memory, 2 threads have 17 MiB; give the option memory at "
        "least 21 MiB, or the option threads a smaller number";
    CHECK_THROWS_WITH(little.submit({tall}), refusal);
    CHECK_THROWS_WITH(little.wait(), refusal);
    TransferPool enough(2, {}, {}, 21 * mebibyte);
    enough.submit({tall});
    enough.wait();
    CHECK(tall.slot->is_written_once());
}

TEST_CASE("transfer pool can be filled again after waiting", "[container][transfer]") {
    TransferPool pool(2);
    pool.wait();
    for (int round = 0; round < 3; ++round) {
        const Moved one(tensor_of(DType::u8, Shape{2'000'000}));
        pool.submit({one});
        pool.wait();
        one.check();
    }
}

TEST_CASE("transfer pool takes more groups than it keeps pending", "[container][transfer]") {
    std::vector<Moved> all;
    for (std::uint64_t i = 0; i < 500; ++i) all.emplace_back(tensor_in_memory(1 + i * 37));
    TransferPool pool(2);
    for (const Moved& one : all) pool.submit({one});
    pool.wait();
    for (const Moved& one : all) one.check();
}

TEST_CASE("transfer pool hands on the error of a place, with the tensor's name", "[container][transfer]") {
    TransferPool pool(2);
    pool.submit({{tensor_of(DType::u8, Shape{9'000'000}), std::make_shared<FullSlot>(), "a.weight"}});
    CHECK_THROWS_WITH(pool.wait(), "tensor 'a.weight': disk: is full");
    CHECK_THROWS_WITH(pool.wait(), "tensor 'a.weight': disk: is full");
    CHECK_THROWS_WITH(pool.submit({Moved(tensor_of(DType::u8, Shape{1}))}), "tensor 'a.weight': disk: is full");
}

TEST_CASE("transfer pool hands on the error of a source, with the tensors' names", "[container][transfer]") {
    class Broken final : public Source {
    public:
        using Source::read;
        const std::string& name() const noexcept override { return name_; }
        std::uint64_t size() const noexcept override { return 100; }
        void read(std::uint64_t, std::span<iovec>) const override { throw Error(name_ + ": shrank"); }

    private:
        std::string name_ = "broken";
    };
    const Tensor tensor = region(std::make_shared<Broken>(), 0, DType::u8, Shape{100});
    const auto slot = std::make_shared<MemorySlot>(100);
    TransferPool one(1), two(1);
    one.submit({{tensor, slot, "a"}});
    CHECK_THROWS_WITH(one.wait(), "tensor 'a': broken: shrank");
    two.submit({{tensor, slot, "a"}, {tensor, slot, "b"}, {tensor, slot, "c"}});
    CHECK_THROWS_WITH(two.wait(), "tensor 'a': broken: shrank");
}

TEST_CASE("transfer pool wakes a submitter when it fails", "[container][transfer]") {
    TransferPool pool(1);
    const auto submit_all = [&] {
        for (int i = 0; i < 1000; ++i) pool.submit({{tensor_in_memory(1000), std::make_shared<FullSlot>(), "a"}});
    };
    CHECK_THROWS_WITH(submit_all(), "tensor 'a': disk: is full");
}

TEST_CASE("transfer pool hands on an exception of the caller's progress function", "[container][transfer]") {
    TransferPool pool(2, [](std::uint64_t) { throw std::runtime_error("enough"); });
    pool.submit({Moved(tensor_of(DType::u8, Shape{10'000'000}))});
    CHECK_THROWS_WITH(pool.wait(), "enough");
}

TEST_CASE("transfer pool ends with Cancelled when it is asked to", "[container][transfer]") {
    std::stop_source stop;
    std::uint64_t moved = 0;
    TransferPool pool(
        2, [&](std::uint64_t bytes) { moved += bytes, stop.request_stop(); }, stop.get_token());
    pool.submit({Moved(tensor_of(DType::u8, Shape{50'000'000}))});
    CHECK_THROWS_AS(pool.wait(), Cancelled);
    CHECK_THROWS_AS(pool.submit({}), Cancelled);
    CHECK(moved < 10'000'000);
}

TEST_CASE("transfer pool may be left with work undone", "[container][transfer]") {
    TransferPool pool(2);
    for (int i = 0; i < 4; ++i) pool.submit({Moved(tensor_of(DType::u8, Shape{3'000'000}))});
}
