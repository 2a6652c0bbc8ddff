// SPDX-License-Identifier: Apache-2.0
// make_model llama|gpt2 GIGABYTES DIRECTORY: a model of about that size with random weights, as the Hugging Face Hub has
// it: a Llama in bf16 with grouped-query attention, or a GPT-2 in bf16, whose matrices lie transposed; five safetensors
// shards. Streams, so the size is bounded by the disk alone.

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "crossdock/container/safetensors/writer.hpp"
#include "crossdock/container/sharded/writer.hpp"

namespace {

using namespace crossdock;

struct NamedShape {
    std::string name;
    Shape shape;
};

/// What is stored, and what config.json says of it.
struct Model {
    std::vector<NamedShape> tensors;
    std::string config;
};

std::uint64_t bytes_of(const Shape& shape) { return shape.element_count() * 2; }

/// How many layers make up the size, of which `others` bytes are elsewhere: an even number, for two pipeline stages.
std::uint64_t layers_for(double gigabytes, const std::vector<NamedShape>& layer, std::uint64_t others) {
    std::uint64_t bytes = 0;
    for (const NamedShape& tensor : layer) bytes += bytes_of(tensor.shape);
    const double pairs = (gigabytes * 1e9 - static_cast<double>(others)) / static_cast<double>(bytes) / 2;
    return 2 * static_cast<std::uint64_t>(std::max(1.0, pairs + 0.5));
}

void add_layers(std::vector<NamedShape>& tensors, const std::string& prefix, std::uint64_t layers,
                const std::vector<NamedShape>& layer) {
    for (std::uint64_t i = 0; i < layers; ++i)
        for (const auto& [name, shape] : layer) tensors.push_back({prefix + std::to_string(i) + '.' + name, shape});
}

/// Shapes like those of Llamas of about 0.3, 1 and 7 billion parameters.
Model llama(double gigabytes) {
    const std::uint64_t hidden = gigabytes < 0.5 ? 1024 : gigabytes < 4 ? 2048 : 4096;
    const std::uint64_t ffn = gigabytes < 4 ? hidden * 11 / 4 : 14336;
    const std::uint64_t heads = hidden < 2048 ? 16 : 32, kv_heads = 8, kv = hidden / heads * kv_heads;
    const std::uint64_t vocabulary = hidden < 2048 ? 16000 : 32000;
    const std::vector<NamedShape> layer = {
        {"input_layernorm.weight", {hidden}},          {"self_attn.q_proj.weight", {hidden, hidden}},
        {"self_attn.k_proj.weight", {kv, hidden}},     {"self_attn.v_proj.weight", {kv, hidden}},
        {"self_attn.o_proj.weight", {hidden, hidden}}, {"post_attention_layernorm.weight", {hidden}},
        {"mlp.gate_proj.weight", {ffn, hidden}},       {"mlp.up_proj.weight", {ffn, hidden}},
        {"mlp.down_proj.weight", {hidden, ffn}},
    };
    const std::uint64_t layers = layers_for(gigabytes, layer, 2 * bytes_of({vocabulary, hidden}));
    Model model;
    model.tensors.push_back({"model.embed_tokens.weight", {vocabulary, hidden}});
    add_layers(model.tensors, "model.layers.", layers, layer);
    model.tensors.push_back({"model.norm.weight", {hidden}});
    model.tensors.push_back({"lm_head.weight", {vocabulary, hidden}});
    model.config =
        R"({"architectures": ["LlamaForCausalLM"], "model_type": "llama", "torch_dtype": "bfloat16", )"
        R"("max_position_embeddings": 4096, "rms_norm_eps": 1e-05, "rope_theta": 10000.0, "hidden_act": "silu", )"
        R"("tie_word_embeddings": false, "hidden_size": )" +
        std::to_string(hidden) + R"(, "intermediate_size": )" + std::to_string(ffn) + R"(, "num_attention_heads": )" +
        std::to_string(heads) + R"(, "num_key_value_heads": )" + std::to_string(kv_heads) +
        R"(, "num_hidden_layers": )" + std::to_string(layers) + R"(, "vocab_size": )" + std::to_string(vocabulary) +
        "}\n";
    return model;
}

/// Shapes like those of the largest GPT-2, with heads that 2 and 8 divide.
Model gpt2(double gigabytes) {
    const std::uint64_t hidden = 1536, heads = 24, ffn = 4 * hidden;
    const std::uint64_t vocabulary = 50257, positions = 1024;
    const std::vector<NamedShape> layer = {
        {"ln_1.weight", {hidden}},
        {"ln_1.bias", {hidden}},
        {"attn.c_attn.weight", {hidden, 3 * hidden}},
        {"attn.c_attn.bias", {3 * hidden}},
        {"attn.c_proj.weight", {hidden, hidden}},
        {"attn.c_proj.bias", {hidden}},
        {"ln_2.weight", {hidden}},
        {"ln_2.bias", {hidden}},
        {"mlp.c_fc.weight", {hidden, ffn}},
        {"mlp.c_fc.bias", {ffn}},
        {"mlp.c_proj.weight", {ffn, hidden}},
        {"mlp.c_proj.bias", {hidden}},
    };
    const std::uint64_t layers = layers_for(gigabytes, layer, bytes_of({vocabulary, hidden}));
    Model model;
    model.tensors.push_back({"transformer.wte.weight", {vocabulary, hidden}});
    model.tensors.push_back({"transformer.wpe.weight", {positions, hidden}});
    add_layers(model.tensors, "transformer.h.", layers, layer);
    model.tensors.push_back({"transformer.ln_f.weight", {hidden}});
    model.tensors.push_back({"transformer.ln_f.bias", {hidden}});
    model.config = R"({"architectures": ["GPT2LMHeadModel"], "model_type": "gpt2", "torch_dtype": "bfloat16", )"
                   R"("activation_function": "gelu_new", "layer_norm_epsilon": 1e-05, "n_embd": )" +
                   std::to_string(hidden) + R"(, "n_head": )" + std::to_string(heads) + R"(, "n_layer": )" +
                   std::to_string(layers) + R"(, "n_positions": )" + std::to_string(positions) + R"(, "vocab_size": )" +
                   std::to_string(vocabulary) + "}\n";
    return model;
}

Model model_of(std::string_view family, double gigabytes) {
    if (family == "llama") return llama(gigabytes);
    if (family == "gpt2") return gpt2(gigabytes);
    throw std::runtime_error("makes a llama or a gpt2, not a " + std::string(family));
}

/// Fills tensors with numbers of a fast generator (splitmix64).
class RandomWeights {
public:
    void write(TensorSlot& slot, std::uint64_t bytes) {
        for (std::uint64_t at = 0; at < bytes; at += block_.size() * sizeof(std::uint64_t)) {
            for (std::uint64_t& word : block_) word = next();
            const auto block = std::as_bytes(std::span(block_));
            slot.write(at, block.first(std::min<std::uint64_t>(block.size(), bytes - at)));
        }
    }

private:
    std::uint64_t next() {
        std::uint64_t z = state_ += 0x9E3779B97F4A7C15;
        z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9;
        z = (z ^ z >> 27) * 0x94D049BB133111EB;
        return z ^ z >> 31;
    }

    std::uint64_t state_ = 0;
    std::vector<std::uint64_t> block_ = std::vector<std::uint64_t>(1 << 19);
};

void write(const Model& model, double gigabytes, const std::filesystem::path& directory) {
    std::filesystem::create_directories(directory);
    sharded::Writer writer(directory, sharded::safetensors_names, static_cast<std::uint64_t>(gigabytes * 1e9 / 4.5),
                           [](const std::filesystem::path& path, std::shared_ptr<NameTable> tensors) {
                               return std::make_unique<safetensors::Writer>(path, std::uint64_t{1} << 20,
                                                                            std::move(tensors));
                           });
    RandomWeights weights;
    for (const auto& [name, shape] : model.tensors)
        weights.write(*writer.add(name, DType::bf16, shape), bytes_of(shape));
    writer.finish();
    std::ofstream(directory / "config.json") << model.config;
}

}  // namespace

int main(int argc, char** argv) {
    const double gigabytes = argc == 4 ? std::atof(argv[2]) : 0;
    if (gigabytes <= 0) {
        std::cerr << "usage: make_model llama|gpt2 GIGABYTES DIRECTORY\n";
        return 2;
    }
    try {
        write(model_of(argv[1], gigabytes), gigabytes, argv[3]);
    } catch (const std::exception& problem) {
        std::cerr << "make_model: " << problem.what() << '\n';
        return 1;
    }
}
