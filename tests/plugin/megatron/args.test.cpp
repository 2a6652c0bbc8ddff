// SPDX-License-Identifier: Apache-2.0
#include "crossdock/container/torch/reader.hpp"
#include "crossdock/container/torch/writer.hpp"
#include "crossdock/plugin/megatron/loader.hpp"
#include "crossdock/plugin/megatron/saver.hpp"
#include "support/altered_loader.hpp"
#include "support/catch.hpp"
#include "support/conversion.hpp"
#include "support/synthetic_model.hpp"

using namespace crossdock;
using namespace crossdock::test;
using Catch::Matchers::ContainsSubstring;
using Catch::Matchers::StartsWith;

namespace {

pickle::Value rank_file(const std::filesystem::path& directory) {
    for (const auto& entry : std::filesystem::recursive_directory_iterator(directory))
        if (entry.path().filename() == "model_optim_rng.pt") return torch::read(entry.path());
    throw Error("no rank file");
}

Json args_of(const std::filesystem::path& directory) {
    const pickle::Value root = rank_file(directory);
    return read_args(root.find("args")).values;
}

using Attributes = std::vector<pickle::Entry>;

/// A checkpoint of one rank as training leaves it: without crossdock.json, with these attributes besides its own.
void write_trained(const std::filesystem::path& to, const std::string& saver, const ModelHeader& header,
                   const Attributes& more, const OptionValues& options = {}) {
    const TemporaryDirectory scratch;
    SyntheticLoader model(header, 1);
    save(model, saver, scratch / "saved", options);
    const pickle::Value root = rank_file(scratch / "saved");
    pickle::Dict attributes{*root.find("args")->get<pickle::Object>()->state.entries()};
    attributes.entries.insert(attributes.entries.end(), more.begin(), more.end());
    pickle::Object args = *root.find("args")->get<pickle::Object>();
    args.state = std::move(attributes);
    const auto file = to / "iter_0000005/mp_rank_00/model_optim_rng.pt";
    std::filesystem::create_directories(file.parent_path());
    torch::Writer writer(file);
    writer.put("args", std::move(args));
    writer.put("checkpoint_version", 3.0);
    writer.put("iteration", std::int64_t{5});
    const TensorDict dict = torch::tensors(*root.find("model"), "model");
    for (const NamedTensor& entry : dict.entries()) add_tensor(writer, "model/" + entry.name, entry.tensor);
    writer.finish();
}

const OptionValues local{{"transformer_impl", "local"}, {"ckpt_format", "torch"}};

ModelHeader header_of_128_words() {
    ModelHeader header = llama_header(2, 4, 2, 8, 32, 48, 128, DType::f32);
    header.attention.rope_theta = 10000.0;
    return header;
}

pickle::Value tuple(std::vector<pickle::Value> items) { return pickle::Tuple{std::move(items)}; }
pickle::Value list(std::vector<pickle::Value> items) { return pickle::List{std::move(items)}; }

/// What stops the conversion of an mcore checkpoint with these arguments to a llama; empty when nothing does.
std::string why_not_llama(const Attributes& more, const OptionValues& options = {}) {
    const TemporaryDirectory scratch;
    write_trained(scratch / "in", "mcore", header_of_128_words(), more, local);
    return refusal([&] { save(*load("mcore", scratch / "in", options), "llama", scratch / "out"); });
}

}  // namespace

TEST_CASE("use_rope_scaling is Llama 3's scaling with the factor of the args", "[plugin][megatron][args]") {
    const TemporaryDirectory scratch;
    write_trained(scratch / "in", "mcore", header_of_128_words(),
                  {{"use_rope_scaling", true}, {"rope_scaling_factor", 32.0}}, local);
    const auto source = load("mcore", scratch / "in");
    save(*source, "llama", scratch / "hub");
    const Json rope = read_json(scratch / "hub/config.json")["rope_scaling"];
    CHECK(rope["rope_type"] == "llama3");
    CHECK(rope["factor"] == 32.0);
    CHECK(rope["low_freq_factor"] == 1.0);
    CHECK(rope["high_freq_factor"] == 4.0);
    CHECK(rope["original_max_position_embeddings"] == 8192);
    save(*source, "mcore", scratch / "again", {{"target_tensor_parallel_size", "2"}});
    CHECK(args_of(scratch / "again")["use_rope_scaling"] == true);
    CHECK(args_of(scratch / "again")["rope_scaling_factor"] == 32.0);
    save(*load("llama", scratch / "hub"), "mcore", scratch / "back", {{"ckpt_format", "torch"}});
    CHECK(args_of(scratch / "back")["use_rope_scaling"] == true);
    CHECK(args_of(scratch / "back")["rope_scaling_factor"] == 32.0);
}

TEST_CASE("a factor without use_rope_scaling means nothing and stays", "[plugin][megatron][args]") {
    const TemporaryDirectory scratch;
    write_trained(scratch / "in", "mcore", header_of_128_words(),
                  {{"use_rope_scaling", false}, {"rope_scaling_factor", 32.0}}, local);
    const auto source = load("mcore", scratch / "in");
    CHECK(source->header().attention.rope_scaling == RopeScaling{});
    save(*source, "mcore", scratch / "again");
    CHECK(args_of(scratch / "again")["rope_scaling_factor"] == 32.0);
}

TEST_CASE("position interpolation is linear scaling; two scalings at once are refused", "[plugin][megatron][args]") {
    const TemporaryDirectory scratch;
    write_trained(scratch / "in", "mcore", header_of_128_words(), {{"rotary_seq_len_interpolation_factor", 4}}, local);
    const auto scaling = load("mcore", scratch / "in")->header().attention.rope_scaling;
    CHECK(scaling->type == "linear");
    CHECK(scaling->factor == 4.0);
    CHECK_THAT(why_not_llama({{"rotary_seq_len_interpolation_factor", 4}, {"use_rope_scaling", true}}),
               StartsWith("the source states rotary_seq_len_interpolation_factor 4 (two scalings"));
}

TEST_CASE("rotary rows in pairs become halves elsewhere, and stay pairs in a reshard", "[plugin][megatron][args]") {
    for (const double percent : {1.0, 0.5}) {
        const TemporaryDirectory scratch;
        ModelHeader header = header_of_128_words();
        header.attention.rotary_percent = percent;
        write_trained(scratch / "plain", "mcore", header, {}, local);
        write_trained(scratch / "pairs", "mcore", header, {{"rotary_interleaved", true}}, local);
        const auto plain = load("mcore", scratch / "plain"), pairs = load("mcore", scratch / "pairs");
        // The same file, read as pairs: in a head, row 2i is what turns with row 2i + 1.
        const Tensor stored = *plain->load<TransformerLayer>(0).qkv_weight,
                     read = *pairs->load<TransformerLayer>(0).qkv_weight;
        const auto row = [](const Tensor& rows, std::uint64_t index) {
            return slice(rows, 0, index, index + 1).bytes();
        };
        const std::uint64_t turned = percent == 1.0 ? 8 : 4;
        for (const std::uint64_t head : {0U, 8U, 16U, 24U, 32U, 40U})  // q q k v q q of two groups
            for (std::uint64_t i = 0; i < 8; ++i) {
                const bool moves = head != 24U && i < turned;
                const std::uint64_t from = moves ? i % (turned / 2) * 2 + i / (turned / 2) : i;
                CHECK(row(read, head + i) == row(stored, head + from));
            }
        save(*pairs, "mcore", scratch / "again", {{"transformer_impl", "local"}, {"target_tensor_parallel_size", "2"}});
        CHECK(args_of(scratch / "again")["rotary_interleaved"] == true);
        save(*load("mcore", scratch / "again"), "mcore", scratch / "one",
             {{"transformer_impl", "local"}, {"target_tensor_parallel_size", "1"}});
        const auto tensor = [](const pickle::Value& root) {
            return torch::tensors(*root.find("model"), "")
                .find("decoder.layers.0.self_attention.linear_qkv.weight")
                ->tensor.bytes();
        };
        CHECK(tensor(rank_file(scratch / "one")) == tensor(rank_file(scratch / "pairs")));
        if (percent == 1.0) save(*pairs, "llama", scratch / "hub");
        if (percent == 1.0)
            CHECK(load("llama", scratch / "hub")->load<TransformerLayer>(0).qkv_weight->bytes() == read.bytes());
    }
}

TEST_CASE("Megatron-LM's own code has no rotary rows in pairs: they are halves there", "[plugin][megatron][args]") {
    const TemporaryDirectory scratch;
    write_trained(scratch / "in", "mcore", header_of_128_words(), {{"rotary_interleaved", true}}, local);
    const auto source = load("mcore", scratch / "in");
    save(*source, "megatron", scratch / "lm", {{"dialect", "lm"}});
    CHECK(args_of(scratch / "lm")["rotary_interleaved"] == false);
    std::filesystem::remove(scratch / "lm/crossdock.json");
    CHECK(load("megatron", scratch / "lm")->load<TransformerLayer>(0).qkv_weight->bytes() ==
          source->load<TransformerLayer>(0).qkv_weight->bytes());
}

TEST_CASE("an argument that changes the model and that no field says is refused by name", "[plugin][megatron][args]") {
    const Attributes changing{{"no_rope_freq", 2},
                              {"no_rope_freq", list({0, 1})},
                              {"activation_func_clamp_value", 0.5},
                              {"glu_linear_offset", 1.0},
                              {"position_embedding_type", "yarn"},
                              {"softmax_type", "off-by-one"},
                              {"softmax_scale", 0.1},
                              {"qk_l2_norm", true},
                              {"attention_output_gate", true},
                              {"window_size", tuple({4, 4})},
                              {"use_mup", true},
                              {"spec", list({"my.layers", "spec"})},
                              {"hybrid_override_pattern", "M-M*"},
                              {"experimental_attention_variant", "dsa"}};
    for (const pickle::Entry& entry : changing) {
        const std::string name = *entry.key.as_string();
        INFO(name);
        CHECK_THAT(why_not_llama({entry}), StartsWith("the source states " + name + " "));
        CHECK_THAT(why_not_llama({entry}), ContainsSubstring("give the option ignore " + name));
        const bool is_positions = name == "position_embedding_type";
        CHECK(why_not_llama({entry}, {{"ignore", name}}).empty());
        const TemporaryDirectory scratch;
        write_trained(scratch / "in", "mcore", header_of_128_words(), {entry}, local);
        const auto source = load("mcore", scratch / "in");
        save(*source, "mcore", scratch / "again");
        CHECK(args_of(scratch / "again")[name] == args_of(scratch / "in")[name]);
        if (!is_positions)
            CHECK_THAT(refusal([&] {
                           save(*source, "megatron", scratch / "lm", {{"dialect", "lm"}});
                       }),
                       StartsWith("the source states " + name + " "));
    }
}

TEST_CASE("a window may be on some layers or on all", "[plugin][megatron][args]") {
    CHECK_THAT(why_not_llama({{"window_size", tuple({7, 0})}, {"window_attn_skip_freq", 2}}),
               StartsWith("the model has a sliding attention window (sliding_window)"));
    CHECK_THAT(why_not_llama({{"window_size", 4096}}), StartsWith("the source states window_size 4096 "));
    const TemporaryDirectory scratch;
    write_trained(scratch / "in", "mcore", header_of_128_words(),
                  {{"window_size", tuple({7, 0})}, {"window_attn_skip_freq", list({1, 1})}}, local);
    const auto source = load("mcore", scratch / "in");
    CHECK(source->header().attention.sliding_window == 8U);
    CHECK(source->header().origin.unexpressed.empty());
}

TEST_CASE("neutral values stop nothing", "[plugin][megatron][args]") {
    CHECK(why_not_llama({{"no_rope_freq", {}},
                         {"no_rope_freq", list({0, 0})},
                         {"activation_func_clamp_value", {}},
                         {"glu_linear_offset", 0.0},
                         {"softmax_type", "vanilla"},
                         {"softmax_scale", 0.35355339059327373},  // 1 / sqrt(8)
                         {"window_size", tuple({-1, -1})},
                         {"window_attn_skip_freq", 4},
                         {"mup_output_mult", 1.0},
                         {"apply_query_key_layer_scaling", true},
                         {"apply_residual_connection_post_layernorm", true},  // Megatron-Core does not look at it
                         {"spec", {}},
                         {"rope_type", "rope"},
                         {"num_experts", {}}})
              .empty());
}

TEST_CASE("the residual behind the norm is refused of Megatron-LM's own code", "[plugin][megatron][args]") {
    const TemporaryDirectory scratch;
    write_trained(scratch / "in", "megatron", header_of_128_words(),
                  {{"apply_residual_connection_post_layernorm", true}}, {{"dialect", "lm"}});
    const auto source = load("megatron", scratch / "in");
    CHECK_THAT(refusal([&] { save(*source, "llama", scratch / "out"); }),
               StartsWith("the source states apply_residual_connection_post_layernorm true"));
    CHECK_THAT(refusal([&] { save(*source, "mcore", scratch / "out"); }),
               StartsWith("the source states apply_residual_connection_post_layernorm true"));
    save(*source, "megatron", scratch / "again");
    CHECK(args_of(scratch / "again")["apply_residual_connection_post_layernorm"] == true);
}

TEST_CASE("what is to be ignored must be stated", "[plugin][megatron][args]") {
    CHECK(why_not_llama({{"no_rope_freq", 2}, {"softmax_type", "learnable"}}, {{"ignore", "no_rope"}}) ==
          "ignore no_rope: the args state no 'no_rope'; what no field of ours says: no_rope_freq, softmax_type");
    CHECK(why_not_llama({}, {{"ignore", "no_rope_freq"}}) ==
          "ignore no_rope_freq: the args state no 'no_rope_freq'; there is nothing that needs to be ignored");
    const TemporaryDirectory scratch;
    write_trained(scratch / "in", "mcore", header_of_128_words(), {{"no_rope_freq", 2}, {"softmax_type", "learnable"}},
                  local);
    const auto source = load("mcore", scratch / "in", {{"ignore", "no_rope_freq,softmax_type"}});
    const auto said = save(*source, "llama", scratch / "out");
    CHECK(std::count(said.begin(), said.end(), "ignore: the args' 'no_rope_freq' is 2, which is left out") == 1);
    save(*source, "mcore", scratch / "again");
    CHECK_FALSE(args_of(scratch / "again").contains("no_rope_freq"));
}

TEST_CASE("what a header states and no format can say is refused by every saver", "[plugin][args]") {
    for (const char* saver : {"llama", "mistral", "megatron", "mcore"}) {
        const TemporaryDirectory scratch;
        AlteredLoader source(small_header(), 1);
        source.alter_header = [](ModelHeader& h) { h.origin.unexpressed["attention_sinks"] = "true (of a fork)"; };
        CHECK(refusal([&] { save(source, saver, scratch / "out"); }) ==
              "the source states attention_sinks true (of a fork), which the target cannot express");
        CHECK_FALSE(std::filesystem::exists(scratch / "out"));
    }
}

TEST_CASE("statements that the tensors contradict are refused", "[plugin][megatron][args]") {
    const auto why = [](const ModelHeader& header, const char* saver, const Attributes& more) {
        const TemporaryDirectory scratch;
        write_trained(scratch / "in", saver, header, more, saver == std::string("mcore") ? local : OptionValues{});
        const std::string text = refusal([&] { load(saver, scratch / "in"); });
        const std::size_t at = text.find("': ") == std::string::npos ? text.find(": '") : text.find(": '");
        return at == std::string::npos ? text : text.substr(at + 2);
    };
    ModelHeader learned = header_of_128_words();
    learned.positions = PositionKind::learned;
    CHECK_THAT(why(learned, "mcore", {{"position_embedding_type", "rope"}}),
               StartsWith("'position_embedding_type' is \"rope\", but the tensors have a learned position table"));
    CHECK_THAT(why(learned, "mcore", {{"use_rotary_position_embeddings", true}}),
               StartsWith("'use_rotary_position_embeddings' is true, but the tensors have a learned position table"));
    const ModelHeader plain = header_of_128_words();
    CHECK_THAT(why(plain, "mcore",
                   {{"position_embedding_type", "learned_absolute"}, {"use_rotary_position_embeddings", false}}),
               StartsWith("'position_embedding_type' is \"learned_absolute\", but the tensors have no position table"));
    CHECK_THAT(why(plain, "mcore", {{"add_qkv_bias", true}}), StartsWith("'add_qkv_bias' is true, but"));
    CHECK_THAT(why(plain, "mcore", {{"add_bias_linear", true}}), StartsWith("'add_bias_linear' is true, but"));
    CHECK_THAT(why(plain, "mcore", {{"untie_embeddings_and_output_weights", false}}),
               StartsWith("'untie_embeddings_and_output_weights' is false, but the tensors have a head of their own"));
    CHECK_THAT(why(plain, "megatron", {{"tie_embed_logits", true}}),
               StartsWith("'tie_embed_logits' is true, but the tensors have a head of their own"));
    CHECK_THAT(why(plain, "mcore", {{"multi_latent_attention", true}}),
               StartsWith("'multi_latent_attention' is true, but the tensors have the other kind of attention"));
    CHECK_THAT(why(plain, "mcore", {{"normalization", "LayerNorm"}}), StartsWith("'normalization' is \"LayerNorm\""));
    CHECK_THAT(why(plain, "mcore", {{"squared_relu", true}}),
               StartsWith("both 'swiglu' and 'squared_relu'") || ContainsSubstring("both 'swiglu'"));
    CHECK_THAT(why(plain, "mcore", {{"layernorm_epsilon", 1e-3}}), StartsWith("'norm_epsilon' is 1e-06, but"));
    ModelHeader tied = plain;
    tied.tied_embeddings = true;
    CHECK_THAT(why(tied, "mcore", {{"untie_embeddings_and_output_weights", true}}),
               StartsWith("'untie_embeddings_and_output_weights' is true, but the tensors have no head of their own"));
    ModelHeader ungated = plain;
    ungated.mlp.gated = false;
    ungated.mlp.activation = Activation::squared_relu;
    CHECK_THAT(why(ungated, "mcore", {{"swiglu", true}, {"squared_relu", false}}),
               StartsWith("'swiglu' is true, but the tensors have an MLP without a gate"));
}

TEST_CASE("a value of the wrong kind is an error that names the file and the argument", "[plugin][megatron][args]") {
    const auto wrong = [](const char* name, pickle::Value value) {
        const std::string text = why_not_llama({{name, std::move(value)}});
        CHECK_THAT(text, StartsWith("args of "));
        CHECK_THAT(text, ContainsSubstring(std::string(": '") + name + "': is "));
        return text;
    };
    CHECK_THAT(wrong("rotary_base", "abc"), ContainsSubstring("is \"abc\", expected a number"));
    CHECK_THAT(wrong("rotary_base", -5), ContainsSubstring("expected a number above 0"));
    wrong("norm_epsilon", "1e-5");
    wrong("rope_scaling_factor", "8");
    wrong("use_rope_scaling", "yes");
    wrong("rotary_interleaved", 1);
    wrong("rotary_percent", 0);
    wrong("window_size", "4096");
    wrong("swiglu", "yes");
    wrong("normalization", "L2Norm");
    wrong("squared_relu", 1);
    wrong("apply_layernorm_1p", "no");
    wrong("vocab_size", -1);
    wrong("position_embedding_type", "alibi");
}

TEST_CASE("a squared relu stays one beside the gelu kernel that is on by default", "[plugin][megatron][args]") {
    const TemporaryDirectory scratch;
    ModelHeader header = header_of_128_words();
    header.mlp.gated = false;
    header.mlp.activation = Activation::squared_relu;
    write_trained(scratch / "in", "mcore", header, {{"bias_gelu_fusion", true}}, local);
    CHECK(load("mcore", scratch / "in")->header().mlp.activation == Activation::squared_relu);
}

TEST_CASE("quick_geglu is a gated MLP with the quick gelu", "[plugin][megatron][args]") {
    const TemporaryDirectory scratch;
    write_trained(scratch / "in", "mcore", header_of_128_words(), {{"swiglu", false}, {"quick_geglu", true}}, local);
    const auto source = load("mcore", scratch / "in");
    CHECK(source->header().mlp.activation == Activation::quick_gelu);
    save(*source, "llama", scratch / "hub");
    CHECK(read_json(scratch / "hub/config.json")["hidden_act"] == "quick_gelu");
    save(*load("llama", scratch / "hub"), "mcore", scratch / "back", {{"ckpt_format", "torch"}});
    CHECK(args_of(scratch / "back")["quick_geglu"] == true);
    CHECK(args_of(scratch / "back")["swiglu"] == false);
}

TEST_CASE("a gate that no argument names is not guessed from the ungated gelu's", "[plugin][megatron][args]") {
    CHECK_THAT(why_not_llama({{"swiglu", false}, {"bias_gelu_fusion", true}}),
               ContainsSubstring("a gated MLP whose activation its source does not state"));
}

TEST_CASE("a reshard keeps all arguments but those of the old layout", "[plugin][megatron][args]") {
    const TemporaryDirectory scratch;
    pickle::Object backend;
    backend.module = "megatron.core.transformer.enums";
    backend.name = "AttnBackend";
    backend.args = tuple({5});
    pickle::Object foreign = backend;
    foreign.module = "os";
    foreign.name = "system";
    foreign.args = tuple({"true"});
    pickle::Dict dict{{{"a", 1}, {2, list({})}}};
    write_trained(scratch / "in", "mcore", header_of_128_words(),
                  {{"lr", 3e-4},
                   {"train_iters", 5000},
                   {"data_path", list({"a", "b"})},
                   {"betas", tuple({0.9, 0.95})},
                   {"exp_avg_dtype", pickle::Global{"torch", "float32"}},
                   {"attention_backend", backend},
                   {"callback", foreign},
                   {"loader", pickle::Global{"os", "system"}},
                   {"extra", dict},
                   {"loss_scale", std::numeric_limits<double>::infinity()},
                   {"overlap", true},
                   {"world_size", 64},
                   {"rank", 3},
                   {"data_parallel_size", 16},
                   {"load", "/somewhere"},
                   {"sequence_parallel", true},
                   {"apply_query_key_layer_scaling", true},
                   {"tokenizer_model", "tok"}},
                  local);
    const auto source = load("mcore", scratch / "in");
    const auto said = save(*source, "mcore", scratch / "again", {{"target_tensor_parallel_size", "2"}});
    CHECK(std::count(said.begin(), said.end(), "arguments that hold objects of Python classes are not kept: loader") ==
          1);
    const pickle::Value root = rank_file(scratch / "again");
    const pickle::Value& args = *root.find("args");
    CHECK(args.attribute("lr")->as_float() == 3e-4);
    CHECK(args.attribute("train_iters")->as_integer() == 5000);
    CHECK(args.attribute("data_path")->get<pickle::List>()->items.size() == 2);
    CHECK(args.attribute("betas")->get<pickle::Tuple>()->items.size() == 2);
    CHECK(args.attribute("exp_avg_dtype")->get<pickle::Global>()->name == "float32");
    CHECK(args.attribute("attention_backend")->get<pickle::Object>()->name == "AttnBackend");
    CHECK(args.attribute("extra")->find("a")->as_integer() == 1);
    CHECK(args.attribute("loss_scale")->as_float() == std::numeric_limits<double>::infinity());
    CHECK(args.attribute("overlap")->as_bool() == true);
    CHECK(args.attribute("sequence_parallel")->as_bool() == true);
    CHECK(args.attribute("apply_query_key_layer_scaling")->as_bool() == true);
    CHECK(*args.attribute("tokenizer_model")->as_string() == "tok");
    CHECK(args.attribute("world_size")->as_integer() == 2);
    CHECK(args.attribute("rank")->as_integer() == 0);
    CHECK(args.attribute("data_parallel_size")->as_integer() == 1);
    CHECK(args.attribute("tensor_model_parallel_size")->as_integer() == 2);
    CHECK(args.attribute("load")->is_none());
    CHECK(*args.attribute("callback")->as_string() == "true");  // what it is made of, and no call
    CHECK_FALSE(args.attribute("loader"));
    save(*source, "megatron", scratch / "llm", {{"dialect", "llm"}});
    CHECK(args_of(scratch / "llm")["lr"] == 3e-4);
    CHECK_FALSE(args_of(scratch / "llm").contains("swiglu"));
}

TEST_CASE("arguments that refer to one list again and again are bounded", "[plugin][megatron][args]") {
    pickle::Value nested = list({1, 1});
    for (int level = 0; level < 14; ++level) nested = list({nested, nested, nested, nested});
    const TemporaryDirectory scratch;
    write_trained(scratch / "in", "mcore", header_of_128_words(), {{"lr", 1.0}, {"bomb", nested}, {"last", 2}}, local);
    const pickle::Value root = rank_file(scratch / "in");
    CHECK_THAT(refusal([&] { read_args(root.find("args")); }), ContainsSubstring("hold more than any"));
    detail::KeptValues values;
    CHECK_FALSE(values.read(*root.find("args")->attribute("bomb")));
}

TEST_CASE("vocab_size is the number of words where the user gives none", "[plugin][megatron][args]") {
    const auto words = [](const Attributes& more, const OptionValues& options = {}) {
        const TemporaryDirectory scratch;
        write_trained(scratch / "in", "mcore", header_of_128_words(), more, local);
        return load("mcore", scratch / "in", options)->header().true_vocab_size;
    };
    CHECK(words({{"vocab_size", 100}}) == 100U);
    CHECK(words({{"vocab_size", 100}, {"orig_vocab_size", 90}}) == 90U);
    CHECK(words({{"vocab_size", 100}}, {{"true_vocab_size", "120"}}) == 120U);
    CHECK(words({{"vocab_size", 100}, {"tokenizer_type", "NullTokenizer"}}) == 101U);
    CHECK_FALSE(words({{"vocab_size", {}}}));
    CHECK_THAT(why_not_llama({{"vocab_size", 129}}), ContainsSubstring("129 words"));
}
