// SPDX-License-Identifier: Apache-2.0
#include <sys/stat.h>

#include <atomic>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "crossdock/container/journal.hpp"
#include "crossdock/container/journaled_transfers.hpp"
#include "crossdock/container/safetensors/writer.hpp"
#include "crossdock/container/staged_directory.hpp"
#include "crossdock/container/transfer_pool.hpp"
#include "crossdock/core/recipe.hpp"
#include "support/catch.hpp"
#include "support/temporary_directory.hpp"

using namespace crossdock;
using Catch::Matchers::ContainsSubstring;
using crossdock::test::read_file;
using crossdock::test::TemporaryDirectory;
using crossdock::test::write_file;
namespace fs = std::filesystem;

namespace {

constexpr std::uint64_t tensor_bytes = 384 << 10;  // not so few that several move as one

/// A tensor of one letter, which counts what is read of it and may refuse.
class LetterSource final : public Source {
public:
    LetterSource(char letter, bool refuses, std::atomic<std::uint64_t>& read_bytes)
        : letter_(letter),
          refuses_(refuses),
          read_bytes_(read_bytes) {}

    using Source::read;
    const std::string& name() const noexcept override { return name_; }
    std::uint64_t size() const noexcept override { return tensor_bytes; }
    bool keeps_memory() const noexcept override { return false; }
    void read(std::uint64_t, std::span<iovec> buffers) const override {
        if (refuses_) throw Error("source: cannot be read");
        for (const iovec& buffer : buffers) {
            std::memset(buffer.iov_base, letter_, buffer.iov_len);
            read_bytes_ += buffer.iov_len;
        }
    }

private:
    std::string name_ = "source";
    char letter_;
    bool refuses_;
    std::atomic<std::uint64_t>& read_bytes_;
};

struct Run {
    std::string job = "job";
    bool resume = true;
    bool fails = false;  ///< when three of four tensors have been written
    bool overwrite = false;
};

struct Outcome {
    std::uint64_t read_bytes = 0;
    std::vector<std::string> notices{};
    bool is_complete = false;
};

Outcome write(const fs::path& target, const Run& run) {
    Outcome outcome;
    std::atomic<std::uint64_t> read_bytes = 0;
    try {
        StagedDirectory staged(target, run.overwrite, World::alone(), {.job = run.job, .resume = run.resume});
        TransferPool pool(1);
        JournaledTransfers transfers(pool, *staged.journal(), staged.path(), {}, {});
        safetensors::Writer writer(staged.output() / "model.safetensors", 1024);
        for (const char letter : std::string("abcd")) {
            if (letter == 'd') transfers.wait();
            auto source = std::make_shared<LetterSource>(letter, run.fails && letter == 'd', read_bytes);
            const std::string name(1, letter);
            const Tensor tensor = region(std::move(source), 0, DType::bf16, Shape{tensor_bytes / 2});
            transfers.submit({{tensor, writer.add(name, tensor.dtype(), tensor.shape()), name}});
        }
        transfers.wait();
        writer.finish();
        outcome.notices = staged.notices();
        staged.commit();
        outcome.is_complete = true;
    } catch (const Error&) {
    }
    outcome.read_bytes = read_bytes;
    return outcome;
}

/// What a run that nothing disturbs writes.
std::string expected_file() {
    const TemporaryDirectory place;
    write(place / "out", {});
    return read_file(place / "out/model.safetensors");
}

}  // namespace

TEST_CASE("a run that is continued reads what is missing and nothing else", "[container][resume]") {
    const TemporaryDirectory place;
    CHECK_FALSE(write(place / "out", {.fails = true}).is_complete);
    CHECK_FALSE(fs::exists(place / "out"));
    CHECK(fs::exists(place / ".out.crossdock-staging/journal"));
    const Outcome again = write(place / "out", {});
    CHECK(again.is_complete);
    CHECK(again.read_bytes == tensor_bytes);
    REQUIRE(again.notices.size() == 1);
    CHECK_THAT(again.notices[0], ContainsSubstring("continued what a run that did not end left there"));
    CHECK(read_file(place / "out/model.safetensors") == expected_file());
    CHECK_FALSE(fs::exists(place / ".out.crossdock-staging"));
}

TEST_CASE("what was written is trusted only as far as its digests agree", "[container][resume]") {
    const TemporaryDirectory place;
    write(place / "out", {.fails = true});
    const fs::path file = place / ".out.crossdock-staging/files/model.safetensors";
    SECTION("a byte is another one") {
        std::string bytes = read_file(file);
        bytes[bytes.find('b') + 100] = 'x';
        write_file(file, bytes);
        CHECK(write(place / "out", {}).read_bytes == 2 * tensor_bytes);
    }
    SECTION("the file is shorter") {
        fs::resize_file(file, 2048 + tensor_bytes);
        CHECK(write(place / "out", {}).read_bytes == 3 * tensor_bytes);
    }
    SECTION("the file is longer") {
        fs::resize_file(file, 10 * tensor_bytes);
        CHECK(write(place / "out", {}).read_bytes == tensor_bytes);
    }
    SECTION("the file is gone") {
        fs::remove(file);
        CHECK(write(place / "out", {}).read_bytes == 4 * tensor_bytes);
    }
    SECTION("the journal is torn") {
        const fs::path journal = place / ".out.crossdock-staging/journal";
        std::string lines = read_file(journal);
        lines.resize(lines.size() - 10);
        write_file(journal, lines + std::string(50, '\0') + "\n1 2 3\nffff x y z\n");
        CHECK(write(place / "out", {}).read_bytes == 2 * tensor_bytes);
    }
    CHECK(read_file(place / "out/model.safetensors") == expected_file());
}

TEST_CASE("nothing is taken over from another job, or from what others may have written", "[container][resume]") {
    const TemporaryDirectory place;
    write(place / "out", {.fails = true});
    const fs::path staging = place / ".out.crossdock-staging";
    Run run;
    SECTION("other options or another source") { run.job = "another job"; }
    SECTION("anyone may write there") { fs::permissions(staging, fs::perms::all); }
    SECTION("anyone may write a file") {
        fs::permissions(staging / "files/model.safetensors", fs::perms::others_write, fs::perm_options::add);
    }
    SECTION("a file has another name elsewhere") {
        fs::create_hard_link(staging / "files/model.safetensors", place / "elsewhere");
    }
    SECTION("a file is a link") {
        fs::rename(staging / "files/model.safetensors", place / "elsewhere");
        fs::create_symlink(place / "elsewhere", staging / "files/model.safetensors");
    }
    const Outcome again = write(place / "out", run);
    CHECK(again.read_bytes == 4 * tensor_bytes);
    REQUIRE(again.notices.size() == 1);
    CHECK_THAT(again.notices[0], ContainsSubstring("removed what a run that did not end left there"));
    CHECK(read_file(place / "out/model.safetensors") == expected_file());
    CHECK(fs::symlink_status(place / "out/model.safetensors").type() == fs::file_type::regular);
}

TEST_CASE("what a target has replaced is not taken for what was written", "[container][resume]") {
    const TemporaryDirectory place;
    write(place / "out", {.fails = true});
    const fs::path files = place / ".out.crossdock-staging/files";
    fs::create_directory(place / "old");
    write_file(place / "old/old", "old");
    fs::rename(files, place / "out");  // as a run that is killed right then leaves it
    fs::rename(place / "old", files);
    const Outcome again = write(place / "out", {.overwrite = true});
    REQUIRE(again.is_complete);
    CHECK_THAT(again.notices[0], ContainsSubstring("removed what a run that did not end left there"));
    CHECK(read_file(place / "out/model.safetensors") == expected_file());
    CHECK_FALSE(fs::exists(place / "out/old"));
}

TEST_CASE("a run that is not to be continued says that it could have been, and leaves nothing", "[container][resume]") {
    const TemporaryDirectory place;
    write(place / "out", {.fails = true});
    const Outcome again = write(place / "out", {.resume = false, .fails = true});
    CHECK_FALSE(again.is_complete);
    CHECK(fs::is_empty(place.path()));
    write(place / "out", {.fails = true});
    const Outcome complete = write(place / "out", {.resume = false});
    REQUIRE(complete.notices.size() == 1);
    CHECK_THAT(complete.notices[0], ContainsSubstring("; the option resume continues it instead"));
    CHECK(complete.read_bytes == 4 * tensor_bytes);
}
