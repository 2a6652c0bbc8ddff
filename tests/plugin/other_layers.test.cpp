// SPDX-License-Identifier: Apache-2.0
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "crossdock/family/family.hpp"
#include "crossdock/family/llama/hub.hpp"
#include "crossdock/pipeline/convert.hpp"
#include "crossdock/pipeline/verify.hpp"
#include "crossdock/plugin/llama.hpp"
#include "crossdock/plugin/megatron.hpp"
#include "support/catch.hpp"
#include "support/synthetic_model.hpp"
#include "support/temporary_directory.hpp"

using namespace crossdock;
using namespace crossdock::test;
using Catch::Matchers::ContainsSubstring;

// Layers of one model that differ in their MLP's size and in their biases, through a loader and a family of the test's
// own. The family keeps all norms of the layers in one tensor.

namespace {

/// A field of the MLP as a list with a value for each layer.
template <class T>
ConfigEntry for_each_layer(std::string_view key, T Mlp::*field) {
    return {{key},
            nullptr,
            [field](const Json& values, ModelHeader& header) {
                for (std::uint64_t layer = 0; layer < values.size(); ++layer) {
                    const T value = values[layer].template get<T>();
                    if (mlp_of(header, layer).*field == value) continue;
                    std::optional<Mlp>& own = header.other_layers[layer].mlp;
                    if (!own) own = header.mlp;
                    (*own).*field = value;
                }
            },
            [field](const ModelHeader& header) {
                Json values = Json::array();
                for (std::uint64_t layer = 0; layer < header.num_layers; ++layer)
                    values.push_back(mlp_of(header, layer).*field);
                return values;
            }};
}

TensorTable emu_table() {
    using L = TransformerLayer;
    return {.messages = {Rows<Embeddings>{{{&Embeddings::word}, {"words"}}},
                         Rows<L>{{{&L::input_norm_weight}, {"all.norm1[{}]"}},
                                 {{&L::qkv_weight}, {"{}.qkv"}, stacked_qkv},
                                 {{&L::dense_weight}, {"{}.out"}},
                                 {{&L::post_norm_weight}, {"all.norm2[{}]"}},
                                 {{&L::gate_weight, &L::up_weight}, {"{}.gate_up"}, gate_over_up},
                                 {{&L::fc2_weight}, {"{}.down"}},
                                 {{&L::fc2_bias}, {"{}.down_bias"}}},
                         Rows<FinalNorm>{{{&FinalNorm::weight}, {"norm"}}},
                         Rows<OutputLayer>{{{&OutputLayer::weight}, {"head"}}}}};
}

const Family& emu_family() {
    static const Family family = [] {
        Family emu = llama_family();
        Layout layout = emu.layouts.front();
        layout.table = emu_table();
        layout.spellings = {};
        layout.config.push_back(for_each_layer("widths", &Mlp::ffn_hidden_size));
        layout.config.push_back(for_each_layer("biased", &Mlp::fc2_bias));
        layout.layers_may_differ = true;
        emu.name = "emu";
        emu.layouts = {layout};
        emu.requirements.clear();
        emu.layouts.front().requirements.clear();
        return emu;
    }();
    return family;
}

using EmuLoader = FamilyLoader<emu_family>;
using EmuSaver = FamilySaver<emu_family>;

/// Three layers; the first and the last differ.
ModelHeader differing_header() {
    ModelHeader header = llama_header(3, 4, 2, 8, 32, 48, 64, DType::bf16);
    header.other_layers[0].mlp = header.other_layers[2].mlp = header.mlp;
    header.other_layers[0].mlp->fc2_bias = true;
    header.other_layers[2].mlp->ffn_hidden_size = 20;
    return header;
}

std::string error_of(auto& loader, auto&& saver) {
    try {
        convert(loader, saver);
    } catch (const Error& error) {
        return error.what();
    }
    return {};
}

}  // namespace

TEST_CASE("layers that differ go through a family that can say so", "[plugin][other_layers]") {
    const TemporaryDirectory directory;
    SyntheticLoader source(differing_header(), 1);
    EmuSaver saver({.save_dir = directory / "emu"});
    convert(source, saver);
    EmuLoader loader({.load_dir = directory / "emu"});
    CHECK(loader.header().other_layers == differing_header().other_layers);
    const VerifyReport report = verify(source, loader);
    CHECK(report.equal());
    CHECK(report.tensors == 3 * 7 + 1 + 3);
    std::filesystem::remove(directory / "emu" / "crossdock.json");
    EmuLoader without_sidecar({.load_dir = directory / "emu"});
    CHECK(without_sidecar.header().other_layers == differing_header().other_layers);
    CHECK(verify(source, without_sidecar).equal());
}

TEST_CASE("formats whose layers are alike refuse others by name", "[plugin][other_layers]") {
    const TemporaryDirectory directory;
    SyntheticLoader source(differing_header(), 1);
    const std::string text = "layers that differ from each other (other_layers)";
    CHECK_THAT(error_of(source, LlamaSaver({.save_dir = directory / "llama"})), ContainsSubstring(text));
    CHECK_THAT(error_of(source, LlamaSaver({.save_dir = directory / "meta", .layout = "original"})),
               ContainsSubstring(text));
    CHECK_THAT(
        error_of(source, MegatronCoreSaver({.save_dir = directory / "mcore"})),
        ContainsSubstring("layers that differ from each other in more than having experts or a window (other_layers)"));
    CHECK_FALSE(std::filesystem::exists(directory / "llama"));
}
