// SPDX-License-Identifier: Apache-2.0
#include "crossdock/pipeline/digest.hpp"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <stop_token>
#include <string>
#include <vector>

#include "crossdock/container/json.hpp"
#include "crossdock/core/recipe.hpp"
#include "crossdock/pipeline/convert.hpp"
#include "crossdock/pipeline/digest_list.hpp"
#include "crossdock/protocol/message_bytes.hpp"
#include "support/altered_loader.hpp"
#include "support/catch.hpp"
#include "support/conversion.hpp"
#include "support/temporary_directory.hpp"
#include "support/thread_world.hpp"

using namespace crossdock;
using Catch::Matchers::StartsWith;
using test::AlteredLoader;
using test::in_ranks;
using test::small_header;
using test::TemporaryDirectory;

namespace {

std::vector<std::string> lines_of(const DigestList& list) {
    std::vector<std::string> lines;
    for (const TensorDigest& tensor : list.tensors) lines.push_back(digest_line(tensor));
    return lines;
}

/// Digests of a model whose tensors are of many blocks.
ModelHeader large_header() { return test::llama_header(2, 4, 2, 64, 256, 1024, 1000, DType::f32); }

/// What opens another model in place of a target.
std::function<std::unique_ptr<AnyLoader>(const std::filesystem::path&)> opens_other(std::uint32_t seed) {
    return [seed](const std::filesystem::path&) { return make_any_loader<AlteredLoader>(small_header(), seed); };
}

}  // namespace

TEST_CASE("a model's digests depend neither on threads nor on memory", "[pipeline][digest]") {
    AlteredLoader model(large_header(), 1);
    const DigestReport report = digest(model, {.threads = 1});
    CHECK(report.list.tensors.size() == 17);
    CHECK(report.bytes == expected_model_bytes(large_header(), DType::f32));
    CHECK(report.list.model == model_digest(report.list.tensors));
    for (const std::size_t threads : {2U, 5U})
        CHECK(lines_of(digest(model, {.threads = threads, .memory = std::uint64_t{64} << 20}).list) ==
              lines_of(report.list));
    AlteredLoader other(large_header(), 2);
    CHECK(digest(other).list.model != report.list.model);
}

TEST_CASE("rows that pad the vocabulary are not digested", "[pipeline][digest]") {
    ModelHeader header = small_header();
    header.true_vocab_size = 90;
    AlteredLoader padded(header, 1), other_padding(header, 1);
    other_padding.alter_embeddings = [](Embeddings& embeddings) {
        const Tensor rows = slice(*embeddings.word, 0, 0, 90);
        embeddings.word = concatenate(std::vector<Tensor>{rows, slice(rows, 0, 0, 10)}, 0);
    };
    const DigestReport report = digest(padded);
    CHECK(report.list.tensors.front().shape == Shape{90, 32});
    CHECK(report.notices.empty());
    CHECK(lines_of(digest(other_padding).list) == lines_of(report.list));
    header.true_vocab_size.reset();
    AlteredLoader unknown(header, 1);
    const DigestReport all = digest(unknown);
    CHECK(all.list.tensors.front().shape == Shape{100, 32});
    REQUIRE(all.notices.size() == 1);
    CHECK_THAT(all.notices.front(), StartsWith("the true vocabulary size is not known; all 100 rows are digested"));
}

TEST_CASE("ranks digest what one process digests", "[pipeline][digest][world]") {
    const std::size_t ranks = GENERATE(2U, 3U, 40U);
    AlteredLoader alone(large_header(), 1);
    const DigestReport expected = digest(alone);
    std::vector<std::vector<std::string>> lines(ranks);
    const auto thrown = in_ranks(ranks, [&](World& world) {
        AlteredLoader model(large_header(), 1);
        lines[world.rank()] = lines_of(digest(model, {.threads = 1, .world = &world}).list);
    });
    for (const auto& error : thrown) CHECK_FALSE(error);
    for (const auto& each : lines) CHECK(each == lines_of(expected.list));
}

TEST_CASE("ranks that see other tensors do not agree on digests", "[pipeline][digest][world]") {
    const auto thrown = in_ranks(2, [&](World& world) {
        AlteredLoader model(world.leads() ? small_header() : large_header(), 1);
        digest(model, {.threads = 1, .world = &world});
    });
    for (const auto& error : thrown) CHECK(error);
}

TEST_CASE("digesting can be stopped", "[pipeline][digest]") {
    AlteredLoader model(large_header(), 1);
    std::stop_source stop;
    stop.request_stop();
    CHECK_THROWS_AS(digest(model, {.stop = stop.get_token()}), Cancelled);
}

TEST_CASE("lists come back from JSON, and compare", "[pipeline][digest]") {
    AlteredLoader model(small_header(), 1);
    DigestList list = digest(model).list;
    list.files.push_back({"tokenizer.json", {1, 2}});
    DigestList back = digests_from_json(digests_to_json(list));
    CHECK(lines_of(back) == lines_of(list));
    CHECK(compare_digests(list, back).empty());
    back.files[0].digest = {1, 3};
    back.tensors[1].shape = {31};
    back.tensors[2].dtype = DType::bf16;
    back.tensors[3].digest.low ^= 1;
    back.tensors.pop_back();
    std::vector<DifferenceKind> kinds;
    for (const Difference& difference : compare_digests(list, back)) kinds.push_back(difference.kind);
    using enum DifferenceKind;
    CHECK(kinds == std::vector<DifferenceKind>{shape, type, elements, missing, beside});
    CHECK(compare_digests(back, list)[3].text == "is missing in A; it has shape [100, 32] in B");
}

TEST_CASE("a target that is not the source does not appear", "[pipeline][digest]") {
    const TemporaryDirectory scratch;
    AlteredLoader model(small_header(), 1);
    const auto refused = [&](const auto& read_back) {
        const auto saver = test::make_saver("llama", {{"save_dir", (scratch / "target").string()}});
        return test::refusal([&] { convert(model, *saver, {.read_back = read_back}); });
    };
    CHECK_THAT(refused(opens_other(2)),
               StartsWith("the target, read back: differs from the source (A) in 24 places: embeddings / word "
                          "embeddings: "));
    CHECK(refused([](const std::filesystem::path&) -> std::unique_ptr<AnyLoader> { throw Error("is damaged"); }) ==
          "the target, read back: is damaged");
    CHECK(std::filesystem::is_empty(scratch.path()));
}

TEST_CASE("ranks read a target back together", "[pipeline][digest][world]") {
    const TemporaryDirectory scratch;
    const auto write = [&](const char* name, World& world) {
        AlteredLoader model(small_header(), 1);
        const auto saver = test::make_saver("llama", {{"save_dir", (scratch / name).string()}});
        return convert(model, *saver,
                       {.threads = 1,
                        .world = &world,
                        .read_back = [](const std::filesystem::path& at) { return test::load("llama", at); },
                        .options_to_keep = {{"dtype", "f32"}}});
    };
    const Report alone = write("one", World::alone());
    CHECK(alone.verified == 24);
    const auto thrown = in_ranks(3, [&](World& world) {
        const Report report = write("many", world);
        CHECK(report.verified == 24);
        CHECK(report.bytes == alone.bytes);
    });
    for (const auto& error : thrown) CHECK_FALSE(error);
    const Json one = test::read_json(scratch / "one" / "crossdock.json");
    CHECK(one.at("proof").at("options").at("dtype") == "f32");
    CHECK(one == test::read_json(scratch / "many" / "crossdock.json"));
    const auto target = test::load("llama", scratch / "one");
    CHECK(compare_digests(read_digests(scratch / "one" / "crossdock.json"), digest(*target).list).empty());
    const auto worse = in_ranks(3, [&](World& world) {
        AlteredLoader model(small_header(), 1);
        const auto saver = test::make_saver("llama", {{"save_dir", (scratch / "worse").string()}});
        convert(model, *saver, {.threads = 1, .world = &world, .read_back = opens_other(2)});
    });
    for (const auto& error : worse) CHECK(error);
    CHECK_FALSE(std::filesystem::exists(scratch / "worse"));
}
