// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "crossdock/container/tensor_dict.hpp"
#include "crossdock/core/error.hpp"
#include "crossdock/core/recipe.hpp"
#include "crossdock/core/shared_text.hpp"
#include "crossdock/core/text.hpp"
#include "crossdock/family/megatron/dist_names.hpp"
#include "crossdock/layout/stack.hpp"
#include "crossdock/plugin/megatron/wrappers.hpp"

namespace crossdock::detail {

/// Turns the global tensors of a distributed checkpoint into those that the file of a rank has that holds the whole
/// model: each layer's by themselves, gate and up in one. Throws Error where they cannot be a model's.
class DistTensors {
public:
    /// `file` is what errors name.
    explicit DistTensors(std::string file) : file_(std::move(file)), shared_file_(file_) {}

    void add(const std::string& name, const Tensor& tensor) {
        refuse_foreign(name, file_);
        const std::size_t layer = behind_layers(name);
        const bool has_number = layer < name.size() && name[layer] >= '0' && name[layer] <= '9';
        if (layer == name.npos || has_number) return put_layer(dist_name(name), tensor);
        is_stacked_ = true;
        const std::uint64_t layers = layer_count(name, tensor);
        for (std::uint64_t index = 0; index < layers; ++index) put_layer({name, index}, take_element(tensor, index));
    }

    /// Whether layers lie on an axis of their own.
    bool is_stacked() const { return is_stacked_; }
    /// Whether gate and up are stored apart.
    bool has_halves() const { return !halves_.empty(); }

    /// All of them, named "model.decoder.…".
    std::vector<NamedTensor> take() && {
        for (const auto& [name, halves] : halves_) {
            for (std::size_t half = 0; half < halves.size(); ++half)
                if (!halves[half])
                    throw Error(to_text(file_, ": tensor '", name, half_endings[half],
                                        "' is missing, the other half of '", name, half_endings[1 - half], "'"));
            const std::array<Tensor, 2> gate_and_up{*halves[0], *halves[1]};
            tensors_.push_back({name,
                                in_context(to_text(file_, ": tensor '", name, "' in two halves"),
                                           [&] { return concatenate(gate_and_up, 0); }),
                                shared_file_});
        }
        respell_norms();
        const std::size_t wrapped = wrapper_length(tensors_);
        for (NamedTensor& entry : tensors_)
            entry.name = to_text("model.", std::string_view(entry.name).substr(wrapped));
        return std::move(tensors_);
    }

private:
    static constexpr std::uint64_t most_experts = 100'000;
    /// How singleton_local_shards ends the names of the gate, which is above, and of the rest of an MLP's first layer
    /// (megatron/core/transformer/mlp.py, apply_swiglu_sharded_factory).
    static constexpr std::array<std::string_view, 2> half_endings{"_w", "_v"};

    /// A layer's tensor; those of its experts lie on an axis of their own.
    void put_layer(DistName name, const Tensor& tensor) {
        const auto numbered = layer_in(name.name);  // an MTP layer's, which has its number in its name
        const std::size_t begin = numbered ? numbered->in_front.size() : behind_layers(name.name);
        const bool is_layers = name.layer || numbered;
        const bool is_stacked = is_layers && std::string_view(name.name).substr(begin).starts_with(stacked_experts);
        if (!is_stacked || name.expert) return put(rank_file_name(name), tensor);
        if (tensor.shape().rank() == 0 || tensor.shape()[0] > most_experts)
            throw Error(to_text(file_, ": tensor '", shortened(name.name), "' has shape ", tensor.shape(),
                                " in a layer, expected an axis of experts in front"));
        for (std::uint64_t expert = 0; expert < tensor.shape()[0]; ++expert) {
            name.expert = expert;
            put(rank_file_name(name), take_element(tensor, expert));
        }
    }

    /// In front of experts and of latent attention a rank file has the norm by itself, whichever layers the model has.
    /// The norms of latents are spelt as Transformer Engine's layers do.
    void respell_norms() {
        const std::string attention = "self_attention.";
        respell("mlp.router.weight", "mlp.linear_fc1.layer_norm_", "pre_mlp_layernorm.");
        for (const auto& [from, to] : {std::pair{"linear_qkv.layer_norm_", std::string("input_layernorm.")},
                                       std::pair{"q_layernorm.", attention + "linear_q_up_proj.layer_norm_"},
                                       std::pair{"kv_layernorm.", attention + "linear_kv_up_proj.layer_norm_"}})
            respell("self_attention.linear_kv_down_proj.weight", attention + from, to);
    }

    /// Makes `from` `to` in the names of those layers that have the tensor `mark`.
    void respell(std::string_view mark, std::string_view from, std::string_view to) {
        std::set<std::string> layers;  // "decoder.layers.7."
        for (const NamedTensor& entry : tensors_)
            if (entry.name.ends_with(mark)) layers.insert(entry.name.substr(0, entry.name.size() - mark.size()));
        if (layers.empty()) return;
        for (NamedTensor& entry : tensors_) {
            const std::size_t at = entry.name.find(from);
            if (at != entry.name.npos && layers.contains(entry.name.substr(0, at)))
                entry.name.replace(at, from.size(), to);
        }
    }

    void put(std::string name, const Tensor& tensor) {
        for (std::size_t half = 0; half < half_endings.size(); ++half) {
            if (!name.ends_with(half_endings[half])) continue;
            const auto matrix = std::string_view(name).substr(0, name.size() - half_endings[half].size());
            if (!matrix.ends_with("linear_fc1.weight") && !matrix.ends_with("linear_fc1.bias")) continue;
            halves_[std::string(matrix)][half] = tensor;
            return;
        }
        tensors_.push_back({std::move(name), tensor, shared_file_});
    }

    /// Every stacked tensor has as many layers as the others of its block: the decoder, say.
    std::uint64_t layer_count(const std::string& name, const Tensor& tensor) {
        constexpr std::uint64_t few = 10'000, most = 1'000'000, least_bytes = 16;  // of a layer's smallest tensor
        const auto refuse = [&](std::string_view what) {
            throw Error(to_text(file_, ": tensor '", shortened(name), "' has shape ", tensor.shape(), ", ", what));
        };
        if (tensor.shape().rank() == 0) refuse("expected an axis of layers in front");
        const std::uint64_t layers = tensor.shape()[0];
        if (layers > few && layers > std::min(most, tensor.byte_count() / least_bytes))
            refuse("more layers than any model has");
        const auto [block, is_first] = blocks_.try_emplace(name.substr(0, behind_layers(name)), Block{name, layers});
        if (!is_first && block->second.layers != layers)
            refuse(to_text("as if there were ", layers, " layers, but '", shortened(block->second.first), "' has ",
                           block->second.layers));
        return layers;
    }

    struct Block {
        std::string first;  ///< the tensor that was met first
        std::uint64_t layers;
    };

    std::string file_;
    SharedText shared_file_;
    std::vector<NamedTensor> tensors_;
    std::map<std::string, std::array<std::optional<Tensor>, 2>> halves_;
    std::map<std::string, Block> blocks_;
    bool is_stacked_ = false;
};

}  // namespace crossdock::detail
