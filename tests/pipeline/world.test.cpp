// SPDX-License-Identifier: Apache-2.0
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "crossdock/pipeline/convert.hpp"
#include "crossdock/pipeline/verify.hpp"
#include "support/altered_loader.hpp"
#include "support/catch.hpp"
#include "support/conversion.hpp"
#include "support/temporary_directory.hpp"
#include "support/thread_world.hpp"

using namespace crossdock;
using test::AlteredLoader;
using test::golden;
using test::in_ranks;
using test::load;
using test::small_header;
using test::TemporaryDirectory;

namespace {

struct Target {
    std::string saver;
    OptionValues options;
};

const std::vector<Target>& targets() {
    static const std::vector<Target> all{
        {"llama", {{"max_shard_size", "30KB"}}},
        {"llama", {{"layout", "original"}, {"model_parallel_size", "2"}}},
        {"megatron", {{"target_tensor_parallel_size", "2"}, {"target_pipeline_parallel_size", "3"}}},
        {"mcore", {{"target_tensor_parallel_size", "2"}, {"ckpt_format", "torch"}}},
        {"mcore", {{"target_tensor_parallel_size", "2"}, {"ckpt_format", "torch_dist"}, {"num_files", "3"}}},
    };
    return all;
}

std::unique_ptr<AnySaver> saver_for(const Target& target, const std::filesystem::path& directory) {
    OptionValues options = target.options;
    options["save_dir"] = directory.string();
    return test::make_saver(target.saver, options);
}

/// All files below a directory, by their paths in it.
std::map<std::string, std::string> files_in(const std::filesystem::path& directory) {
    std::map<std::string, std::string> files;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(directory))
        if (entry.is_regular_file())
            files[std::filesystem::relative(entry.path(), directory).string()] = test::read_file(entry.path());
    return files;
}

/// In what two directories differ, a file each.
std::vector<std::string> differing_files(const std::filesystem::path& a, const std::filesystem::path& b) {
    const auto left = files_in(a), right = files_in(b);
    std::set<std::string> names;
    for (const auto& [name, content] : left) names.insert(name);
    for (const auto& [name, content] : right) names.insert(name);
    std::vector<std::string> differing;
    for (const std::string& name : names)
        if (!left.contains(name) || !right.contains(name) || left.at(name) != right.at(name)) differing.push_back(name);
    return differing;
}

std::string text_of(const std::exception_ptr& thrown) {
    if (!thrown) return {};
    return test::refusal([&] { std::rethrow_exception(thrown); });
}

std::vector<std::string> texts_of(const std::vector<std::exception_ptr>& thrown) {
    std::vector<std::string> texts;
    for (const std::exception_ptr& one : thrown) texts.push_back(text_of(one));
    return texts;
}

/// Names beside a target: nothing else than it may be left there.
std::vector<std::string> names_in(const std::filesystem::path& directory) {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(directory))
        names.push_back(entry.path().filename().string());
    return names;
}

}  // namespace

TEST_CASE("ranks write what one process writes, however many they are", "[pipeline][world]") {
    const Target target = targets()[static_cast<std::size_t>(GENERATE(range(0, 5)))];
    const std::size_t ranks = GENERATE(2U, 3U, 4U, 7U);
    const std::size_t threads = GENERATE(1U, 2U);
    INFO(target.saver << ", " << ranks << " ranks of " << threads << " threads");
    const TemporaryDirectory scratch;
    AlteredLoader alone(small_header(), 1);
    const auto one = saver_for(target, scratch / "one");
    const Report expected = convert(alone, *one);

    std::vector<Report> reports(ranks);
    const auto thrown = in_ranks(ranks, [&](World& world) {
        AlteredLoader loader(small_header(), 1);
        const auto saver = saver_for(target, scratch / "many");
        reports[world.rank()] = convert(loader, *saver, {.threads = threads, .world = &world});
    });
    CHECK(texts_of(thrown) == std::vector<std::string>(ranks));
    CHECK(differing_files(scratch / "one", scratch / "many").empty());
    for (const Report& report : reports) {
        CHECK(report.bytes == expected.bytes);
        CHECK(report.tensors == expected.tensors);
    }
    CHECK(names_in(scratch.path()).size() == 2);
}

TEST_CASE("ranks read what they convert from files", "[pipeline][world]") {
    const auto [loader, source] =
        GENERATE(std::pair<std::string, std::string>("mcore", "megatron-dist/llama2-gqa-mcore0.16-tp2pp2vpp2"),
                 std::pair<std::string, std::string>("llama", "hf/llama3-gqa"));
    const std::string from = loader, directory = source;
    const Target target = targets()[static_cast<std::size_t>(GENERATE(0, 1, 3, 4))];
    const TemporaryDirectory scratch;
    const auto alone = load(from, golden(directory));
    const auto one = saver_for(target, scratch / "one");
    convert(*alone, *one);
    const auto thrown = in_ranks(3, [&](World& world) {
        const auto own = load(from, golden(directory));
        const auto saver = saver_for(target, scratch / "many");
        convert(*own, *saver, {.threads = 2, .world = &world});
    });
    CHECK(texts_of(thrown) == std::vector<std::string>(3));
    CHECK(differing_files(scratch / "one", scratch / "many").empty());
}

TEST_CASE("each rank moves a part of the bytes", "[pipeline][world]") {
    const TemporaryDirectory scratch;
    std::vector<std::uint64_t> moved(4);
    std::uint64_t all = 0;
    const auto thrown = in_ranks(4, [&](World& world) {
        AlteredLoader loader(small_header(), 1);
        const auto saver = saver_for(targets()[0], scratch / "many");
        std::uint64_t seen = 0;
        const Report report = convert(
            loader, *saver,
            {.threads = 1, .progress = [&seen](const Progress& progress) { seen = progress.bytes; }, .world = &world});
        moved[world.rank()] = seen / 4;
        if (world.leads()) all = report.bytes;
    });
    CHECK(texts_of(thrown) == std::vector<std::string>(4));
    std::uint64_t sum = 0;
    for (const std::uint64_t bytes : moved) {
        CHECK(bytes > all / 8);
        CHECK(bytes < all / 2);
        sum += bytes;
    }
    CHECK(sum == all);
}

TEST_CASE("what fails on one rank fails on all, with its number, and leaves nothing", "[pipeline][world]") {
    const std::size_t bad = static_cast<std::size_t>(GENERATE(0, 1, 2));
    const int where = GENERATE(0, 1, 2);
    INFO("rank " << bad << ", place " << where);
    const TemporaryDirectory scratch;
    const auto thrown = in_ranks(3, [&](World& world) {
        AlteredLoader loader(small_header(), 1);
        if (world.rank() == bad) {
            const auto fail = [] { throw Error("the disk is on fire"); };
            if (where == 0) loader.at_begin = fail;
            if (where == 1) loader.alter_embeddings = [fail](Embeddings&) { fail(); };
            if (where == 2)
                loader.alter_layer = [fail](TransformerLayer& layer) {
                    if (layer.index == 2) fail();
                };
        }
        const auto saver = saver_for(targets()[2], scratch / "many");
        convert(loader, *saver, {.threads = 2, .world = &world});
    });
    const std::string text = "rank " + std::to_string(bad) + ": the disk is on fire";
    CHECK(texts_of(thrown) == std::vector<std::string>(3, text));
    CHECK(names_in(scratch.path()).empty());
}

TEST_CASE("what fails before the conversion reaches all ranks through together()", "[pipeline][world]") {
    const TemporaryDirectory scratch;
    const auto thrown = in_ranks(3, [&](World& world) {
        together(world, [&] {
            AlteredLoader loader(small_header(), 1);
            if (world.rank() == 2) throw Error("no such file");
            const auto saver = saver_for(targets()[0], scratch / "many");
            convert(loader, *saver, {.world = &world});
        });
    });
    CHECK(texts_of(thrown) == std::vector<std::string>(3, "rank 2: no such file"));
    CHECK(names_in(scratch.path()).empty());
}

TEST_CASE("what fails on all ranks is told as one process tells it", "[pipeline][world]") {
    const TemporaryDirectory scratch;
    test::write_file(scratch / "target", "a file");
    const auto thrown = in_ranks(2, [&](World& world) {
        AlteredLoader loader(small_header(), 1);
        loader.alter_header = [](ModelHeader&) { throw Error("the header is broken"); };
        const auto saver = saver_for(targets()[0], scratch / "many");
        convert(loader, *saver, {.world = &world});
    });
    CHECK(texts_of(thrown) == std::vector<std::string>(2, "the header is broken"));
}

TEST_CASE("ranks remove what a killed run left", "[pipeline][world]") {
    const TemporaryDirectory scratch;
    const auto staging = scratch / ".many.crossdock-staging";
    std::filesystem::create_directories(staging / "files");
    test::write_file(staging / "files" / "config.json", "half of it");
    test::write_file(staging / "lock", std::string(100, '7'));  // longer than what is written into it
    const auto thrown = in_ranks(2, [&](World& world) {
        AlteredLoader loader(small_header(), 1);
        const auto saver = saver_for(targets()[0], scratch / "many");
        convert(loader, *saver, {.world = &world});
    });
    CHECK(texts_of(thrown) == std::vector<std::string>(2));
    CHECK(names_in(scratch.path()) == std::vector<std::string>{"many"});
}

TEST_CASE("a rank that is asked to stop stops all", "[pipeline][world]") {
    const TemporaryDirectory scratch;
    std::stop_source stop;
    stop.request_stop();
    const auto thrown = in_ranks(3, [&](World& world) {
        AlteredLoader loader(small_header(), 1);
        const auto saver = saver_for(targets()[0], scratch / "many");
        ConvertOptions options{.world = &world};
        if (world.rank() == 1) options.stop = stop.get_token();
        convert(loader, *saver, options);
    });
    for (const std::exception_ptr& one : thrown) {
        REQUIRE(one);
        CHECK_THROWS_AS(std::rethrow_exception(one), Cancelled);
    }
    CHECK(names_in(scratch.path()).empty());
}

TEST_CASE("ranks that see different models refuse before they write", "[pipeline][world]") {
    const TemporaryDirectory scratch;
    const auto thrown = in_ranks(3, [&](World& world) {
        AlteredLoader loader(small_header(), 1);
        if (world.rank() == 1) loader.alter_header = [](ModelHeader& header) { header.attention.rope_theta = 10000.0; };
        const auto saver = saver_for(targets()[0], scratch / "many");
        convert(loader, *saver, {.world = &world});
    });
    CHECK(texts_of(thrown) ==
          std::vector<std::string>(
              3, "the ranks do not see the same model in the source; do all of them see the same files?"));
    CHECK(names_in(scratch.path()).empty());
}

TEST_CASE("ranks that plan differently name the first tensor", "[pipeline][world]") {
    const TemporaryDirectory scratch;
    const auto thrown = in_ranks(3, [&](World& world) {
        AlteredLoader loader(small_header(), 1);
        if (world.rank() == 2)
            loader.alter_layer = [](TransformerLayer& layer) {
                if (layer.index == 1) layer.fc2_weight = cast(*layer.fc2_weight, DType::bf16);
            };
        const auto saver = saver_for(targets()[3], scratch / "many");
        convert(loader, *saver, {.world = &world});
    });
    const std::string text = text_of(thrown[0]);
    INFO(text);
    CHECK(text.find("decoder.layers.1.mlp.linear_fc2.weight") != std::string::npos);
    CHECK(texts_of(thrown) == std::vector<std::string>(3, text));
    CHECK(names_in(scratch.path()).empty());
}

namespace {

/// Writes nothing, and knows nothing of ranks.
struct LoneSaver {
    template <class M>
    void write(const M&) {}
    void finish() {}
};

}  // namespace

TEST_CASE("a saver that knows nothing of ranks is refused where there are several", "[pipeline][world]") {
    const auto thrown = in_ranks(2, [&](World& world) {
        AlteredLoader loader(small_header(), 1);
        LoneSaver saver;
        convert(loader, saver, {.world = &world});
    });
    CHECK(texts_of(thrown) ==
          std::vector<std::string>(2, "this saver cannot share its work among several processes; run it in one"));
}

TEST_CASE("ranks find the differences that one process finds", "[pipeline][world]") {
    const std::size_t ranks = GENERATE(1U, 2U, 4U);
    const auto make_b = [] {
        AlteredLoader b(small_header(), 1);
        b.alter_layer = [](TransformerLayer& layer) {
            if (layer.index == 1) layer.fc2_weight = repeat_last_row(slice(*layer.fc2_weight, 0, 0, 5), 32);
            if (layer.index == 2) layer.fc2_weight = reshape(*layer.fc2_weight, Shape{48, 32});
        };
        return b;
    };
    const auto lines = [](const VerifyReport& report) {
        std::vector<std::string> all;
        for (const Difference& difference : report.differences)
            all.push_back(difference.place + ": " + difference.text);
        return all;
    };
    AlteredLoader a(small_header(), 1);
    AlteredLoader b = make_b();
    const VerifyReport expected = verify(a, b);
    REQUIRE(expected.differences.size() == 2);

    std::vector<VerifyReport> reports(ranks);
    const auto thrown = in_ranks(ranks, [&](World& world) {
        AlteredLoader own_a(small_header(), 1);
        AlteredLoader own_b = make_b();
        reports[world.rank()] = verify(own_a, own_b, {.threads = 2, .world = &world});
    });
    CHECK(texts_of(thrown) == std::vector<std::string>(ranks));
    for (const VerifyReport& report : reports) {
        CHECK(lines(report) == lines(expected));
        CHECK(report.bytes == expected.bytes);
    }
}
