// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "crossdock/family/megatron/dialect.hpp"
#include "crossdock/plugin/megatron/content.hpp"
#include "crossdock/plugin/sidecar.hpp"

namespace crossdock::detail {

// What args state beside the header's fields: what no field says, and what cannot be true together.

/// Takes what the user wants ignored (`names`: "no_rope_freq,window_size") out of the args, as if nobody had said it.
/// Throws UsageError for a name that nothing is stated under.
inline std::vector<std::string> ignore_arguments(const std::vector<std::string>& names, std::string_view dialect,
                                                 MegatronContent& content) {
    Json& args = content.args;
    std::vector<std::string> notices;
    for (const std::string& name : names) {
        const auto found = args.find(name);
        if (const auto unknown = content.not_understood.find(name); unknown != content.not_understood.end()) {
            notices.push_back(to_text("--ignore: the args' '", name, "' is ", unknown->second, ", which is left out"));
            content.not_understood.erase(unknown);
            content.kept_args.erase(name);
            continue;
        }
        if (found == args.end() || found->is_null()) {
            ModelHeader header;
            find_other_args(args, dialect, header);
            std::vector<std::string> there;
            for (const auto& [other, value] : header.origin.unexpressed) there.push_back(other);
            throw UsageError(to_text("--ignore ", name, ": the args state no '", name, "'; ",
                                     there.empty() ? std::string("there is nothing that needs to be ignored")
                                                   : to_text("what no field of ours says: ", joined_list(there))));
        }
        notices.push_back(to_text("--ignore: the args' '", name, "' is ", json_shown(*found), ", which is left out"));
        args.erase(found);
        content.kept_args.erase(name);
    }
    return notices;
}

/// Compares what args state outright with what the tensors are. Throws Error where both cannot be true.
class Contradictions {
public:
    Contradictions(const Json& args, std::string_view dialect, std::string_view where)
        : args_(args),
          dialect_(dialect),
          where_(where) {}

    void check(const ModelHeader& header) const {
        same("norm_epsilon", "layernorm_epsilon");
        same("apply_layernorm_1p", "layernorm_zero_centered_gamma");
        check_mlp(header);
        if (dialect_ == "llm")
            return require("tie_embed_logits", header.tied_embeddings, "a head of their own", "no head of their own",
                           true);
        require("untie_embeddings_and_output_weights", !header.tied_embeddings, "a head of their own",
                "no head of their own", false);
        check_biases(header);
        const bool is_layer_norm = header.norm == NormKind::layer;
        if (is_text(stated("normalization"), {"RMSNorm"}) && is_layer_norm)
            contradict("normalization", "norms with biases");
        if (is_text(stated("normalization"), {"LayerNorm"}) && !is_layer_norm)
            contradict("normalization", "norms without biases");
    }

    /// Whether there is a learned table, of which the user may know better.
    void check_positions(const ModelHeader& header) const {
        const bool has_table = header.positions == PositionKind::learned;
        const bool is_switched = states("use_rotary_position_embeddings", true);
        const Json& type = stated("position_embedding_type");
        if (has_table && is_switched) contradict("use_rotary_position_embeddings", "a learned position table");
        if (type.is_null()) return;
        ModelHeader said;
        read_positions(type, said);
        if (has_table && said.positions != PositionKind::learned)
            contradict("position_embedding_type", "a learned position table");
        if (!has_table && said.positions == PositionKind::learned && !is_switched)
            throw Error(to_text(where_, ": 'position_embedding_type' is ", json_shown(type),
                                ", but the tensors have no position table; if the model has another kind, give "
                                "--position_embedding_type rope"));
    }

private:
    const Json& stated(std::string_view name) const { return argument(args_, name); }
    bool states(std::string_view name, bool value) const {
        return stated(name).is_boolean() && stated(name).get<bool>() == value;
    }

    [[noreturn]] void contradict(std::string_view name, std::string_view what) const {
        throw Error(to_text(where_, ": '", name, "' is ", json_shown(stated(name)), ", but the tensors have ", what,
                            "; if the tensors are right, give --ignore ", name));
    }

    /// A switch that tells whether the tensors have something.
    void require(std::string_view name, bool has, std::string_view when_has, std::string_view when_not,
                 bool turned) const {
        if (states(name, !has)) contradict(name, has != turned ? when_has : when_not);
    }

    /// Two spellings of one argument.
    void same(std::string_view one, std::string_view other) const {
        if (!stated(one).is_null() && !stated(other).is_null() && stated(one) != stated(other))
            throw Error(to_text(where_, ": '", one, "' is ", json_shown(stated(one)), ", but '", other, "' is ",
                                json_shown(stated(other)),
                                ", and both mean one thing; give --ignore for the wrong one"));
    }

    void check_mlp(const ModelHeader& header) const {
        if (states("swiglu", true) && states("squared_relu", true)) both("swiglu", "squared_relu");
        if (states("swiglu", true) && states("quick_geglu", true)) both("swiglu", "quick_geglu");
        if (header.mlp.gated) return;
        for (const char* name : {"swiglu", "quick_geglu"})
            if (states(name, true)) contradict(name, "an MLP without a gate");
        if (dialect_ == "llm" && !stated("glu_activation").is_null())
            contradict("glu_activation", "an MLP without a gate");
    }

    [[noreturn]] void both(std::string_view one, std::string_view other) const {
        throw Error(to_text(where_, ": both '", one, "' and '", other, "' are true; a model has one activation"));
    }

    /// add_bias_linear is about all linear layers, add_qkv_bias about q, k and v alone.
    void check_biases(const ModelHeader& header) const {
        const bool has_all = header.attention.dense_bias && header.mlp.fc1_bias && header.mlp.fc2_bias;
        if (states("add_bias_linear", true) && !(has_all && header.attention.qkv_bias))
            contradict("add_bias_linear", "linear layers without biases");
        if (states("add_bias_linear", false)) {
            if (header.attention.dense_bias || header.mlp.fc1_bias || header.mlp.fc2_bias)
                contradict("add_bias_linear", "linear layers with biases");
            if (states("add_qkv_bias", false) && header.attention.qkv_bias)
                contradict("add_qkv_bias", "biases of q, k and v");
        }
        if (states("add_qkv_bias", true) && !header.attention.qkv_bias)
            contradict("add_qkv_bias", "no biases of q, k and v");
    }

    const Json& args_;
    std::string_view dialect_;
    std::string_view where_;
};

/// NVIDIA's arguments have no name for most gates, so that what they say of an ungated gelu is not said of a gated MLP
/// that they do not know; crossdock.json may know it.
inline void forget_ungated_activation(const Json& args, std::string_view dialect, const std::filesystem::path& root,
                                      ModelHeader& header) {
    if (dialect == "llm" || !header.mlp.gated) return;
    if (!is_off(argument(args, "swiglu")) || !is_off(argument(args, "quick_geglu"))) return;
    if (!args.contains("swiglu")) return;
    ModelHeader remembered;
    read_sidecar(root, remembered);
    header.mlp.activation = remembered.mlp.activation;
}

}  // namespace crossdock::detail
