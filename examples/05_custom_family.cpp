// SPDX-License-Identifier: Apache-2.0
// A family of one's own is a table. This one computes what Llama does, under names and config keys of its own.
#include "own_program.hpp"

namespace {

using namespace crossdock;

const TensorTable& heron_table(const ModelHeader&) {
    using L = TransformerLayer;
    static const TensorTable table{
        .messages = {
            Rows<Embeddings>{{{&Embeddings::word}, {"words"}}},
            Rows<TransformerLayer>{{{&L::input_norm_weight}, {"blocks.{}.norm1"}},
                                   {{&L::qkv_weight}, {"blocks.{}.q", "blocks.{}.k", "blocks.{}.v"}, separate_qkv},
                                   {{&L::dense_weight}, {"blocks.{}.o"}},
                                   {{&L::post_norm_weight}, {"blocks.{}.norm2"}},
                                   {{&L::gate_weight, &L::up_weight}, {"blocks.{}.gate_up"}, gate_over_up},
                                   {{&L::fc2_weight}, {"blocks.{}.down"}}},
            Rows<FinalNorm>{{{&FinalNorm::weight}, {"norm"}}}, Rows<OutputLayer>{{{&OutputLayer::weight}, {"head"}}}}};
    return table;
}

const Family& heron_family() {
    using H = ModelHeader;
    namespace require = crossdock::detail::require;
    static const Family family{
        .name = "heron",
        .hub_types = {"heron"},
        .model_types = {"llama"},
        .config = {entry({"depth"}, field::num_layers), entry({"width"}, field::hidden_size),
                   entry({"heads"}, field::num_attention_heads), entry({"kv_heads"}, field::num_query_groups),
                   entry({"head_size"}, field::kv_channels), entry({"mlp_width"}, field::ffn_hidden_size),
                   entry({"context"}, field::max_position_embeddings), entry({"norm_epsilon"}, field::norm_epsilon),
                   entry({"theta"}, field::rope_theta, 10000.0), entry({"tied"}, field::tied_embeddings),
                   vocab_size_config()},
        .before_config =
            [](H& header) {
                crossdock::detail::rms_decoder_defaults(header);
                header.mlp.activation = Activation::silu;
                header.attention.rope_scaling = RopeScaling{};
            },
        .after_config = [](H&, const Json&) { return std::vector<std::string>{}; },
        .hub_table = heron_table,
        .architecture = [](const H&) { return std::string("HeronForCausalLM"); },
        .requirements = {require::rms_norm, require::rotary, require::sequential, require::gated, require::no_bias,
                         require::no_window},
        .original = std::nullopt};
    return family;
}

}  // namespace

int main(int, char** arguments) {
    using Loaders = BuiltinLoaders::with<FamilyLoader<heron_family>>;
    using Savers = BuiltinSavers::with<FamilySaver<heron_family>>;
    const int converted = run_words<Loaders, Savers>(
        {"convert", "--loader", "llama", "--load_dir", arguments[1], "--saver", "heron", "--save_dir", arguments[2]});
    return converted ? converted : run_words<Loaders, Savers>({"verify", arguments[1], arguments[2]});
}
