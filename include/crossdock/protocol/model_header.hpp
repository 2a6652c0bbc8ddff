// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "crossdock/core/dtype.hpp"
#include "crossdock/protocol/carried_text.hpp"

namespace crossdock {

enum class NormKind : std::uint8_t { rms, layer };
enum class PositionKind : std::uint8_t { rope, learned, alibi, none };
enum class RouterScore : std::uint8_t { softmax, sigmoid };
enum class Activation : std::uint8_t { silu, gelu_erf, gelu_tanh, quick_gelu, relu, squared_relu, linear };

/// The names of an enumeration's values, in their order: what `inspect`, `verify` and crossdock.json call them.
template <class E>
inline constexpr std::array<std::string_view, 0> enum_names{};
template <>
inline constexpr std::array<std::string_view, 2> enum_names<NormKind>{"rms", "layer"};
template <>
inline constexpr std::array<std::string_view, 4> enum_names<PositionKind>{"rope", "learned", "alibi", "none"};
template <>
inline constexpr std::array<std::string_view, 2> enum_names<RouterScore>{"softmax", "sigmoid"};
template <>
inline constexpr std::array<std::string_view, 7> enum_names<Activation>{
    "silu", "gelu_erf", "gelu_tanh", "quick_gelu", "relu", "squared_relu", "linear"};

template <class E>
constexpr std::string_view enum_name(E value) {
    return enum_names<E>[static_cast<std::size_t>(value)];
}

/// How rotary frequencies are stretched. `type` is Hugging Face's rope_type; "default" is no scaling.
struct RopeScaling {
    std::string type = "default";
    std::optional<double> factor{};
    std::optional<double> low_freq_factor{}, high_freq_factor{};  ///< llama3
    std::optional<std::uint64_t> original_max_position_embeddings{};
    std::map<std::string, std::string> others{};  ///< parameters beyond these (yarn, longrope), as JSON

    bool operator==(const RopeScaling&) const = default;
};

/// A file that travels beside the weights, byte for byte.
struct Companion {
    std::filesystem::path file{};  ///< where it is read
    std::string name{};            ///< what it is called in the target's directory
};

/// The sizes of attention by latents (DeepSeek's MLA): keys and values come from one small vector of each token, queries
/// may come from another.
struct LatentAttention {
    std::uint64_t q_lora_rank = 0;          ///< elements of the queries' latent; 0: they come from the layer's input
    std::uint64_t kv_lora_rank = 0;         ///< of that of keys and values; 0: the attention is not latent
    std::uint64_t qk_head_dim = 0;          ///< rows of one head's query and key that are not turned
    std::uint64_t qk_pos_emb_head_dim = 0;  ///< that are turned; all heads share these rows of the key
    std::uint64_t v_head_dim = 0;           ///< rows of one head's value, which kv_channels repeats

    bool operator==(const LatentAttention&) const = default;
};

/// How a layer attends.
struct Attention {
    std::uint64_t num_attention_heads = 0;
    std::uint64_t num_query_groups = 0;  ///< key/value heads; equals num_attention_heads without grouping
    std::uint64_t kv_channels = 0;       ///< rows of one head; heads × kv_channels may differ from hidden_size
    bool qkv_bias = false;
    bool dense_bias = false;  ///< of the output projection
    bool qk_norm = false;     ///< each head's query and key have a norm, before they are turned
    LatentAttention latent{};
    std::optional<double> rope_theta{};
    std::optional<double> rotary_percent{};
    /// Megatron-Core's flag: it stores rotary rows in pairs, messages in halves.
    std::optional<bool> rotary_interleaved{};
    std::optional<RopeScaling> rope_scaling{};
    std::optional<std::uint64_t> sliding_window{};  ///< visible tokens, itself included; 0: none
    std::optional<double> query_pre_attn_scalar{};  ///< scores are divided by its root in place of √kv_channels
    std::optional<double> logit_softcap{};  ///< scores s become c · tanh(s / c) before the mask; 0: they do not

    bool operator==(const Attention&) const = default;
};

inline bool is_latent(const Attention& attention) { return attention.latent.kv_lora_rank > 0; }

/// The experts of a layer that has a router and several MLPs in place of one; each is gated.
struct Experts {
    std::uint64_t num_experts = 0;             ///< 0: the layer has one MLP
    std::uint64_t router_topk = 0;             ///< experts for each token
    std::uint64_t ffn_hidden_size = 0;         ///< of one expert
    std::uint64_t shared_ffn_hidden_size = 0;  ///< of the expert that sees all tokens; 0: there is none
    bool shared_gate = false;                  ///< its output is weighed by a gate of its own
    bool router_bias = false;                  ///< a bias decides with the scores which experts are chosen
    RouterScore score = RouterScore::softmax;
    /// The scores of chosen experts are used as they are; otherwise they are made to add up to 1.
    bool pre_softmax = false;
    std::optional<double> scaling_factor{};  ///< of the scores of chosen experts
    std::uint64_t num_groups = 0;            ///< experts are chosen within the best groups; 0: no groups
    std::uint64_t group_topk = 0;            ///< how many groups

    bool operator==(const Experts&) const = default;
};

/// A layer's MLP, or its experts.
struct Mlp {
    std::uint64_t ffn_hidden_size = 0;
    bool gated = true;  ///< a gate and an up projection, otherwise fc1
    bool fc1_bias = false;
    bool fc2_bias = false;
    std::optional<Activation> activation{};
    Experts experts{};

    bool operator==(const Mlp&) const = default;
};

inline bool has_experts(const Mlp& mlp) { return mlp.experts.num_experts > 0; }

/// A layer that differs from the others in how it attends or in its MLP: the group that it has instead of the header's,
/// whole.
struct LayerKind {
    std::optional<Attention> attention{};
    std::optional<Mlp> mlp{};

    bool operator==(const LayerKind&) const = default;
};

/// Which of BERT's parts there are after the layers.
struct BertHeads {
    bool pooler = false;
    bool lm_head = false;
    bool binary_head = false;
};

/// What belongs to a training run and not to the model.
struct Training {
    std::optional<std::uint64_t> seq_length{};
    std::optional<double> hidden_dropout{};
    std::optional<double> attention_dropout{};
    std::optional<bool> lima_dropout{};
    std::optional<bool> use_flash_attn{};
    std::optional<std::uint64_t> iteration{};
    bool release = false;  ///< the iteration called "release"
    std::optional<std::uint64_t> consumed_train_samples{};
    std::optional<std::uint64_t> consumed_valid_samples{};
    std::optional<std::uint64_t> previous_tensor_parallel_size{};
    std::optional<std::uint64_t> previous_pipeline_parallel_size{};
    std::optional<std::uint64_t> previous_expert_parallel_size{};
    std::optional<std::uint64_t> make_vocab_size_divisible_by{};
    std::optional<std::string> tokenizer_type{};
};

/// Whose code wrote a Megatron checkpoint: Megatron-LLM, Megatron-LM's own model code, or Megatron-Core.
enum class MegatronCode : std::uint8_t { llm, lm, core };

/// How Megatron-Core stores the experts of a layer: as modules of their own (SequentialMLP), all of a rank in one tensor
/// (GroupedMLP, up to core 0.16), or numbered in one module (TEGroupedMLP).
enum class ExpertLayout : std::uint8_t { sequential, grouped, te_grouped };
template <>
inline constexpr std::array<std::string_view, 3> enum_names<ExpertLayout>{"sequential", "grouped", "te_grouped"};

/// What Megatron-Core calls the decoder layer inside an MTP layer: the latter since 0.17.
enum class MtpLayerName : std::uint8_t { transformer_layer, mtp_model_layer };

/// Where a model comes from, what of its description no field says, and who says what.
struct Origin {
    std::filesystem::path directory{};             ///< where the model is read from; empty: not from files
    std::string format{};                          ///< for reports only: "Hugging Face", "Megatron (llm)"
    std::optional<MegatronCode> megatron{};        ///< of a Megatron checkpoint
    bool torch_dist = false;                       ///< it is a distributed checkpoint
    std::optional<ExpertLayout> expert_layout{};   ///< of Megatron-Core's rank files with experts
    std::optional<MtpLayerName> mtp_layer_name{};  ///< of Megatron-Core's rank files with MTP layers
    bool may_ignore = false;                       ///< the loader has an option "ignore", for what is unexpressed
    /// Texts of the source's own descriptions by name ("config.json", "args"), for a target that understands them.
    std::map<std::string, CarriedText> carried{};
    /// Files to be copied beside the target's weights, byte for byte (tokenizers).
    std::vector<Companion> companions{};
    /// What the source's description asks of the same tensors and no field of the header can say, by the name of the
    /// statement, as a text for people. No target may drop one: it expresses it, the user ignores it, or it is refused.
    std::map<std::string, std::string> unexpressed{};
    std::set<std::string> given{};    ///< fields that the user stated by an option
    std::set<std::string> assumed{};  ///< fields whose value no description states: a default of the format, or a guess
};

/// A model's sizes and switches, sent before any tensor. An empty optional means that the source does not say.
/// Names are those of Megatron's arguments where it has one.
struct ModelHeader {
    static constexpr std::string_view name = "header";

    std::string family{};      ///< the model line where the source tells it: llama, mistral, gemma, falcon, gpt2, bert
    std::string model_type{};  ///< the reference's --model_type: GPT BERT falcon llama llama2 llama3 codellama …

    std::uint64_t num_layers = 0;
    std::uint64_t mtp_num_layers = 0;  ///< layers behind these that predict further tokens (multi-token prediction)
    std::uint64_t hidden_size = 0;
    std::uint64_t vocab_rows = 0;                    ///< rows of the word embeddings as they are sent, padding included
    std::optional<std::uint64_t> true_vocab_size{};  ///< words; rows beyond are padding
    std::optional<std::uint64_t> max_position_embeddings{};
    std::uint64_t num_token_types = 0;
    DType params_dtype = DType::f32;  ///< of most weights; every tensor keeps its own

    // How a layer is put together, and what stands around the layers.
    NormKind norm = NormKind::rms;  ///< layer norms have biases, rms norms have none
    PositionKind positions = PositionKind::rope;
    bool tied_embeddings = false;
    bool headless = false;            ///< no output layer although it is not tied: an embedding model
    bool parallel_attention = false;  ///< attention and MLP side by side: no post-attention norm
    bool parallel_norm = false;       ///< with parallel_attention: the MLP has a norm of its own
    bool post_norm = false;           ///< norms after the blocks: an output norm instead of an input norm
    /// What attention and MLP put out has a norm each, before it is added to the residual (Gemma 2 and 3).
    bool block_output_norms = false;
    bool embedding_norm = false;
    bool final_norm = true;
    std::optional<double> norm_epsilon{};
    std::optional<bool> norm_zero_centered{};      ///< stored weight w stands for 1 + w (Gemma)
    std::optional<double> embedding_multiplier{};  ///< applied at run time, never to the weights (Gemma: √hidden_size)
    std::optional<double> final_logit_softcap{};   ///< logits l become c · tanh(l / c); 0: they do not

    // Of the layers; tensors are to be asked for by attention_of() and mlp_of(), which know the layers that differ.
    Attention attention{};
    Mlp mlp{};
    std::map<std::uint64_t, LayerKind> other_layers{};  ///< those that differ, by their number
    BertHeads bert{};
    Training training{};
    Origin origin{};
};

/// How many layers there are with those that predict further tokens.
inline std::uint64_t all_layers(const ModelHeader& header) { return header.num_layers + header.mtp_num_layers; }

/// Whether a layer is one of those behind the model's own that predict further tokens.
inline bool is_mtp_layer(const ModelHeader& header, std::uint64_t layer) {
    return header.mtp_num_layers > 0 && layer >= header.num_layers;
}

/// How layer `layer` attends.
inline const Attention& attention_of(const ModelHeader& header, std::uint64_t layer) {
    const auto other = header.other_layers.find(layer);
    return other != header.other_layers.end() && other->second.attention ? *other->second.attention : header.attention;
}

inline Attention& attention_of(ModelHeader& header, std::uint64_t layer) {
    return const_cast<Attention&>(attention_of(std::as_const(header), layer));
}

/// The MLP of layer `layer`.
inline const Mlp& mlp_of(const ModelHeader& header, std::uint64_t layer) {
    const auto other = header.other_layers.find(layer);
    return other != header.other_layers.end() && other->second.mlp ? *other->second.mlp : header.mlp;
}
inline Mlp& mlp_of(ModelHeader& header, std::uint64_t layer) {
    return const_cast<Mlp&>(mlp_of(std::as_const(header), layer));
}

}  // namespace crossdock
