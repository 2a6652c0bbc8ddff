// SPDX-License-Identifier: Apache-2.0
// make_llama GIGABYTES DIRECTORY: a Llama of about that size with random weights, as the Hugging Face Hub has them:
// bf16, grouped-query attention, five safetensors shards. Streams, so the size is bounded by the disk alone.

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "crossdock/container/safetensors/writer.hpp"
#include "crossdock/container/sharded/writer.hpp"

namespace {

using namespace crossdock;

struct Sizes {
    std::uint64_t hidden, ffn, heads, kv_heads, vocabulary, layers;
};

/// Llama-like shapes of about 1 and 7 billion parameters, with as many layers as make up the size.
Sizes choose_sizes(double gigabytes) {
    Sizes s = gigabytes < 4 ? Sizes{2048, 5632, 32, 8, 32000, 0} : Sizes{4096, 14336, 32, 8, 32000, 0};
    const std::uint64_t kv = s.hidden / s.heads * s.kv_heads;
    const auto layer = static_cast<double>(2 * s.hidden * (2 * s.hidden + 2 * kv + 3 * s.ffn));
    const auto vocabulary = static_cast<double>(2 * 2 * s.vocabulary * s.hidden);
    // An even number, for two pipeline stages.
    s.layers = 2 * static_cast<std::uint64_t>(std::max(1.0, (gigabytes * 1e9 - vocabulary) / layer / 2 + 0.5));
    return s;
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

void write_weights(const Sizes& s, double gigabytes, const std::filesystem::path& directory) {
    sharded::Writer writer(directory, sharded::safetensors_names, static_cast<std::uint64_t>(gigabytes * 1e9 / 4.5),
                           [](const std::filesystem::path& path) {
                               return std::make_unique<safetensors::Writer>(path, std::uint64_t{1} << 20);
                           });
    RandomWeights weights;
    const auto add = [&](const std::string& name, const Shape& shape) {
        weights.write(*writer.add(name, DType::bf16, shape), shape.element_count() * 2);
    };
    const std::uint64_t kv = s.hidden / s.heads * s.kv_heads;
    add("model.embed_tokens.weight", {s.vocabulary, s.hidden});
    for (std::uint64_t i = 0; i < s.layers; ++i) {
        const std::string layer = "model.layers." + std::to_string(i) + '.';
        add(layer + "input_layernorm.weight", {s.hidden});
        add(layer + "self_attn.q_proj.weight", {s.hidden, s.hidden});
        add(layer + "self_attn.k_proj.weight", {kv, s.hidden});
        add(layer + "self_attn.v_proj.weight", {kv, s.hidden});
        add(layer + "self_attn.o_proj.weight", {s.hidden, s.hidden});
        add(layer + "post_attention_layernorm.weight", {s.hidden});
        add(layer + "mlp.gate_proj.weight", {s.ffn, s.hidden});
        add(layer + "mlp.up_proj.weight", {s.ffn, s.hidden});
        add(layer + "mlp.down_proj.weight", {s.hidden, s.ffn});
    }
    add("model.norm.weight", {s.hidden});
    add("lm_head.weight", {s.vocabulary, s.hidden});
    writer.finish();
}

void write_config(const Sizes& s, const std::filesystem::path& directory) {
    std::ofstream(directory / "config.json")
        << R"({"architectures": ["LlamaForCausalLM"], "model_type": "llama", "torch_dtype": "bfloat16", )"
        << R"("max_position_embeddings": 4096, "rms_norm_eps": 1e-05, "rope_theta": 10000.0, "hidden_act": "silu", )"
        << R"("tie_word_embeddings": false, "hidden_size": )" << s.hidden << R"(, "intermediate_size": )" << s.ffn
        << R"(, "num_attention_heads": )" << s.heads << R"(, "num_key_value_heads": )" << s.kv_heads
        << R"(, "num_hidden_layers": )" << s.layers << R"(, "vocab_size": )" << s.vocabulary << "}\n";
}

}  // namespace

int main(int argc, char** argv) {
    const double gigabytes = argc == 3 ? std::atof(argv[1]) : 0;
    if (gigabytes <= 0) {
        std::cerr << "usage: make_llama GIGABYTES DIRECTORY\n";
        return 2;
    }
    try {
        const std::filesystem::path directory = argv[2];
        std::filesystem::create_directories(directory);
        const Sizes sizes = choose_sizes(gigabytes);
        write_weights(sizes, gigabytes, directory);
        write_config(sizes, directory);
    } catch (const std::exception& problem) {
        std::cerr << "make_llama: " << problem.what() << '\n';
        return 1;
    }
}
