// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>

#include "crossdock/family/stage_tensors.hpp"
#include "crossdock/protocol/check_header.hpp"
#include "crossdock/protocol/message_list.hpp"

namespace crossdock {

/// Where a message's tensors stand.
struct LayerPlace {
    std::size_t stage = 0;  ///< of the pipeline
    NameScope scope;        ///< the prefix of its chunk, a layer's number there
};

/// Where a message stands in a checkpoint (`layers`, `first`, `last`) of so many pipeline stages. Throws Error where
/// there is no such layer.
template <class M, class Checkpoint>
LayerPlace place_of(Key<M> key, const Checkpoint& checkpoint, std::size_t stages) {
    if constexpr (std::is_same_v<M, Embeddings>)
        return {0, checkpoint.first};
    else if constexpr (!std::is_same_v<M, TransformerLayer>)
        return {stages - 1, checkpoint.last};
    else if (key.index < checkpoint.layers.size())
        return checkpoint.layers[key.index];
    else
        throw Error(to_text("there is no layer ", key.index, " of ", checkpoint.layers.size()));
}

/// "hidden_size 4096, num_attention_heads 32, …": what expected shapes follow from.
inline std::string describe_sizes(const ModelHeader& header, std::string_view where) {
    return to_text(where, " says num_layers ", header.num_layers,
                   header.mtp_num_layers > 0 ? to_text(", mtp_num_layers ", header.mtp_num_layers) : std::string(),
                   ", hidden_size ", header.hidden_size, ", num_attention_heads ", header.attention.num_attention_heads,
                   ", key/value heads ", header.attention.num_query_groups, ", head size ",
                   header.attention.kv_channels, ", ffn size ", header.mlp.ffn_hidden_size, ", vocabulary rows ",
                   header.vocab_rows, header.origin.given.empty() ? "" : "; the user gave ",
                   joined_list(header.origin.given));
}

/// How many layers the names of a stage speak of: one more than the highest number that stands for "{}",
/// or the extent of the axis on which they are stacked.
inline std::uint64_t count_layers(const StageTensors& stage, const std::string& prefix, std::string pattern) {
    if (stacks_layers(pattern)) {
        const NamedTensor* all = stage.find(0, prefix + stored_name(pattern, 0));
        return all && all->tensor.shape().rank() > 0 ? all->tensor.shape()[0] : 0;
    }
    std::replace(pattern.begin(), pattern.end(), '/', '.');
    const std::string beginning = prefix + pattern.substr(0, pattern.find("{}"));
    std::uint64_t count = 0;
    for (const NamedTensor& entry : stage.rank(0).entries()) {
        if (!entry.name.starts_with(beginning)) continue;
        const char* end = entry.name.data() + entry.name.size();
        std::uint64_t number = 0;
        const auto parsed = std::from_chars(entry.name.data() + beginning.size(), end, number);
        // A number beyond a million is no layer; the tensor is then found to have no place.
        if (parsed.ec == std::errc() && parsed.ptr != end && *parsed.ptr == '.' && number < 1'000'000)
            count = std::max(count, number + 1);
    }
    return count;
}

/// The extents of stored tensors are read from these, and must be there before any header can be made.
inline const NamedTensor& required_tensor(const StageTensors& stage, const std::string& name,
                                          const std::filesystem::path& directory) {
    const NamedTensor* entry = stage.find(0, name);
    if (!entry) throw Error(to_text(directory.string(), ": tensor '", name, "' is missing"));
    if (entry->tensor.shape().rank() == 0)
        throw Error(to_text(entry->file, ": tensor '", entry->name, "' is a scalar, expected rows"));
    return *entry;
}

/// Fills the sizes that follow from others. Throws Error where one is missing or cannot be: what the tables divide by
/// is then not 0.
inline void complete_sizes(ModelHeader& header, std::string_view where) {
    const auto complete = [&](Attention& attention) {
        if (attention.num_query_groups == 0) attention.num_query_groups = attention.num_attention_heads;
        if (attention.kv_channels == 0 && attention.num_attention_heads != 0)
            attention.kv_channels = header.hidden_size / attention.num_attention_heads;
    };
    complete(header.attention);
    for (auto& other : header.other_layers)
        if (other.second.attention) complete(*other.second.attention);
    in_context(where, [&] { check_header(header); });
}

}  // namespace crossdock
