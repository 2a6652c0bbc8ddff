// SPDX-License-Identifier: Apache-2.0
// The excerpts of docs/using-from-cpp.md, and what the page says of them.
#include <crossdock/crossdock.hpp>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <sstream>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "support/catch.hpp"
#include "support/temporary_directory.hpp"

using crossdock::test::TemporaryDirectory;

namespace {

const std::filesystem::path llama_dir = std::filesystem::path(CROSSDOCK_SOURCE_DIR) / "examples/data/llama-tiny";

/// What a program of one's own has in memory.
struct Weights {
    std::vector<float> values;
};

// [own-types]
struct OwnLayer {
    std::vector<float> norm, query, key, value, out, mlp_norm, gate, up, down;
};

struct OwnModel {
    std::uint64_t vocabulary, width, heads, head_size, mlp_width;
    std::vector<float> words, last_norm;
    std::vector<OwnLayer> layers;
};
// [own-types]

OwnModel own_model() {
    const std::uint64_t vocabulary = 32, width = 8, heads = 2, head_size = 4, mlp_width = 16;
    auto make = [next = 0.0F](std::uint64_t count) mutable {
        std::vector<float> values(count);
        for (float& value : values) value = next++;
        return values;
    };
    const std::uint64_t square = width * width, rectangle = mlp_width * width;
    const auto layer = [&] {
        return OwnLayer{make(width), make(square),    make(square),    make(square),   make(square),
                        make(width), make(rectangle), make(rectangle), make(rectangle)};
    };
    return {vocabulary, width, heads, head_size, mlp_width, make(vocabulary * width), make(width), {layer(), layer()}};
}

// [own-loader]
/// A model in memory as a loader: nothing to derive from, three functions or a few more.
struct OwnLoader {
    const OwnModel& model;

    crossdock::ModelHeader header() {
        crossdock::ModelHeader header;
        header.num_layers = model.layers.size();
        header.hidden_size = model.width;
        header.vocab_rows = model.vocabulary;
        header.tied_embeddings = true;
        header.max_position_embeddings = 2048;
        header.norm_epsilon = 1e-5;
        header.attention.num_attention_heads = model.heads;
        header.attention.num_query_groups = model.heads;
        header.attention.kv_channels = model.head_size;
        header.attention.rope_theta = 10000.0;
        header.mlp.ffn_hidden_size = model.mlp_width;
        header.mlp.activation = crossdock::Activation::silu;
        return header;
    }
    crossdock::Embeddings embeddings() {
        crossdock::Embeddings message;
        message.word = crossdock::from_vector(model.words, {model.vocabulary, model.width});
        return message;
    }
    crossdock::TransformerLayer layer(std::uint64_t index) {
        using crossdock::from_vector;
        const OwnLayer& own = model.layers.at(index);
        const std::uint64_t rows = model.heads * model.head_size, width = model.width, mlp_width = model.mlp_width;
        const crossdock::SeparateQkv qkv{from_vector(own.query, {rows, width}), from_vector(own.key, {rows, width}),
                                         from_vector(own.value, {rows, width})};
        crossdock::TransformerLayer message;
        message.index = index;
        message.input_norm_weight = from_vector(own.norm, {width});
        message.qkv_weight = group_qkv(qkv, {.queries_per_group = 1, .head_rows = model.head_size});
        message.dense_weight = from_vector(own.out, {width, rows});
        message.post_norm_weight = from_vector(own.mlp_norm, {width});
        message.gate_weight = from_vector(own.gate, {mlp_width, width});
        message.up_weight = from_vector(own.up, {mlp_width, width});
        message.fc2_weight = from_vector(own.down, {width, mlp_width});
        return message;
    }
    crossdock::FinalNorm final_norm() {
        crossdock::FinalNorm message;
        message.weight = crossdock::from_vector(model.last_norm, {model.width});
        return message;
    }
};
// [own-loader]

}  // namespace

TEST_CASE("a plugin is chosen by name at run time", "[docs]") {
    const std::filesystem::path directory = llama_dir;
    // [by-name]
    const std::string name = crossdock::BuiltinLoaders::recognise(directory);  // empty when no loader knows it
    const auto loader = crossdock::BuiltinLoaders::make(name, {{"load_dir", directory.string()}});
    // [by-name]
    CHECK(name == "llama");
    CHECK(loader->header().num_layers > 0);
}

TEST_CASE("two checkpoints are compared from code", "[docs]") {
    const TemporaryDirectory scratch;
    const std::filesystem::path megatron_dir = scratch.path() / "megatron";
    {
        crossdock::LlamaLoader loader({.load_dir = llama_dir});
        crossdock::MegatronSaver saver({.save_dir = megatron_dir, .target_tensor_parallel_size = 2});
        crossdock::convert(loader, saver);
    }
    std::ostringstream out;
    // [verify]
    crossdock::LlamaLoader source({.load_dir = llama_dir});
    crossdock::MegatronLoader target({.load_dir = megatron_dir});
    const crossdock::VerifyReport report = crossdock::verify(source, target);
    for (const crossdock::Difference& difference : report.differences)
        out << difference.place << ": " << difference.text << '\n';
    out << report.tensors << " tensors compared, " << (report.equal() ? "equal" : "different") << '\n';
    // [verify]
    CHECK(out.str() == "31 tensors compared, equal\n");
    out.str({});
    // [digest]
    crossdock::MegatronLoader copy({.load_dir = megatron_dir});
    const crossdock::DigestReport digests = crossdock::digest(copy);
    for (const crossdock::TensorDigest& tensor : digests.list.tensors) out << crossdock::digest_line(tensor) << '\n';
    // [digest]
    CHECK_THAT(out.str(), Catch::Matchers::ContainsSubstring("]  embeddings / word embeddings\n"));
}

TEST_CASE("a cancelled conversion leaves nothing behind", "[docs]") {
    const TemporaryDirectory scratch;
    const std::filesystem::path save_dir = scratch.path() / "megatron";
    crossdock::LlamaLoader loader({.load_dir = llama_dir});
    crossdock::MegatronSaver saver({.save_dir = save_dir});
    // [cancel]
    std::stop_source stop;
    crossdock::ConvertOptions options;
    options.stop = stop.get_token();
    options.progress = [&](const crossdock::Progress& progress) {
        if (progress.bytes > 100'000) stop.request_stop();  // from here, from a button, from another thread
    };
    bool is_cancelled = false;
    try {
        crossdock::convert(loader, saver, options);
    } catch (const crossdock::Cancelled&) {
        is_cancelled = true;
    }
    // [cancel]
    CHECK(is_cancelled);
    CHECK(!std::filesystem::exists(save_dir));
}

TEST_CASE("what a progress callback throws ends the conversion", "[docs]") {
    const TemporaryDirectory scratch;
    crossdock::LlamaLoader loader({.load_dir = llama_dir});
    crossdock::MegatronSaver saver({.save_dir = scratch.path() / "megatron"});
    crossdock::ConvertOptions options;
    options.progress = [](const crossdock::Progress&) { throw 7; };
    CHECK_THROWS_AS(crossdock::convert(loader, saver, options), int);
    CHECK(!std::filesystem::exists(scratch.path() / "megatron"));
}

TEST_CASE("tensors are made of a program's own memory", "[docs]") {
    using namespace crossdock;
    // [vector]
    const Tensor matrix = from_vector(std::vector<float>{1, 2, 3, 4, 5, 6}, {2, 3});
    const Tensor halves = from_vector(std::vector<std::uint16_t>{0x3F80, 0x4000}, {2}, DType::bf16);  // 1 and 2
    // [vector]
    const auto weights = std::make_shared<Weights>(Weights{{1, 2, 3, 4}});
    // [bytes]
    const Tensor view = from_bytes(std::as_bytes(std::span(weights->values)), weights, DType::f32, {2, 2});
    // [bytes]
    // [recipe]
    const Tensor turned = transpose(cast(view, DType::f64));
    // [recipe]
    CHECK(matrix.dtype() == DType::f32);
    CHECK(cast(halves, DType::f32).bytes() == from_vector(std::vector<float>{1, 2}, {2}).bytes());
    CHECK(turned.bytes() == from_vector(std::vector<double>{1, 3, 2, 4}, {2, 2}).bytes());

    std::ostringstream file;
    std::size_t hashed = 0;
    const auto hash = [&](std::span<const std::byte> block) { hashed += block.size(); };
    // [blocks]
    write_to(file, turned);
    for_each_block(turned, [&](std::span<const std::byte> block) { hash(block); });
    // [blocks]
    CHECK(file.str().size() == 32);
    CHECK(hashed == 32);
}

TEST_CASE("a model in memory becomes a checkpoint", "[docs]") {
    const TemporaryDirectory scratch;
    const std::filesystem::path save_dir = scratch.path() / "llama";
    const OwnModel my_model = own_model();
    // [own-model]
    OwnLoader loader{my_model};
    crossdock::LlamaSaver saver({.save_dir = save_dir});
    crossdock::convert(loader, saver);
    // [own-model]
    crossdock::LlamaLoader written({.load_dir = save_dir});
    const crossdock::VerifyReport report = crossdock::verify(loader, written);
    CHECK(report.tensors == 16);
    CHECK(report.equal());
}
