// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>

#include "crossdock/container/safetensors/reader.hpp"
#include "crossdock/container/safetensors/writer.hpp"
#include "crossdock/family/llama/hub.hpp"
#include "crossdock/pipeline/convert.hpp"
#include "crossdock/pipeline/verify.hpp"
#include "crossdock/plugin/llama.hpp"
#include "support/catch.hpp"
#include "support/conversion.hpp"
#include "support/temporary_directory.hpp"

using namespace crossdock;
using namespace crossdock::test;
using Catch::Matchers::ContainsSubstring;

// A third layout of a family, made of nothing but data and the two functions that open its files.

namespace {

StoredParts read_toy(const std::filesystem::path& directory) {
    StoredParts stored{.parts = {}};
    stored.parts.push_back(safetensors::read(directory / "toy.safetensors"));
    return stored;
}

std::vector<std::unique_ptr<TensorWriter>> open_toy(const TargetFiles& files) {
    std::vector<std::unique_ptr<TensorWriter>> writers;
    writers.push_back(
        std::make_unique<safetensors::Writer>(files.directory / "toy.safetensors", files.header_capacity));
    return writers;
}

constexpr LayoutKind toy{
    .name = "toy",
    .checkpoint_type = "toy",
    .description = "toy.json",
    .weights = "toy.safetensors",
    .reads = "toys",
    .writes = "toys",
    .source = "toy ({})",
    .target = "a toy {}",
    .one_part = "toys have one part",
    .holds_weights =
        [](const std::filesystem::path& directory) { return std::filesystem::exists(directory / "toy.safetensors"); },
    .read_tensors = read_toy,
    .open_writers = open_toy};

ConfigTable toy_config() {
    using namespace config;
    return {size_entry({"n"}, field::num_layers),
            size_entry({"width"}, field::hidden_size),
            size_entry({"mlp"}, field::ffn_hidden_size),
            size_entry({"heads"}, field::num_attention_heads),
            size_entry({"kv"}, field::num_query_groups),
            size_entry({"head"}, field::kv_channels),
            entry({"words"}, field::true_vocab_size),
            {{"rows"},
             nullptr,
             [](const Json& value, ModelHeader& h) { h.vocab_rows = value.get<std::uint64_t>(); },
             [](const ModelHeader& h) { return Json(h.vocab_rows); }},
            entry({"context"}, field::max_position_embeddings),
            entry({"epsilon"}, field::norm_epsilon),
            entry({"theta"}, field::rope_theta)};
}

/// The first row is one that most models lack: layers are counted by one that all have.
TensorTable toy_table() {
    using L = TransformerLayer;
    return {.messages = {Rows<Embeddings>{{{&Embeddings::word}, {"e"}}},
                         Rows<L>{{{&L::qkv_bias}, {"{}.b"}},
                                 {{&L::input_norm_weight}, {"{}.n1"}},
                                 {{&L::qkv_weight}, {"{}.qkv"}, stacked_qkv},
                                 {{&L::dense_weight}, {"{}.o"}},
                                 {{&L::post_norm_weight}, {"{}.n2"}},
                                 {{&L::gate_weight, &L::up_weight}, {"{}.gu"}, gate_over_up},
                                 {{&L::fc2_weight}, {"{}.d"}}},
                         Rows<FinalNorm>{{{&FinalNorm::weight}, {"n"}}},
                         Rows<OutputLayer>{{{&OutputLayer::weight}, {"h"}}}}};
}

const Family& toy_llama() {
    static const Family family = [] {
        Family with_toys = llama_family();
        with_toys.layouts.push_back({.kind = &toy,
                                     .config = toy_config(),
                                     .after_config =
                                         [](ModelHeader& header, const Json&) {
                                             header.mlp.activation = Activation::silu;
                                             header.attention.rope_scaling = RopeScaling{};
                                             return Notices();
                                         },
                                     .table = toy_table(),
                                     .caveats = [](const ModelHeader&) { return Notices{"it is a toy"}; }});
        return with_toys;
    }();
    return family;
}

using ToyLoader = FamilyLoader<toy_llama>;
using ToySaver = FamilySaver<toy_llama>;

/// Writes a golden model as a toy; returns what the user is told.
std::vector<std::string> write_toy(const std::filesystem::path& directory) {
    LlamaLoader source({.load_dir = golden("hf/llama2-gqa")});
    ToySaver saver({.save_dir = directory, .layout = "toy"});
    return convert(source, saver).warnings;
}

std::vector<std::string> places_that_differ(auto& a, auto& b) {
    std::vector<std::string> places;
    for (const Difference& difference : verify(a, b).differences) places.push_back(difference.place);
    return places;
}

}  // namespace

TEST_CASE("a third layout is written and read back without a change", "[family][layout]") {
    const TemporaryDirectory scratch;
    const auto told = write_toy(scratch / "toy");
    CHECK(std::find(told.begin(), told.end(), "it is a toy") != told.end());
    CHECK(std::filesystem::exists(scratch / "toy" / "toy.json"));
    CHECK_FALSE(std::filesystem::exists(scratch / "toy" / "config.json"));
    std::filesystem::remove(scratch / "toy" / "crossdock.json");
    CHECK(ToyLoader::recognises(scratch / "toy"));
    ToyLoader toys({.load_dir = scratch / "toy"});
    CHECK(toys.header().origin.format == "toy (llama)");
    LlamaLoader source({.load_dir = golden("hf/llama2-gqa")});
    CHECK(places_that_differ(source, toys) == none);
}

TEST_CASE("of several layouts the first whose weights are there is read, or the one that is asked for",
          "[family][layout]") {
    const TemporaryDirectory scratch;
    write_toy(scratch / "toy");
    std::filesystem::copy(golden("hf/llama2-gqa") / "config.json", scratch / "toy" / "config.json");
    ToyLoader toys({.load_dir = scratch / "toy"});
    CHECK(toys.header().origin.format == "toy (llama)");
    CHECK_THAT(joined_list(toys.notices()),
               ContainsSubstring("has none of the weights that belong to config.json; toy.json and toy.safetensors "
                                 "are read"));
    std::filesystem::copy(golden("hf/llama2-gqa") / "model.safetensors", scratch / "toy");
    ToyLoader hub({.load_dir = scratch / "toy"});
    CHECK(hub.header().origin.format == "Hugging Face (llama)");
    CHECK_THAT(joined_list(hub.notices()), ContainsSubstring("also holds toy.json and toy.safetensors, not read"));
    CHECK(ToyLoader({.load_dir = scratch / "toy", .checkpoint_type = "toy"}).header().origin.format == "toy (llama)");
    CHECK(refusal([&] { ToyLoader({.load_dir = scratch / "toy", .checkpoint_type = "gguf"}); }) ==
          "checkpoint_type is 'gguf', expected hf or meta or toy");
}

TEST_CASE("layouts are offered by name", "[family][layout]") {
    CHECK_THAT(ToySaver::summary(), ContainsSubstring(" or toys"));
    CHECK(refusal([] { ToySaver({.save_dir = "x", .layout = "gguf"}); }) ==
          "layout is 'gguf', expected hf or original or toy");
    CHECK(refusal([] { ToySaver({.save_dir = "x", .layout = "toy", .model_parallel_size = 2}); }) ==
          "model_parallel_size 2: needs the layout original");
}

namespace {

const Family& without_layouts() {
    static const Family family{.name = "bare", .model_types = {"bare"}};
    return family;
}
const Family& without_table() {
    static const Family family{
        .name = "bare", .model_types = {"bare"}, .layouts = {{.kind = &hugging_face, .types = {"bare"}}}};
    return family;
}
const Family& with_table_alone() {
    static const Family family{
        .name = "bare", .model_types = {"bare"}, .layouts = {{.kind = &hugging_face, .table = TensorTable{}}}};
    return family;
}

}  // namespace

TEST_CASE("what a family must have and lacks is said by name, what it may lack does no harm", "[family][layout]") {
    const TemporaryDirectory scratch;
    const auto no_layouts = "the family 'bare' has no layouts; see docs/adding-a-family.md";
    CHECK(refusal([&] { FamilyLoader<without_layouts>({.load_dir = scratch.path()}); }) == no_layouts);
    CHECK(refusal([&] { FamilySaver<without_layouts>({.save_dir = scratch / "x"}); }) == no_layouts);
    CHECK(refusal([&] { FamilyLoader<without_table>({.load_dir = scratch.path()}); }) ==
          "the family 'bare' has no table in its layout 'hf'; see docs/adding-a-family.md");
    std::ofstream(scratch / "config.json") << R"({"model_type": "bare"})";
    CHECK_THAT(refusal([&] { FamilyLoader<with_table_alone>({.load_dir = scratch.path()}); }),
               ContainsSubstring("model_type is 'bare'"));
}
