// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "crossdock/container/tensor_dict.hpp"
#include "crossdock/family/layout.hpp"
#include "crossdock/protocol/check_header.hpp"

namespace crossdock {

namespace detail {

/// A tied model whose files hold the head and not the embeddings: transformers since release 5 ties them all the same.
inline TensorDict with_embeddings(TensorDict tensors, const TensorTable& table, const ModelHeader& header,
                                  std::vector<std::string>& notices) {
    const Row<Embeddings>* row = row_of(table, &Embeddings::word);
    if (!row) return tensors;
    const std::string &word = row->names[0], &head = table.tied_copy;
    if (!header.tied_embeddings || tensors.find(word) || !tensors.find(head)) return tensors;
    TensorDict dict;
    for (NamedTensor entry : tensors.entries()) {
        if (entry.name == head) entry.name = word;
        dict.add(std::move(entry));
    }
    notices.push_back(to_text("'", word, "' is missing; '", head, "', to which the model ties it, is taken"));
    return dict;
}

/// Whether the files are those of a model without a head: its class says so, or its names, which leave out the base.
inline bool is_headless(const TensorDict& tensors, const TensorTable& table, const ModelHeader& header,
                        const std::string& architecture, bool names_base) {
    const Row<OutputLayer>* row = row_of(table, &OutputLayer::weight);
    if (header.tied_embeddings || !row || tensors.find(row->names[0])) return false;
    return architecture.ends_with("Model") ? !architecture.ends_with("LMHeadModel") : !names_base;
}

/// "LlamaForCausalLM" → "LlamaModel".
inline std::string headless_architecture(const std::string& with_head) {
    for (const std::string_view ending : {"ForCausalLM", "LMHeadModel"})
        if (with_head.ends_with(ending)) return with_head.substr(0, with_head.size() - ending.size()) + "Model";
    return with_head;
}

}  // namespace detail

}  // namespace crossdock
