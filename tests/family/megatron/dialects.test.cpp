// SPDX-License-Identifier: Apache-2.0
#include "crossdock/family/megatron/dialects.hpp"

#include "crossdock/core/same_bytes.hpp"
#include "support/catch.hpp"
#include "support/synthetic_model.hpp"

using namespace crossdock;
using namespace crossdock::test;

namespace {

const std::vector<const MegatronDialect*> dialects{&megatron_llm(), &megatron_lm(), &megatron_core_local(false),
                                                   &megatron_core_te(true)};

/// The names that a table gives to q, k and v.
const Row<TransformerLayer>& qkv_row(const TensorTable& table) { return *row_of(table, &TransformerLayer::qkv_weight); }

}  // namespace

TEST_CASE("a dialect is found by its code, whose arguments it has", "[family][megatron]") {
    for (const MegatronDialect* dialect : dialects) {
        const MegatronDialect& found = megatron_dialect(dialect->code);
        INFO(dialect->name);
        CHECK(found.name == dialect->name);
        CHECK(found.line == dialect->line);
        CHECK(found.other_args.size() == dialect->other_args.size());
    }
}

TEST_CASE("older versions have tables of their own below 2.0, Megatron-Core has none", "[family][megatron]") {
    for (const MegatronDialect* dialect : dialects) {
        INFO(dialect->name);
        const bool has_older = dialect->code != MegatronCode::core;
        CHECK((&table_of_version(*dialect, 0) != &dialect->table) == has_older);
        CHECK((&table_of_version(*dialect, 1) != &dialect->table) == has_older);
        CHECK((&table_of_version(*dialect, 0) != &table_of_version(*dialect, 1)) == has_older);
        CHECK(&table_of_version(*dialect, 2) == &dialect->table);
        CHECK(&table_of_version(*dialect, 3) == &dialect->table);
    }
}

TEST_CASE("rows of q, k and v of every version come back as they were", "[family][megatron]") {
    SyntheticLoader source(llama_header(1, 4, 4, 8, 32, 48, 64, DType::f32), 7);
    const ModelHeader header = source.header();
    const Tensor rows = *source.layer(0).qkv_weight;
    std::vector<Tensor> stored;
    for (const double version : {0.0, 1.0, 2.0}) {
        const auto& arrangement = qkv_row(table_of_version(megatron_lm(), version)).arrangement;
        stored.push_back(arrangement.split({rows}, header, 0)[0]);
        CHECK(same_bytes(arrangement.join({stored.back()}, header, 0)[0], rows));
        const auto& pairs = qkv_row(table_of_version(megatron_llm(), version)).arrangement;
        CHECK(same_bytes(pairs.join(pairs.split({rows}, header, 0), header, 0)[0], rows));
    }
    CHECK_FALSE(same_bytes(stored[0], stored[2]));
    CHECK_FALSE(same_bytes(stored[1], stored[2]));
    CHECK_FALSE(same_bytes(stored[0], stored[1]));
}

TEST_CASE("a claim of Megatron's args is true of what it speaks of, and of nothing else", "[family][megatron]") {
    ModelHeader header = llama_header(1, 4, 4, 8, 32, 48, 64, DType::f32);
    const auto refuted = [&](const MegatronDialect& dialect, const Json& args) {
        std::string names;
        for (const Claim& claim : dialect.claims)
            if (const auto found = args.find(std::string(claim.argument)); found != args.end())
                if (!claim.agrees(*found, args, header))
                    names += std::string(claim.argument) + ": " + std::string(claim.instead);
        return names;
    };
    header.tied_embeddings = true;
    CHECK(refuted(megatron_llm(), {{"tie_embed_logits", false}}) == "tie_embed_logits: no head of their own");
    CHECK(refuted(megatron_llm(), {{"tie_embed_logits", true}}).empty());
    CHECK(refuted(megatron_lm(), {{"untie_embeddings_and_output_weights", true}}) ==
          "untie_embeddings_and_output_weights: no head of their own");
    header.tied_embeddings = false;
    CHECK(refuted(megatron_llm(), {{"tie_embed_logits", true}}) == "tie_embed_logits: a head of their own");
    CHECK(refuted(megatron_lm(), {{"untie_embeddings_and_output_weights", false}}) ==
          "untie_embeddings_and_output_weights: a head of their own");
    header.attention.qkv_bias = true;
    CHECK(refuted(megatron_lm(), {{"add_bias_linear", false}, {"add_qkv_bias", false}}) ==
          "add_qkv_bias: biases of q, k and v");
    CHECK(refuted(megatron_lm(), {{"add_qkv_bias", false}}).empty());
    CHECK(refuted(megatron_lm(), {{"normalization", "LayerNorm"}}) == "normalization: norms without biases");
    header.mlp.gated = false;
    CHECK(refuted(megatron_llm(), {{"glu_activation", "swiglu"}}) == "glu_activation: an MLP without a gate");
    CHECK(refuted(megatron_lm(), {{"swiglu", true}}) == "swiglu: an MLP without a gate");
}
