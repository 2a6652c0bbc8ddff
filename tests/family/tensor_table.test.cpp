// SPDX-License-Identifier: Apache-2.0
#include "crossdock/family/tensor_table.hpp"

#include "support/catch.hpp"

using namespace crossdock;

TEST_CASE("a pattern becomes the name in the files", "[family][tensor_table]") {
    CHECK(stored_name("layers.{}.norm", 12) == "layers.12.norm");
    CHECK(stored_name("final_norm", 12) == "final_norm");
    CHECK(stored_name("layers.{}.experts.{e}.w1", 3, 7) == "layers.3.experts.7.w1");
    CHECK(stored_name("experts.{e}.layers.{}", 3, 7) == "experts.7.layers.3");
    CHECK(stored_name("decoder.layers.norm[{}]", 3) == "decoder.layers.norm");
}

TEST_CASE("a table has the rows of each message that it is given", "[family][tensor_table]") {
    TensorTable table{.messages = {Rows<FinalNorm>{{{&FinalNorm::weight}, {"base.norm.weight"}}},
                                   Rows<Embeddings>{{{&Embeddings::word}, {"base.words"}}}}};
    CHECK(table.rows<Embeddings>().size() == 1);
    CHECK(table.rows<FinalNorm>().front().names == std::vector<std::string>{"base.norm.weight"});
    CHECK(table.rows<TransformerLayer>().empty());
    CHECK(row_of(table, &Embeddings::word) == &table.rows<Embeddings>().front());
    CHECK(row_of(table, &Embeddings::position) == nullptr);
    const TensorTable other = renamed(table, "base.", "");
    CHECK(other.rows<Embeddings>().front().names.front() == "words");
    CHECK(other.rows<FinalNorm>().front().names.front() == "norm.weight");
}
