// SPDX-License-Identifier: Apache-2.0
// A family of one's own is data. This one computes what Llama does, under names and config keys of its own: q, k and v
// lie in one tensor, older files spell names otherwise, and keys that are absent have defaults.
//
//     05_custom_family convert --loader llama --load_dir examples/data/llama-tiny --saver heron --save_dir heron
#include <crossdock/cli/run.hpp>
#include <crossdock/crossdock.hpp>

namespace {

using namespace crossdock;

// [table]
TensorTable heron_table() {
    using L = TransformerLayer;
    return {.messages = {Rows<Embeddings>{{{&Embeddings::word}, {"words"}}},
                         Rows<L>{{{&L::input_norm_weight}, {"blocks.{}.attention.norm"}},
                                 {{&L::qkv_weight}, {"blocks.{}.attention.qkv"}, stacked_qkv},
                                 {{&L::dense_weight}, {"blocks.{}.attention.out"}},
                                 {{&L::post_norm_weight}, {"blocks.{}.mlp.norm"}},
                                 {{&L::gate_weight, &L::up_weight}, {"blocks.{}.mlp.gate_up"}, gate_over_up},
                                 {{&L::fc2_weight}, {"blocks.{}.mlp.down"}}},
                         Rows<FinalNorm>{{{&FinalNorm::weight}, {"norm"}}},
                         Rows<OutputLayer>{{{&OutputLayer::weight}, {"head"}}}},
            .ignored_endings = {".rotary_cache"}};
}
// [table]

// [config]
ConfigTable heron_config() {
    using namespace config;
    return {size_entry({"depth", "n_layers"}, field::num_layers),
            size_entry({"width"}, field::hidden_size),
            size_entry({"heads"}, field::num_attention_heads),
            size_entry({"kv_heads"}, field::num_query_groups),
            size_entry({"head_size"}, field::kv_channels),
            size_entry({"mlp_width"}, field::ffn_hidden_size),
            entry({"context"}, field::max_position_embeddings, 4096),
            stated(entry({"epsilon"}, field::norm_epsilon, 1e-5)),
            entry({"theta"}, field::rope_theta, 10000.0),
            entry({"tied"}, field::tied_embeddings, false),
            understood({"activation"},
                       [](const Json& value, ModelHeader&) {
                           if (value != Json("silu")) throw Error("is not silu, which is all that Heron knows");
                       }),
            vocab_size_config(),
            dtype_config()};
}
// [config]

// [family]
const Family& heron_family() {
    static const Family family{
        .name = "heron",
        .model_types = {"heron"},
        .defaults =
            [](ModelHeader& header) {
                defaults::rms_decoder(header);
                header.mlp.activation = Activation::silu;
                header.attention.rope_scaling = RopeScaling{};
            },
        .requirements =
            join_lists(require::rms_decoder(), {require::plain_norm, require::plain_embeddings, require::no_window,
                                                require::no_bias, require::no_rope_scaling, require::silu}),
        .layouts = {{.kind = &hugging_face,
                     .types = {"heron"},
                     .config = heron_config(),
                     .architecture = [](const ModelHeader&) { return std::string("HeronForCausalLM"); },
                     .table = heron_table(),
                     .spellings = {.older = {{".ln1", ".attention.norm"}, {".ln2", ".mlp.norm"}}}}}};
    return family;
}
// [family]

}  // namespace

// [plugins]
using Loaders = BuiltinLoaders::with<FamilyLoader<heron_family>>;
using Savers = BuiltinSavers::with<FamilySaver<heron_family>>;

int main(int argc, char** argv) { return crossdock::cli::run<Loaders, Savers>(argc, argv); }
// [plugins]
