// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "support/synthetic_model.hpp"

namespace crossdock::test {

/// A synthetic model that a test changes on its way: what a broken checkpoint or another one would send.
class AlteredLoader {
public:
    AlteredLoader(ModelHeader header, std::uint32_t seed) : model_(std::move(header), seed) {}

    std::function<void()> at_begin = [] {};
    std::function<void(ModelHeader&)> alter_header = [](ModelHeader&) {};
    std::function<void(Embeddings&)> alter_embeddings = [](Embeddings&) {};
    std::function<void(TransformerLayer&)> alter_layer = [](TransformerLayer&) {};
    std::vector<std::string> lines;

    void begin() { at_begin(); }
    ModelHeader header() { return altered(model_.header(), alter_header); }
    Embeddings embeddings() { return altered(model_.embeddings(), alter_embeddings); }
    TransformerLayer layer(std::uint64_t index) { return altered(model_.layer(index), alter_layer); }
    FinalNorm final_norm() { return model_.final_norm(); }
    OutputLayer output_layer() { return model_.output_layer(); }
    BertPooler pooler() { return model_.pooler(); }
    BertLmHead bert_lm_head() { return model_.bert_lm_head(); }
    BertBinaryHead bert_binary_head() { return model_.bert_binary_head(); }
    std::vector<std::string> notices() const { return lines; }

private:
    template <class M>
    static M altered(M message, const std::function<void(M&)>& alter) {
        alter(message);
        return message;
    }

    SyntheticLoader model_;
};

/// 3 layers, 4 heads in 2 groups of size 8, 32 hidden, 48 in the MLP, 100 words.
inline ModelHeader small_header(DType dtype = DType::f32) { return llama_header(3, 4, 2, 8, 32, 48, 100, dtype); }

}  // namespace crossdock::test
