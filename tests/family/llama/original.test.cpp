// SPDX-License-Identifier: Apache-2.0
#include "crossdock/family/llama/original.hpp"

#include <random>

#include "crossdock/container/torch/reader.hpp"
#include "crossdock/container/torch/writer.hpp"
#include "crossdock/family/original/files.hpp"
#include "crossdock/layout/tensor_parallel.hpp"
#include "support/catch.hpp"
#include "support/conversion.hpp"

using namespace crossdock;
using namespace crossdock::test;
using Catch::Matchers::ContainsSubstring;

namespace {

template <Loader L>
Json original_params(L& source, const TemporaryDirectory& scratch, OptionValues options = {}) {
    options["layout"] = "original";
    options["overwrite"] = "";
    save(source, "llama", scratch / "out", options);
    return read_json(scratch / "out/params.json");
}

std::vector<std::string> keys(const Json& object) {
    std::vector<std::string> names;
    for (const auto& [name, value] : object.items()) names.push_back(name);
    return names;
}

/// A loader with a changed header; its tensors do not matter, since nothing is written.
class Claiming {
public:
    explicit Claiming(ModelHeader header) : header_(std::move(header)) {}
    ModelHeader header() { return header_; }
    Embeddings embeddings() { return {}; }
    TransformerLayer layer(std::uint64_t) { return {}; }
    FinalNorm final_norm() { return {}; }

private:
    ModelHeader header_;
};

}  // namespace

TEST_CASE("Meta's MLP rule gives the sizes of the published models", "[family][llama]") {
    CHECK(MetaMlpRule{256, {}}.rows(4096) == 11008);     // 7B
    CHECK(MetaMlpRule{256, {}}.rows(5120) == 13824);     // 13B
    CHECK(MetaMlpRule{256, {}}.rows(6656) == 17920);     // 33B
    CHECK(MetaMlpRule{256, {}}.rows(8192) == 22016);     // 65B
    CHECK(MetaMlpRule{4096, 1.3}.rows(8192) == 28672);   // Llama 2 70B
    CHECK(MetaMlpRule{256, 1.0}.rows(8192) == 22016);    // Code Llama 34B
    CHECK(MetaMlpRule{1024, 1.3}.rows(4096) == 14336);   // Llama 3 8B
    CHECK(MetaMlpRule{4096, 1.2}.rows(16384) == 53248);  // Llama 3.1 405B
    CHECK(MetaMlpRule{256, 1.5}.rows(2048) == 8192);     // Llama 3.2 1B
    CHECK(MetaMlpRule{256, 1.0}.rows(3072) == 8192);     // Llama 3.2 3B
}

TEST_CASE("find_mlp_rule inverts the rule for any size", "[family][llama]") {
    std::mt19937_64 random(1);
    for (int i = 0; i < 20000; ++i) {
        const std::uint64_t dim = 1 + random() % 20000, rows = 1 + random() % 60000;
        const auto rule = find_mlp_rule(dim, rows);
        INFO(dim << " " << rows);
        REQUIRE(rule);
        REQUIRE(rule->rows(dim) == rows);
    }
    CHECK_FALSE(find_mlp_rule(4096, 0));
}

TEST_CASE("find_mlp_rule finds the rule that a published model has", "[family][llama]") {
    CHECK_FALSE(find_mlp_rule(4096, 11008)->ffn_dim_multiplier);
    CHECK(find_mlp_rule(8192, 28672)->ffn_dim_multiplier == 1.3);
    CHECK(find_mlp_rule(4096, 14336)->ffn_dim_multiplier == 1.3);
}

TEST_CASE("llama's original files say which Llama they are", "[family][llama]") {
    const auto type = [](const char* name) { return load("llama", golden(name))->header().model_type; };
    CHECK(type("meta/llama2-gqa-mp2") == "llama2");
    CHECK(type("meta/llama3-gqa-mp2") == "llama3");
    CHECK(type("meta/llama3-gqa") == "llama3");
    CHECK(type("meta/llama2-mha") == "llama2");
    CHECK(type("hf/codellama") == "codellama");
    CHECK(type("hf/llama3.2-tied") == "llama3");
}

TEST_CASE("llama's original files refuse a model_type that their cuts contradict", "[family][llama]") {
    CHECK_THAT(
        refusal([] {
            load("llama", golden("meta/llama3-gqa-mp2"), {{"model_type", "llama2"}});
        }),
        ContainsSubstring("model_type 'llama2' contradicts the files, which cut tok_embeddings by rows, as Llama 3"));
    CHECK_THAT(refusal([] {
                   load("llama", golden("meta/llama2-gqa-mp2"), {{"model_type", "llama3"}});
               }),
               ContainsSubstring("by columns, as Llama 1 and 2 does"));
    CHECK_THAT(refusal([] {
                   load("llama", golden("meta/llama2-gqa-mp2"), {{"model_type", "falcon"}});
               }),
               ContainsSubstring("model_type 'falcon' contradicts the loader 'llama'"));
}

TEST_CASE("params.json has the keys that the code of its model type knows", "[family][llama]") {
    const TemporaryDirectory scratch;
    const auto params = [&](const char* name, const char* type) {
        const auto source = load("llama", golden(name), {{"model_type", type}});
        return original_params(*source, scratch);
    };
    const std::vector<std::string> llama2{"dim", "n_layers", "n_heads", "vocab_size", "multiple_of", "norm_eps"};
    CHECK(params("hf/llama2-mha", "llama")["vocab_size"] == 500);
    const Json mha = params("hf/llama2-mha", "llama2"), code = params("hf/codellama", "codellama"),
               three = params("hf/llama3-gqa", "llama3"), gqa = params("hf/llama2-gqa", "llama2");
    for (const char* key : {"n_kv_heads", "rope_theta", "use_scaled_rope"}) CHECK_FALSE(mha.contains(key));
    CHECK(code["rope_theta"] == 1e6);
    CHECK_FALSE(code.contains("use_scaled_rope"));
    CHECK(three["rope_theta"] == 5e5);
    CHECK(three["use_scaled_rope"] == true);
    CHECK(three["n_kv_heads"] == 4);
    CHECK(gqa["n_kv_heads"] == 2);
    for (const std::string& key : llama2) CHECK(mha.contains(key));
    CHECK(keys(mha).size() <= llama2.size() + 1);  // and ffn_dim_multiplier
}

TEST_CASE("params.json keeps the source's MLP rule where it fits", "[family][llama]") {
    const TemporaryDirectory scratch;
    const auto source = load("llama", golden("meta/llama2-gqa"));
    const Json params = original_params(*source, scratch);
    CHECK(params["multiple_of"] == 16);
    CHECK(params["ffn_dim_multiplier"] == 0.25);
}

TEST_CASE("llama's original layout names what it cannot express", "[family][llama]") {
    const TemporaryDirectory scratch;
    const auto why = [&](const char* name, const char* type, const std::function<void(ModelHeader&)>& edit) {
        ModelHeader header = load("llama", golden(name), {{"model_type", type}})->header();
        edit(header);
        Claiming source(header);
        const std::string text = refusal([&] { save(source, "llama", scratch / "out", {{"layout", "original"}}); });
        CHECK_FALSE(std::filesystem::exists(scratch / "out"));
        return text;
    };
    const auto as_it_is = [](ModelHeader&) {};
    const std::string of_rope =
        "the model has a rope_scaling that use_scaled_rope does not stand for, or that only "
        "Llama 3 has, which the original llama layout cannot express";
    CHECK(why("hf/llama3.2-tied", "llama3", [](ModelHeader& h) { h.attention.rope_scaling->factor = 16.0; }) ==
          of_rope);
    CHECK(why("hf/llama3-gqa", "llama3", [](ModelHeader& h) { h.attention.rope_scaling->factor = 32.0; }) == of_rope);
    CHECK(why("hf/llama3-gqa", "llama3", [](ModelHeader& h) { h.attention.rope_scaling->high_freq_factor = 5.0; }) ==
          of_rope);
    CHECK(why("hf/llama3-gqa", "llama3", [](ModelHeader& h) { h.attention.rope_scaling->type = "yarn"; }) == of_rope);
    CHECK_THAT(why("hf/llama3-gqa", "llama2", as_it_is), ContainsSubstring("a rope_scaling that use_scaled_rope"));
    CHECK_THAT(why("hf/codellama", "llama2", as_it_is), ContainsSubstring("a rope_theta other than 10000"));
    CHECK_THAT(
        why("hf/llama2-mha", "llama2", [](ModelHeader& h) { h.attention.qkv_bias = h.attention.dense_bias = true; }),
        ContainsSubstring("biases in its linear layers"));
    CHECK_THAT(why("hf/llama2-mha", "llama2", [](ModelHeader& h) { h.attention.kv_channels = 32; }),
               ContainsSubstring("heads whose size is not hidden_size / num_attention_heads"));
    CHECK_THAT(why("hf/llama2-mha", "llama2", [](ModelHeader& h) { h.mlp.activation = Activation::gelu_tanh; }),
               ContainsSubstring("an activation other than silu"));
}

TEST_CASE("a tied Llama is written with a copy of its embeddings and is tied again when it comes back",
          "[family][llama]") {
    const TemporaryDirectory scratch;
    const double factor = GENERATE(8.0, 32.0);  // 32: as Meta publishes Llama 3.2
    const auto copy = copied("hf/llama3.2-tied", scratch);
    edit_json(copy / "config.json", [&](Json& config) { config["rope_parameters"]["factor"] = factor; });
    const auto source = load("llama", copy);
    const auto told = save(*source, "llama", scratch / "out", {{"layout", "original"}, {"model_parallel_size", "2"}});
    REQUIRE(told.size() == (factor == 8.0 ? 1 : 2));
    CHECK(told[0] == "the original llama layout knows no tied models; the head is written as a copy of the embeddings");
    if (factor == 32.0) CHECK_THAT(told[1], ContainsSubstring("Meta's own code then scales by 8, this model needs 32"));
    const Json params = read_json(scratch / "out/params.json");
    CHECK(params["use_scaled_rope"] == true);
    CHECK(params.contains("rope_scaling_factor") == (factor == 8.0));
    const TensorDict part = torch::tensors(torch::read(scratch / "out/consolidated.01.pth"), "part");
    CHECK(part.find("output.weight")->tensor.bytes() == part.find("tok_embeddings.weight")->tensor.bytes());
    CHECK(differences(*source, *load("llama", scratch / "out")) == none);
    std::filesystem::remove(scratch / "out/crossdock.json");
    const ModelHeader back = load("llama", scratch / "out")->header();
    CHECK(back.tied_embeddings);
    CHECK(back.attention.rope_scaling == source->header().attention.rope_scaling);
}

TEST_CASE("a head that equals the embeddings in Meta's files is tied, whatever their parts", "[family][llama]") {
    const TemporaryDirectory scratch;
    const auto copy = copied("hf/llama2-gqa", scratch);
    edit_json(copy / "config.json", [](Json& config) { config["tie_word_embeddings"] = true; });
    edit_tensors(copy, [](NamedTensor& entry) { return entry.name != "lm_head.weight"; });
    const auto source = load("llama", copy);
    for (const char* parts : {"1", "2"}) {  // cut by columns, the head by rows
        save(*source, "llama", scratch / parts, {{"layout", "original"}, {"model_parallel_size", parts}});
        std::filesystem::remove(scratch / parts / "crossdock.json");
        CHECK(load("llama", scratch / parts)->header().tied_embeddings);
    }
    CHECK_FALSE(load("llama", golden("meta/llama3-gqa-mp2"))->header().tied_embeddings);
}

TEST_CASE("params.json decides the factor of the scaled rope where it says one", "[family][llama]") {
    const TemporaryDirectory scratch;
    const auto copy = copied("meta/llama3-gqa", scratch);
    const auto scaling = [&](const char* key, Json value) {
        edit_json(copy / "params.json", [&](Json& params) { params[key] = std::move(value); });
        return *load("llama", copy)->header().attention.rope_scaling;
    };
    CHECK(scaling("use_scaled_rope", true).factor == 8.0);
    CHECK(scaling("rope_scaling_factor", 16).factor == 16.0);
    CHECK(scaling("rope_high_freq_factor", 2).high_freq_factor == 2.0);
    CHECK(scaling("use_scaled_rope", false) == RopeScaling{});
    CHECK_THAT(load("llama", copy)->notices()[0], ContainsSubstring("a rope_scaling_factor but no use_scaled_rope"));
}

TEST_CASE("a context that Meta's files do not state is guessed with a notice", "[family][llama]") {
    const auto source = load("llama", golden("meta/llama2-gqa"));
    CHECK(source->notices() == std::vector<std::string>{"params.json has no max_position_embeddings; 4096 is taken, as "
                                                        "the model looks like llama2"});
    CHECK(source->header().origin.assumed.contains("max_position_embeddings"));
    const auto told = load("llama", golden("meta/llama2-gqa"), {{"max_position_embeddings", "512"}});
    CHECK(told->notices() == none);  // nothing is left to guess
    CHECK_FALSE(told->header().origin.assumed.contains("max_position_embeddings"));
    const TemporaryDirectory scratch;
    const auto copy = copied("meta/llama2-gqa", scratch);
    edit_json(copy / "params.json", [](Json& params) { params["norm_eps"] = 1e-6; });
    CHECK(load("llama", copy)->header().max_position_embeddings == 2048U);
}

TEST_CASE("params.json of other models is refused by the key that says so", "[family][llama]") {
    const TemporaryDirectory scratch;
    const auto copy = copied("meta/llama3-gqa", scratch);
    const Json sound = read_json(copy / "params.json");
    std::filesystem::remove(copy / "consolidated.00.pth");  // said before any tensor is looked for
    const std::vector<std::pair<std::string, std::string>> lines{{"quantization_args", "quantized weights"},
                                                                 {"lora_args", "LoRA"},
                                                                 {"moe_args", "experts"},
                                                                 {"vision_chunk_size", "images"},
                                                                 {"vision_num_cross_attention_layers", "images"},
                                                                 {"use_qk_norm", "norms"}};
    for (const auto& line : lines) {
        Json params = sound;
        params[line.first] = Json{{"a", 1}};
        write_file(copy / "params.json", params.dump());
        CHECK_THAT(refusal([&] { load("llama", copy); }),
                   ContainsSubstring("params.json: '" + line.first + "': asks for") && ContainsSubstring(line.second));
    }
    write_file(copy / "params.json", Json{{"model", sound}, {"quantization_args", {{"scheme", "x"}}}}.dump());
    CHECK_THAT(refusal([&] { load("llama", copy); }), ContainsSubstring("'quantization_args': asks for quantized"));
    Json mamba = sound;
    mamba["model_type"] = "mamba";
    write_file(copy / "params.json", mamba.dump());
    CHECK_THAT(refusal([&] { load("llama", copy); }), ContainsSubstring("'model_type': is 'mamba'"));
}

TEST_CASE("what params.json says and nobody understands is kept for the saver to refuse", "[family][llama]") {
    const TemporaryDirectory scratch;
    const auto copy = copied("meta/llama3-gqa", scratch);
    edit_json(copy / "params.json", [](Json& params) {
        params["max_batch_size"] = 32;  // changes nothing
        params["vision_chunk_size"] = -1;
        params["quantization_args"] = nullptr;
        params["logit_softcap"] = 30.0;
    });
    const auto source = load("llama", copy);
    CHECK(source->header().origin.unexpressed == std::map<std::string, std::string>{{"logit_softcap", "30.0"}});
    CHECK_THAT(refusal([&] { save(*source, "llama", scratch / "out"); }), ContainsSubstring("logit_softcap 30.0"));
}

TEST_CASE("parts of Meta's files that do not belong together are refused by their names", "[family][llama]") {
    const TemporaryDirectory scratch;
    const auto source = load("llama", golden("hf/llama2-gqa"));
    save(*source, "llama", scratch / "two", {{"layout", "original"}, {"model_parallel_size", "2"}});
    const auto second = scratch / "two/consolidated.01.pth", kept = scratch / "kept.pth";
    std::filesystem::rename(second, kept);
    const TensorDict dict = torch::tensors(torch::read(kept), kept.string());
    const auto rewritten = [&](const std::function<bool(NamedTensor&)>& edit) {
        torch::Writer writer(second);
        for (NamedTensor entry : dict.entries())
            if (edit(entry)) add_tensor(writer, entry.name, entry.tensor);
        writer.finish();
        const std::string why = refusal([&] { load("llama", scratch / "two"); });
        std::filesystem::remove(second);
        return why;
    };
    const Tensor weights = dict.find("layers.0.feed_forward.w1.weight")->tensor;
    CHECK_THAT(rewritten([&](NamedTensor& entry) {
                   if (entry.name == "layers.1.attention_norm.weight")
                       entry.tensor = reshape(slice(weights, 0, 0, 1), entry.tensor.shape());
                   return true;
               }),
               ContainsSubstring("'layers.1.attention_norm.weight' differs between ") &&
                   ContainsSubstring("consolidated.00.pth and ") && ContainsSubstring("consolidated.01.pth"));
    CHECK_THAT(rewritten([](NamedTensor& entry) { return entry.name != "norm.weight"; }),
               ContainsSubstring("tensor 'norm.weight' is in ") && ContainsSubstring("but not in "));
    CHECK_THAT(rewritten([](NamedTensor& entry) {
                   if (entry.name == "norm.weight") entry.name = "norm.bias";
                   return true;
               }),
               ContainsSubstring("tensor 'norm.bias' is in ") && ContainsSubstring("consolidated.01.pth, but not in "));
}

TEST_CASE("integers in Meta's files are no weights", "[family][llama]") {
    const TemporaryDirectory scratch;
    const auto copy = copied("meta/llama2-gqa", scratch);
    const auto file = copy / "consolidated.00.pth", kept = scratch / "kept.pth";
    std::filesystem::rename(file, kept);
    const TensorDict dict = torch::tensors(torch::read(kept), kept.string());
    torch::Writer writer(file);
    for (const NamedTensor& entry : dict.entries()) {
        const bool quantized = entry.name == "layers.0.attention.wq.weight";
        auto slot = writer.add(entry.name, quantized ? DType::i8 : entry.tensor.dtype(), entry.tensor.shape());
        std::vector<std::byte> bytes = entry.tensor.bytes();
        if (quantized) bytes.resize(entry.tensor.element_count());
        slot->write(0, bytes);
    }
    writer.finish();
    CHECK_THAT(refusal([&] { load("llama", copy); }),
               ContainsSubstring("tensor 'layers.0.attention.wq.weight' is i8, expected f32") &&
                   ContainsSubstring("quantized weights are not supported"));
}

TEST_CASE("a Llama in more parts than key/value heads has each head once", "[family][llama]") {
    // What 4 parts of a model with 2 key/value heads look like: parts 0 and 1 hold head 0, parts 2 and 3 head 1.
    const TemporaryDirectory scratch;
    const auto source = load("llama", golden("hf/llama2-gqa"));
    save(*source, "llama", scratch / "two", {{"layout", "original"}, {"model_parallel_size", "2"}});
    const auto in_four = scratch / "four";
    std::filesystem::create_directory(in_four);
    std::filesystem::copy_file(scratch / "two/params.json", in_four / "params.json");
    for (std::size_t part = 0; part < 4; ++part) {
        const TensorDict half =
            torch::tensors(torch::read(scratch / "two" / consolidated_name(part / 2)), consolidated_name(part / 2));
        torch::Writer writer(in_four / consolidated_name(part));
        for (const NamedTensor& entry : half.entries()) {
            const bool is_shared = entry.name.ends_with("norm.weight") || entry.name.ends_with(".wk.weight") ||
                                   entry.name.ends_with(".wv.weight");
            const bool by_columns = entry.name.ends_with(".wo.weight") || entry.name.ends_with(".w2.weight") ||
                                    entry.name == "tok_embeddings.weight";
            add_tensor(writer, entry.name,
                       is_shared ? entry.tensor : take_shard(entry.tensor, by_columns ? 1 : 0, part % 2, 2));
        }
        writer.finish();
    }
    CHECK(differences(*source, *load("llama", in_four)) == none);
    CHECK(refusal([&] {
              save(*source, "llama", scratch / "out", {{"layout", "original"}, {"model_parallel_size", "4"}});
          }) == "model_parallel_size 4 does not divide the model's 2 key/value heads; choose a divisor");
}

TEST_CASE("llama's original files with holes or odd shapes are refused", "[family][llama]") {
    const TemporaryDirectory scratch;
    const auto copy = copied("meta/llama2-gqa-mp2", scratch);
    std::filesystem::rename(copy / "consolidated.01.pth", copy / "consolidated.02.pth");
    CHECK(refusal([&] { load("llama", copy); }) ==
          to_text(copy.string(), ": consolidated.01.pth is missing; there are 2 parts"));
    std::filesystem::remove(copy / "consolidated.02.pth");
    CHECK(refusal([&] { load("llama", copy); }) ==
          to_text(copy.string(), ": holds 1 of 2 parts, expected consolidated.00.pth to consolidated.01.pth"));
    std::filesystem::remove(copy / "consolidated.00.pth");
    CHECK(refusal([&] { load("llama", copy); }) ==
          to_text(copy.string(), ": holds params.json but no consolidated.00.pth or consolidated.safetensors"));
}

TEST_CASE("--model_parallel_size needs the original layout", "[family][llama]") {
    CHECK(refusal([] {
              make_saver("llama", {{"save_dir", "x"}, {"model_parallel_size", "2"}});
          }) == "model_parallel_size 2: needs the layout original");
    CHECK_THAT(refusal([] {
                   make_saver("mistral", {{"save_dir", "x"}, {"model_parallel_size", "2"}});
               }),
               ContainsSubstring("model_parallel_size is not an option of the saver 'mistral'"));
    CHECK(refusal([] {
              make_saver("llama", {{"save_dir", "x"}, {"layout", "meta"}});
          }) == "layout is 'meta', expected hf or original");
}
