// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "crossdock/family/family.hpp"
#include "crossdock/family/hub/config.hpp"
#include "crossdock/family/original/layout.hpp"
#include "crossdock/family/original/params.hpp"
#include "crossdock/protocol/header_fields.hpp"

namespace crossdock {

// Meta's own layout (meta-llama/llama@689c7f2 llama/model.py, codellama@e81b597, llama-models@a9c89c4
// models/llama3/*): rotary rows in pairs, parts of one model-parallel rank each.

/// How Meta's params.json states the size of the MLP: two thirds of 4 × dim, times a factor, up to a multiple.
struct MetaMlpRule {
    std::uint64_t multiple_of;
    std::optional<double> ffn_dim_multiplier;

    /// ffn_hidden_size (llama/model.py, class FeedForward).
    std::uint64_t rows(std::uint64_t dim) const {
        std::uint64_t hidden = truncated(2.0 * static_cast<double>(4 * dim) / 3.0);
        if (ffn_dim_multiplier) hidden = truncated(*ffn_dim_multiplier * static_cast<double>(hidden));
        return multiple_of * ((hidden + multiple_of - 1) / multiple_of);
    }

private:
    static std::uint64_t truncated(double value) {
        return value > 0 && value < 0x1p53 ? static_cast<std::uint64_t>(value) : 0;
    }
};

/// A rule that gives `rows` for `dim`; one that a published model has, where one does. Empty when there is none.
inline std::optional<MetaMlpRule> find_mlp_rule(std::uint64_t dim, std::uint64_t rows) {
    const auto fits = [&](const MetaMlpRule& rule) { return rule.rows(dim) == rows; };
    for (const std::optional<double> multiplier :
         {std::optional<double>(), std::optional(1.0), std::optional(1.3), std::optional(1.2), std::optional(1.5)})
        for (const std::uint64_t multiple : {256U, 1024U, 4096U})
            if (const MetaMlpRule rule{multiple, multiplier}; fits(rule)) return rule;
    const std::uint64_t base = MetaMlpRule{1, {}}.rows(dim);
    if (rows == 0 || base == 0) return std::nullopt;
    std::uint64_t multiple = 4096;
    while (rows % multiple != 0) multiple /= 2;
    // Aimed at the middle of the interval that rounds up to `rows`, so that the product may round either way.
    const double target = static_cast<double>(multiple == 1 ? rows : rows - multiple / 2);
    const MetaMlpRule rule{multiple, (target + 0.5) / static_cast<double>(base)};
    return fits(rule) ? std::optional(rule) : std::nullopt;
}

namespace detail {

/// Meta's names, which mistralai uses as well. `embeddings` says how parts share tok_embeddings: by columns in Llama 1
/// and 2 and in Code Llama, by rows since Llama 3.
inline TensorTable make_llama_original_table(Cut embeddings) {
    using L = TransformerLayer;
    return {.messages = {Rows<Embeddings>{{{&Embeddings::word}, {"tok_embeddings.weight"}, as_is, embeddings}},
                         Rows<TransformerLayer>{
                             {{&L::input_norm_weight}, {"layers.{}.attention_norm.weight"}},
                             {{&L::qkv_weight},
                              {"layers.{}.attention.wq.weight", "layers.{}.attention.wk.weight",
                               "layers.{}.attention.wv.weight"},
                              separate_qkv_pairs,
                              Cut::rows,
                              {"layers.{}.attention.wk.weight", "layers.{}.attention.wv.weight"}},
                             {{&L::dense_weight}, {"layers.{}.attention.wo.weight"}, as_is, Cut::columns},
                             {{&L::post_norm_weight}, {"layers.{}.ffn_norm.weight"}},
                             {{&L::gate_weight}, {"layers.{}.feed_forward.w1.weight"}, as_is, Cut::rows},
                             {{&L::up_weight}, {"layers.{}.feed_forward.w3.weight"}, as_is, Cut::rows},
                             {{&L::fc2_weight}, {"layers.{}.feed_forward.w2.weight"}, as_is, Cut::columns}},
                         Rows<FinalNorm>{{{&FinalNorm::weight}, {"norm.weight"}}},
                         Rows<OutputLayer>{{{&OutputLayer::weight}, {"output.weight"}, as_is, Cut::rows}}},
            .tied_copy = "output.weight",
            .always_unties = true,
            .ignored_endings = {"rope.freqs"}};
}

inline const TensorTable& llama_original_table(Cut embeddings) {
    static const TensorTable by_columns = make_llama_original_table(Cut::columns);
    static const TensorTable by_rows = make_llama_original_table(Cut::rows);
    return embeddings == Cut::rows ? by_rows : by_columns;
}

/// The scaling that use_scaled_rope asks for; llama-models has the constants in its code, 8 among them. Llama 3.2,
/// whose models are tied, was trained with 32 all the same.
inline RopeScaling meta_rope_scaling(double factor = 8.0) {
    return {.type = "llama3",
            .factor = factor,
            .low_freq_factor = 1.0,
            .high_freq_factor = 4.0,
            .original_max_position_embeddings = 8192};
}

inline double usual_rope_factor(const ModelHeader& header) { return header.tied_embeddings ? 32.0 : 8.0; }

inline bool has_no_rope_scaling(const ModelHeader& header) { return require::no_rope_scaling.holds(header); }

/// use_scaled_rope and what belongs to it. A factor that is not stated is found with the tensors.
inline Notices read_meta_rope(ModelHeader& header, const Json& params) {
    std::optional<bool> is_scaled;
    std::optional<double> factor, high;
    read_parameter(params, "use_scaled_rope", is_scaled);
    read_parameter(params, "rope_scaling_factor", factor);
    read_parameter(params, "rope_high_freq_factor", high);
    if (factor && !(*factor > 0)) throw Error("'rope_scaling_factor' is not positive");
    header.attention.rope_scaling = is_scaled.value_or(false) ? meta_rope_scaling(factor.value_or(8.0)) : RopeScaling{};
    if (is_scaled.value_or(false)) {
        if (high) header.attention.rope_scaling->high_freq_factor = *high;
        if (!factor) header.origin.assumed.insert("rope_scaling");
    } else if (factor) {
        return {"params.json has a rope_scaling_factor but no use_scaled_rope; nothing is scaled, as in Meta's code"};
    }
    return {};
}

/// Which of Meta's models this is, as --model_type calls them. Only some of them have a rope_theta of their own.
inline std::string_view guess_llama_type(const ModelHeader& header) {
    constexpr std::uint64_t llama3_words = 128000;
    if (header.attention.rope_theta == 500000.0 || !has_no_rope_scaling(header) ||
        header.true_vocab_size.value_or(header.vocab_rows) >= llama3_words)
        return "llama3";
    if (header.attention.rope_theta.value_or(1e4) != 1e4) return "codellama";
    return header.norm_epsilon == 1e-6 ? "llama" : "llama2";
}

/// The type that a target in Meta's layout has: the model's own if it is one of Meta's.
inline std::string_view llama_original_type(const ModelHeader& header) {
    for (const std::string_view type : {"llama", "llama2", "llama3", "codellama"})
        if (header.model_type == type) return type;
    return guess_llama_type(header);
}

inline Cut llama_embedding_cut(const ModelHeader& header) {
    return llama_original_type(header) == "llama3" ? Cut::rows : Cut::columns;
}

/// What params.json of the source says, as long as it gives the right size.
inline std::optional<MetaMlpRule> meta_mlp_rule(const ModelHeader& header) {
    const Json& params = carried_json(header, "params.json");
    const auto multiple = params.find("multiple_of");
    if (multiple != params.end() && multiple->is_number_unsigned() && multiple->get<std::uint64_t>() > 0) {
        MetaMlpRule rule{multiple->get<std::uint64_t>(), std::nullopt};
        read_parameter(params, "ffn_dim_multiplier", rule.ffn_dim_multiplier);
        if (rule.rows(header.hidden_size) == header.mlp.ffn_hidden_size) return rule;
    }
    return find_mlp_rule(header.hidden_size, header.mlp.ffn_hidden_size);
}

/// Whether parts share tok_embeddings by rows or by columns; of a single part it does not matter.
inline Cut find_embedding_cut(const Shape& word, std::uint64_t dim, std::uint64_t parts) {
    if (word[1] == dim) return Cut::rows;
    if (word[1] * parts == dim) return Cut::columns;
    throw Error(to_text("tok_embeddings.weight has shape ", word, " in each of ", parts, " parts, expected ", dim,
                        " columns (dim), or ", dim, " over all parts"));
}

inline std::uint64_t meta_context(std::string_view type, const ModelHeader& header) {
    if (type == "llama3") return has_no_rope_scaling(header) ? 8192 : 131072;
    if (type == "codellama") return 16384;
    return type == "llama" ? 2048 : 4096;
}

inline const Shape& stored_matrix(const TensorDict& part, const std::string& name) {
    const NamedTensor* entry = part.find(name);
    if (!entry) throw Error(to_text("tensor '", name, "' is missing"));
    if (entry->tensor.shape().rank() != 2)
        throw Error(
            to_text(entry->file, ": tensor '", name, "' has shape ", entry->tensor.shape(), ", expected a matrix"));
    return entry->tensor.shape();
}

/// Sizes that params.json states by a formula or not at all.
inline void read_llama_sizes(ModelHeader& header, std::span<const TensorDict> parts, Cut cut) {
    const TensorTable& table = llama_original_table(cut);
    const Shape word = stored_matrix(parts[0], stored_name(table, &Embeddings::word));
    header.vocab_rows = cut == Cut::rows ? checked_multiply(word[0], parts.size(), "vocabulary rows") : word[0];
    if (!header.true_vocab_size) header.true_vocab_size = header.vocab_rows;
    header.mlp.ffn_hidden_size = checked_multiply(
        stored_matrix(parts[0], stored_name(table, &TransformerLayer::gate_weight))[0], parts.size(), "MLP rows");
    header.mlp.activation = Activation::silu;
    header.tied_embeddings = head_is_embeddings(table, parts, cut);
}

/// Which Llama it is. Throws Error where the user's word contradicts the cuts.
inline void find_llama_type(ModelHeader& header, Cut cut) {
    if (header.model_type.empty()) {
        header.model_type = cut == Cut::rows ? "llama3" : std::string(guess_llama_type(header));
        // Of those that cut columns, Code Llama alone has a rope_theta of its own.
        if (cut == Cut::columns && header.model_type == "llama3") header.model_type = "codellama";
    }
    if (cut != Cut::none && cut != llama_embedding_cut(header))
        throw Error(to_text("model_type '", header.model_type, "' contradicts the files, which cut tok_embeddings by ",
                            cut == Cut::rows ? "rows, as Llama 3" : "columns, as Llama 1 and 2", " does"));
}

/// The factor of a scaled rope where params.json has none: of untied models the one in Meta's code.
inline void find_rope_factor(ModelHeader& header, Notices& notices) {
    if (!header.tied_embeddings) header.origin.assumed.erase("rope_scaling");
    if (!header.origin.assumed.contains("rope_scaling")) return;
    header.attention.rope_scaling->factor = usual_rope_factor(header);
    if (!header.origin.given.contains("rope_scaling"))
        notices.push_back(
            "params.json has no rope_scaling_factor; 32 is taken, as for Llama 3.2: the head equals the "
            "embeddings (Meta's own code takes 8)");
}

/// What only the tensors, or nothing, tells.
inline Notices read_llama_tensors(ModelHeader& header, std::span<const TensorDict> parts) {
    const TensorTable& table = llama_original_table(Cut::rows);  // the other table has the same names
    const Cut cut = parts.size() == 1
                        ? Cut::none
                        : find_embedding_cut(stored_matrix(parts[0], stored_name(table, &Embeddings::word)),
                                             header.hidden_size, parts.size());
    read_llama_sizes(header, parts, cut);
    Notices notices;
    if (!header.attention.rope_theta && *header.true_vocab_size >= 128000)
        assume(header, field::rope_theta, "rope_theta", 5e5, "500000 is taken, as the vocabulary is Llama 3's",
               notices);
    if (!header.attention.rope_theta) header.attention.rope_theta = 1e4;  // Llama 1 and 2 have no such parameter
    find_llama_type(header, cut);
    find_rope_factor(header, notices);
    if (!header.max_position_embeddings) {
        const std::uint64_t context = meta_context(header.model_type, header);
        assume(header, field::max_position_embeddings, "max_position_embeddings", context,
               to_text(context, " is taken, as the model looks like ", header.model_type), notices);
    }
    return notices;
}

/// A line of params.json that only some model types have: where the code of the others meets it, it stops.
inline ConfigEntry only_for(std::initializer_list<std::string_view> types, ConfigEntry line) {
    using namespace config;
    line.write = [types = std::vector(types), write = std::move(line.write)](const ModelHeader& h) {
        const std::string_view type = llama_original_type(h);
        return std::find(types.begin(), types.end(), type) == types.end() ? left_out() : write(h);
    };
    return line;
}

/// Models that params.json describes as well and that are none of Llama 1 to 3.
inline ConfigTable refused_llama_params() {
    return {refused_config("quantization_args", "quantized weights (take the model's bf16 release)"),
            refused_config("lora_args", "LoRA adapters in the weights (take the model's bf16 release)"),
            refused_config("vision_chunk_size", "images (Llama 3.2 Vision)"),
            refused_config("vision_num_cross_attention_layers", "images (Llama 3.2 Vision)"),
            refused_config("vision_args", "images (Llama 4)"),
            refused_config("moe_args", "a mixture of experts (Llama 4)"),
            refused_config("moe", "a mixture of experts"),
            refused_config("nope_layer_interval", "layers without positions (Llama 4)"),
            refused_config("attention_chunk_size", "attention in chunks (Llama 4)"),
            refused_config("use_qk_norm", "norms of queries and keys (Llama 4)"),
            refused_config("attn_temperature_tuning", "attention temperatures (Llama 4)"),
            original_type_config({"llama", "llama2", "llama3", "codellama", "transformer"})};
}

inline Notices llama_caveats(const ModelHeader& header) {
    if (has_no_rope_scaling(header) || header.attention.rope_scaling->factor == 8.0) return {};
    return {
        "params.json says use_scaled_rope, as Meta's does for Llama 3.2; Meta's own code then scales by 8, this model "
        "needs 32"};
}

}  // namespace detail

/// Meta's layout of Llama 1 to 3 and Code Llama.
inline Layout llama_original() {
    using namespace config;
    using H = ModelHeader;
    using detail::only_for;
    return {
        .kind = &meta_release,
        .recognises = [](const Json& params) { return params.contains("dim") && !params.contains("hidden_dim"); },
        .types = {"llama"},
        .config = join_lists(
            detail::refused_llama_params(),
            {entry({"dim"}, field::hidden_size),
             entry({"n_layers"}, field::num_layers),
             entry({"n_heads"}, field::num_attention_heads),
             {{"n_kv_heads"},
              nullptr,
              read_into(field::num_query_groups),
              [](const H& h) {
                  const bool may_be_absent = h.attention.num_query_groups == h.attention.num_attention_heads &&
                                             detail::llama_original_type(h) != "llama3";
                  return may_be_absent ? left_out() : Json(h.attention.num_query_groups);
              }},
             // -1 leaves the size to the tokenizer.
             {{"vocab_size"},
              nullptr,
              [](const Json& value, H& h) {
                  if (value != -1) h.true_vocab_size = detail::json_as<std::uint64_t>(value);
              },
              [](const H& h) { return Json(h.vocab_rows); }},
             written("multiple_of", [](const H& h) { return Json(detail::meta_mlp_rule(h)->multiple_of); }),
             written("ffn_dim_multiplier",
                     [](const H& h) { return detail::json_of(detail::meta_mlp_rule(h)->ffn_dim_multiplier); }),
             entry({"norm_eps"}, field::norm_epsilon, 1e-5),
             only_for({"codellama", "llama3"}, entry({"rope_theta"}, field::rope_theta)),
             // meta-llama/llama3, whose models are not scaled, knows no such key.
             only_for({"llama3"},
                      written("use_scaled_rope",
                              [](const H& h) { return detail::has_no_rope_scaling(h) ? left_out() : Json(true); })),
             only_for({"llama3"}, written("rope_scaling_factor",
                                          [](const H& h) {
                                              const bool is_usual =
                                                  detail::has_no_rope_scaling(h) ||
                                                  h.attention.rope_scaling->factor == detail::usual_rope_factor(h);
                                              return is_usual ? left_out()
                                                              : detail::json_of(h.attention.rope_scaling->factor);
                                          })),
             understood({"head_dim"}, read_into(field::kv_channels))}),
        .inert = {"max_batch_size", "max_seq_len", "ffn_exp", "rope_high_freq_factor", "vision_max_num_chunks",
                  "floor_scale", "attn_scale"},
        .after_config = detail::read_meta_rope,
        .table = [](const H& h) -> const TensorTable& {
            return detail::llama_original_table(detail::llama_embedding_cut(h));
        },
        .from_tensors = detail::read_llama_tensors,
        .requirements =
            {require::no_bias,
             require::heads_fill_hidden,
             require::silu,
             {"a rope_scaling that use_scaled_rope does not stand for, or that only Llama 3 has",
              [](const H& h) {
                  const bool is_llama3 = detail::llama_original_type(h) == "llama3";
                  return detail::has_no_rope_scaling(h) ||
                         (is_llama3 &&
                          (h.attention.rope_scaling == detail::meta_rope_scaling(8.0) ||
                           h.attention.rope_scaling == detail::meta_rope_scaling(detail::usual_rope_factor(h))));
              }},
             {"a rope_theta other than 10000, for which Llama 1 and 2 have no parameter (the model_type codellama has)",
              [](const H& h) {
                  const auto type = detail::llama_original_type(h);
                  return type == "codellama" || type == "llama3" || h.attention.rope_theta.value_or(1e4) == 1e4;
              }},
             {"an MLP size (ffn_hidden_size) that no multiple_of and ffn_dim_multiplier give",
              [](const H& h) { return detail::meta_mlp_rule(h).has_value(); }},
             require::head},
        .caveats = detail::llama_caveats};
}

}  // namespace crossdock
