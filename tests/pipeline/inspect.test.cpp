// SPDX-License-Identifier: Apache-2.0
#include "crossdock/pipeline/inspect.hpp"

#include "support/altered_loader.hpp"
#include "support/catch.hpp"
#include "support/conversion.hpp"

using namespace crossdock;
using test::small_header;

TEST_CASE("an inspection lists the canonical tensors", "[pipeline]") {
    test::AlteredLoader loader(small_header(DType::bf16), 1);
    loader.alter_layer = [](TransformerLayer& layer) {
        layer.input_norm_weight = Tensor(DType::f32, {32}, nullptr);  // without content: nothing is read
    };
    loader.lines = {"a notice"};
    const Inspection found = inspect(loader);
    CHECK(found.header.hidden_size == 32);
    REQUIRE(found.tensors.size() == 24);
    CHECK(found.tensors[0].message == "embeddings");
    CHECK(found.tensors[0].name == "word embeddings");
    CHECK(found.tensors[0].shape == Shape{100, 32});
    CHECK(found.tensors[0].bytes() == 6400);
    CHECK(found.tensors.back().message == "output layer");
    CHECK(found.dtypes().at(DType::f32).tensors == 3);
    CHECK(found.dtypes().at(DType::f32).bytes == 3 * 32 * 4);
    CHECK(found.dtypes().at(DType::bf16).tensors == 21);
    CHECK(found.parameters() * 2 + 3 * 32 * 2 == found.bytes());
    CHECK(found.notices == std::vector<std::string>{"a notice"});
    CHECK(found.storage.ranks.empty());
}

TEST_CASE("an inspection tells what each rank stores", "[pipeline]") {
    const auto loader = test::load("megatron", test::golden("megatron-llm/llama2-gqa-tp2pp2"));
    const Inspection found = inspect(*loader);
    CHECK(found.header.origin.format == "Megatron (llm)");
    CHECK(found.tensors.size() == 31);
    REQUIRE(found.storage.ranks.size() == 4);
    CHECK(found.storage.ranks[1].rank == 1);
    CHECK(found.storage.ranks[1].stage == 0);
    CHECK(found.storage.ranks[3].tensors == 14);
    CHECK(found.storage.unused.empty());
    std::uint64_t stored = 0;
    for (const StoredRank& rank : found.storage.ranks) stored += rank.bytes;
    CHECK(stored == found.bytes() + 9 * 64 * 2);  // each rank has the norms: 2 a layer and the last one
}
