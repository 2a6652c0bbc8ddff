// SPDX-License-Identifier: Apache-2.0
#include "crossdock/plugin/megatron/dist_files.hpp"

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "crossdock/family/tensor_table.hpp"
#include "crossdock/plugin/megatron.hpp"
#include "golden/checkpoint_files.hpp"
#include "support/catch.hpp"
#include "support/conversion.hpp"
#include "support/dist_folder.hpp"

using namespace crossdock;
using namespace crossdock::test;
using Catch::Matchers::ContainsSubstring;

namespace {

constexpr std::string_view stacked = "llama2-gqa-mcore0.16-tp2pp2vpp2";

std::filesystem::path dist(std::string_view name) { return golden("megatron-dist/" + std::string(name)); }

/// In what the model differs from a golden folder's.
std::vector<std::string> differences_from(std::string_view name, const DistFolder& folder) {
    const auto expected = load("mcore", dist(name)), found = load("mcore", folder.root());
    return differences(*expected, *found);
}

std::string refusal_of(const DistFolder& folder) {
    return refusal([&] { load("mcore", folder.root()); });
}

/// The name in a checkpoint whose layers are Megatron-Core's own.
std::string own_spelling(const std::string& name) {
    return replaced(replaced(name, "self_attention.linear_qkv.layer_norm_", "input_layernorm."),
                    "mlp.linear_fc1.layer_norm_", "pre_mlp_layernorm.");
}

/// One layer of a tensor that holds them all, as an item of its own.
dcp::TensorItem layer_of(const dcp::TensorItem& all, std::uint64_t layer) {
    const auto without_first = [](const auto& numbers) {
        return std::vector<std::uint64_t>(numbers.begin() + 1, numbers.end());
    };
    dcp::TensorItem item{.name = rank_file_name({all.name, layer}),
                         .dtype = all.dtype,
                         .shape = Shape(without_first(all.shape)),
                         .chunks = {}};
    for (const dcp::Chunk& chunk : all.chunks)
        if (chunk.offsets[0] == layer)
            item.chunks.push_back({without_first(chunk.offsets), Shape(without_first(chunk.sizes)), chunk.place});
    return item;
}

/// Adds an item whose content nobody reads, in a file of its own.
void add_unread(const DistFolder& folder, dcp::Metadata& metadata, const std::string& name) {
    const std::string file = "__" + std::to_string(metadata.bytes.size()) + "_9.distcp";
    write_file(folder / file.c_str(), std::string(64, '\0'));
    metadata.bytes.push_back({name, {file, 0, 32}});
    metadata.tensors.push_back(
        {"optimizer.state.exp_avg." + name, DType::f32, Shape{4}, {{{0}, Shape{4}, {file, 32, 32}}}});
}

}  // namespace

TEST_CASE("distributed checkpoints become the Hugging Face folders that they were made of", "[plugin][megatron]") {
    struct Pair {
        const char *dist, *hub, *family;
    };
    const auto [name, hub, family] = GENERATE(Pair{"llama2-gqa-mcore0.16-tp2pp2vpp2", "llama2-gqa", "llama"},
                                              Pair{"llama2-gqa-mcore0.19-perlayer", "llama2-gqa", "llama"},
                                              Pair{"llama3.2-tied-mcore0.19-tp2", "llama3.2-tied", "llama"},
                                              Pair{"mistral-gqa-mcore0.16-tp2-fpsave", "mistral-gqa", "mistral"},
                                              Pair{"qwen2-mcore0.16-perlayer-singleton", "qwen2", "qwen"},
                                              Pair{"mixtral-large-mcore0.16-ep2", "mixtral-large", "mistral"});
    CAPTURE(name);
    const TemporaryDirectory scratch;
    const auto expected = golden("hf/" + std::string(hub));
    const Json vocabulary = read_json(expected / "config.json")["vocab_size"];
    const auto loader = load("mcore", dist(name), {{"true_vocab_size", vocabulary.dump()}});
    save(*loader, family, scratch / "out");
    CHECK(differences(expected, scratch / "out") == none);
}

TEST_CASE("a distributed GPT is that of rank files", "[plugin][megatron]") {
    const auto ranks = load("mcore", golden("megatron-core/gpt-tp1")), found = load("mcore", dist("gpt-mcore0.16-pp2"));
    CHECK(found->header().norm == NormKind::layer);
    CHECK(found->header().positions == PositionKind::learned);
    CHECK(found->header().tied_embeddings);
    CHECK(found->header().training.iteration == 10U);
    CHECK(differences(*ranks, *found) == none);
}

TEST_CASE("a distributed checkpoint says what it is", "[plugin][megatron]") {
    const auto iteration = dist(stacked) / "iter_0000001";
    for (const auto& directory : {dist(stacked), iteration}) {
        CHECK(MegatronCoreLoader::recognises(directory));
        for (const char* loader : {"mcore", "megatron"}) {
            const ModelHeader header = load(loader, directory)->header();
            CHECK(header.origin.format == "Megatron (mcore, torch_dist)");
            CHECK(header.origin.torch_dist);
            CHECK(header.training.iteration == 1U);
            CHECK(header.training.previous_tensor_parallel_size == 2U);
            CHECK(header.training.previous_pipeline_parallel_size == 2U);
        }
    }
    CHECK(load("mcore", dist("llama3.2-tied-mcore0.19-tp2"))->header().training.release);
    CHECK_FALSE(load("mcore", golden("megatron-core/llama2-gqa-te-tp1"))->header().origin.torch_dist);
}

TEST_CASE("what lies beside the weights is counted and not read", "[plugin][megatron]") {
    const DistFolder folder(stacked);
    folder.edit_index([&](dcp::Metadata& metadata) {
        for (const char* name : {"rng_state/shard_0_1", "rerun_state_machine_state/shard_0_1",
                                 "chained_0.optimizer.param_state/shard_0_1", "something/shard_0_1"})
            add_unread(folder, metadata, name);
    });
    CHECK(differences_from(stacked, folder) == none);
    const Storage storage = load("mcore", folder.root())->storage();
    CHECK(storage.ranks.empty());
    CHECK(storage.unused == none);
    REQUIRE(storage.distributed);
    CHECK(storage.distributed->files == 12);
    std::vector<std::string> lines;
    for (const StoredKind& stored : storage.distributed->kinds)
        lines.push_back(to_text(stored.kind, ": ", stored.items, " items, ", stored.chunks, " chunks"));
    CHECK(lines == std::vector<std::string>{"model: 9 items, 53 chunks", "optimizer: 5 items, 4 chunks",
                                            "extra state: 16 items, 0 chunks", "rng state: 1 items, 0 chunks",
                                            "rerun state: 1 items, 0 chunks", "other objects: 1 items, 0 chunks"});
    CHECK(storage.distributed->tensors.size() == 9);
    for (const StoredGrid& tensor : storage.distributed->tensors)
        if (tensor.name == "decoder.layers.mlp.linear_fc1.weight") {
            CHECK(tensor.shape == Shape{4, 96, 64});
            CHECK(tensor.grid == std::vector<std::uint64_t>{4, 4, 1});
        }
}

TEST_CASE("names are read with the wrappers and the norms of any Megatron", "[plugin][megatron]") {
    const std::string wrapper = GENERATE("", "model.", "module.", "model.module.", "model.module.module.");
    const bool own_norms = GENERATE(false, true);
    CAPTURE(wrapper, own_norms);
    const DistFolder folder(stacked);
    folder.rename([&](const std::string& name) { return wrapper + (own_norms ? own_spelling(name) : name); });
    CHECK(differences_from(stacked, folder) == none);
}

TEST_CASE("layers in one tensor and by themselves meet in one checkpoint", "[plugin][megatron]") {
    const DistFolder folder(stacked);
    folder.edit_index([](dcp::Metadata& metadata) {
        dcp::TensorItem& all = DistFolder::tensor(metadata, "decoder.layers.mlp.linear_fc2.weight");
        const dcp::TensorItem stack = all;
        all = layer_of(stack, 0);
        for (std::uint64_t layer = 1; layer < 4; ++layer) metadata.tensors.push_back(layer_of(stack, layer));
    });
    CHECK(differences_from(stacked, folder) == none);
}

TEST_CASE("without arguments a distributed checkpoint asks for what no tensor tells", "[plugin][megatron]") {
    const DistFolder folder(stacked);
    std::filesystem::remove(folder / "common.pt");
    CHECK_THAT(refusal_of(folder), ContainsSubstring("iter_0000001 are missing, and no tensor tells the number of "
                                                     "attention heads; give the option num_attention_heads"));
    const auto loader = load("mcore", folder.root(), {{"num_attention_heads", "8"}});
    CHECK(loader->header().attention.num_query_groups == 2);
    CHECK(loader->header().num_layers == 4);
}

TEST_CASE("numbers of ranks that no such model is cut into are not believed", "[plugin][megatron]") {
    const auto [said, ranks, stages] =
        GENERATE(std::tuple(Json{{"tensor_model_parallel_size", 4}, {"pipeline_model_parallel_size", 1}}, 4U, 1U),
                 std::tuple(Json{{"tensor_model_parallel_size", 3}, {"pipeline_model_parallel_size", 64}}, 1U, 1U),
                 std::tuple(Json{{"tensor_model_parallel_size", 0}, {"pipeline_model_parallel_size", 4}}, 1U, 4U));
    const DistFolder folder(stacked);
    folder.edit_common([&, &said = said](Json& args) { args.update(said); });
    const ModelHeader header = load("mcore", folder.root())->header();
    CHECK(header.training.previous_tensor_parallel_size == ranks);
    CHECK(header.training.previous_pipeline_parallel_size == stages);
}

TEST_CASE("a distributed checkpoint without one of its files is refused by its name", "[plugin][megatron]") {
    const DistFolder folder(stacked);
    SECTION("weights") {
        std::filesystem::remove(folder / "__2_1.distcp");
        CHECK_THAT(refusal_of(folder), ContainsSubstring("iter_0000001/__2_1.distcp: is missing"));
    }
    SECTION("the end of one") {
        std::filesystem::resize_file(folder / "__2_1.distcp", 5000);
        CHECK_THAT(refusal_of(folder), ContainsSubstring("iter_0000001/__2_1.distcp: "));
    }
    SECTION("the index") {
        std::filesystem::remove(folder / ".metadata");
        CHECK_THAT(refusal_of(folder), ContainsSubstring("iter_0000001: holds a metadata.json of torch_dist but no "
                                                         ".metadata, which says where each tensor lies"));
    }
    SECTION("the mark of its end") {
        std::filesystem::remove(folder / "metadata.json");
        CHECK_THAT(refusal_of(folder), ContainsSubstring("without the metadata.json that Megatron-Core writes last"));
    }
    SECTION("both, and the tracker: a save that was interrupted") {
        std::filesystem::remove(folder / ".metadata");
        std::filesystem::remove(folder / "metadata.json");
        std::filesystem::remove(folder.root() / "latest_checkpointed_iteration.txt");
        CHECK_THAT(refusal_of(folder), ContainsSubstring("iter_0000001: holds .distcp files without .metadata and "
                                                         "metadata.json, which are written last: the save was "
                                                         "interrupted or is still going on"));
    }
}

TEST_CASE("tensors that are no model of Megatron-Core's are refused by their names", "[plugin][megatron]") {
    const DistFolder folder(stacked);
    const auto renamed = [&](const std::string& from, const std::string& to) {
        folder.edit_tensor(from, [&](dcp::TensorItem& item) { item.name = to; });
        return refusal_of(folder);
    };
    const std::string fc2 = "decoder.layers.mlp.linear_fc2.weight";
    SECTION("a hybrid model") {
        CHECK_THAT(renamed(fc2, "decoder.layers.0.mixer.in_proj.weight"), ContainsSubstring("Mamba or hybrid model"));
    }
    SECTION("what no table has") {
        renamed("output_layer.weight", "vision.conv1.weight");
        const auto loader = load("mcore", folder.root(), {{"ignore", "untie_embeddings_and_output_weights"}});
        const TemporaryDirectory scratch;
        CHECK_THAT(refusal([&] { save(*loader, "llama", scratch / "out"); }),
                   ContainsSubstring("1 tensors have no place in this model and would be lost: "
                                     "'model.vision.conv1.weight' (" +
                                     (folder / ".metadata").string() + ")"));
    }
    SECTION("another program's model") {
        folder.rename(
            [](const std::string& name) { return "transformer.h." + name.substr(name.rfind("layers.") + 1); });
        CHECK_THAT(refusal_of(folder), ContainsSubstring("nor layers of a decoder or encoder; its tensors are "));
    }
    SECTION("one tensor in two spellings") {
        folder.edit_index([](dcp::Metadata& metadata) {
            dcp::TensorItem& norm = DistFolder::tensor(metadata, "decoder.layers.mlp.linear_fc1.layer_norm_weight");
            DistFolder::tensor(metadata, "decoder.final_layernorm.weight").name =
                "decoder.layers.0.pre_mlp_layernorm.weight";
            CHECK(norm.shape == Shape{4, 64});
        });
        CHECK_THAT(refusal_of(folder), ContainsSubstring("layers.0.mlp.linear_fc1.layer_norm_weight' stands twice"));
    }
}

TEST_CASE("layers that tensors count differently are refused", "[plugin][megatron]") {
    const DistFolder folder(stacked);
    const auto fc2 = [&](const std::function<void(dcp::TensorItem&)>& edit) {
        folder.edit_tensor("decoder.layers.mlp.linear_fc2.weight", edit);
        return refusal_of(folder);
    };
    SECTION("one layer less") {
        CHECK_THAT(fc2([](dcp::TensorItem& item) {
                       item.shape = Shape{3, 64, 48};
                       std::erase_if(item.chunks, [](const dcp::Chunk& chunk) { return chunk.offsets[0] == 3; });
                   }),
                   ContainsSubstring("'decoder.layers.mlp.linear_fc2.weight' has shape [3, 64, 48], as if there were 3 "
                                     "layers, but 'decoder.layers."));
    }
    SECTION("more than there can be") {
        write_file(folder / "__9_0.distcp", std::string(1U << 16, '\0'));
        CHECK_THAT(fc2([](dcp::TensorItem& item) {
                       item.shape = Shape{20'000};
                       item.chunks = {{{0}, item.shape, {"__9_0.distcp", 0, 1U << 16}}};
                   }),
                   ContainsSubstring("more layers than any model has"));
    }
    SECTION("another number in the arguments") {
        folder.edit_common([](Json& args) { args["num_layers"] = 8; });
        CHECK_THAT(refusal_of(folder), ContainsSubstring("say 8 layers, the files hold 4"));
    }
}

TEST_CASE("gate and up that are stored apart are both there and agree", "[plugin][megatron]") {
    const DistFolder folder("qwen2-mcore0.16-perlayer-singleton");
    const std::string up = "decoder.layers.1.mlp.linear_fc1.weight_v";
    SECTION("one is missing") {
        folder.edit_index([&](dcp::Metadata& metadata) {
            std::erase_if(metadata.tensors, [&](const dcp::TensorItem& item) { return item.name == up; });
        });
        CHECK_THAT(refusal_of(folder), ContainsSubstring("'" + up + "' is missing, the other half of "));
    }
    SECTION("one is of another width") {
        folder.edit_tensor(up, [](dcp::TensorItem& item) {
            item.shape = Shape{112, 32};
            for (dcp::Chunk& chunk : item.chunks) chunk.sizes = Shape{56, 32};
        });
        CHECK_THAT(refusal_of(folder), ContainsSubstring("linear_fc1.weight' in two halves: a tensor [112, 64]"));
    }
    SECTION("the common state says that they are not") {
        folder.edit_common([](Json&) {}, pickle::Dict{{{pickle::Value("singleton_local_shards"), false}}});
        CHECK_THAT(refusal_of(folder), ContainsSubstring("singleton_local_shards False, but gate and up are stored"));
    }
}

TEST_CASE("a common state that contradicts the index is refused", "[plugin][megatron]") {
    const DistFolder folder(stacked);
    folder.edit_common([](Json&) {}, pickle::Dict{{{pickle::Value("non_homogeneous_layers"), true}}});
    CHECK_THAT(refusal_of(folder), ContainsSubstring("common.pt: content_metadata says non_homogeneous_layers True, "
                                                     "but layers are stored in one tensor"));
}

TEST_CASE("a common state among the items is a list with one dict", "[plugin][megatron]") {
    const DistFolder folder("llama2-gqa-mcore0.19-perlayer");
    folder.edit_index([](dcp::Metadata& metadata) {
        const auto named = [&](const char* part) {
            return std::find_if(metadata.bytes.begin(), metadata.bytes.end(),
                                [&](const dcp::BytesItem& item) { return item.name.find(part) != item.name.npos; });
        };
        std::swap(named("common_state")->place, named("_extra_state")->place);
    });
    CHECK_THAT(refusal_of(folder),
               ContainsSubstring("'common_state/shard_0_1' is a list, expected a list with one dict"));
}
