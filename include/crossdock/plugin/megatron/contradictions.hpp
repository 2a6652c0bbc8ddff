// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <string_view>

#include "crossdock/family/megatron/dialect.hpp"
#include "crossdock/plugin/sidecar.hpp"

namespace crossdock::detail {

/// Compares what args state outright with what the tensors are. Throws Error where both cannot be true.
class Contradictions {
public:
    Contradictions(const Json& args, const MegatronDialect& dialect, std::string_view where)
        : args_(args),
          dialect_(dialect),
          where_(where) {}

    void check(const ModelHeader& header) const {
        same("norm_epsilon", "layernorm_epsilon");
        same("apply_layernorm_1p", "layernorm_zero_centered_gamma");
        one_of("swiglu", "squared_relu");
        one_of("swiglu", "quick_geglu");
        for (const Claim& claim : dialect_.claims)
            if (const Json& value = stated(claim.argument); !value.is_null() && !claim.agrees(value, args_, header))
                contradict(claim.argument, claim.instead);
    }

    /// Whether there is a learned table, of which the user may know better.
    void check_positions(const ModelHeader& header) const {
        const bool has_table = header.positions == PositionKind::learned;
        const bool is_switched = is_true(stated("use_rotary_position_embeddings"));
        const Json& type = stated("position_embedding_type");
        if (has_table && is_switched) contradict("use_rotary_position_embeddings", "a learned position table");
        if (type.is_null()) return;
        ModelHeader said;
        read_positions(type, said);
        if (has_table && said.positions != PositionKind::learned)
            contradict("position_embedding_type", "a learned position table");
        if (!has_table && said.positions == PositionKind::learned && !is_switched)
            throw Error(to_text(where_, ": 'position_embedding_type' is ", json_shown(type),
                                ", but the tensors have no position table; if the model has another kind, give the "
                                "option position_embedding_type, rope say"));
    }

private:
    const Json& stated(std::string_view name) const { return argument(args_, name); }

    [[noreturn]] void contradict(std::string_view name, std::string_view what) const {
        throw Error(to_text(where_, ": '", name, "' is ", json_shown(stated(name)), ", but the tensors have ", what,
                            "; if the tensors are right, give the option ignore ", name));
    }

    /// Two spellings of one argument.
    void same(std::string_view one, std::string_view other) const {
        if (!stated(one).is_null() && !stated(other).is_null() && stated(one) != stated(other))
            throw Error(to_text(where_, ": '", one, "' is ", json_shown(stated(one)), ", but '", other, "' is ",
                                json_shown(stated(other)),
                                ", and both mean one thing; give the option ignore for the wrong one"));
    }

    /// Two switches of which each names the activation.
    void one_of(std::string_view one, std::string_view other) const {
        if (is_true(stated(one)) && is_true(stated(other)))
            throw Error(to_text(where_, ": both '", one, "' and '", other, "' are true; a model has one activation"));
    }

    const Json& args_;
    const MegatronDialect& dialect_;
    std::string_view where_;
};

/// Where a dialect has no name for most gates, what its args say of an ungated gelu is not said of a gated MLP that
/// they do not know; crossdock.json may know it.
inline void forget_ungated_activation(const Json& args, const MegatronDialect& dialect,
                                      const std::filesystem::path& root, ModelHeader& header) {
    const auto& gates = dialect.gate_switches;
    if (gates.empty() || !header.mlp.gated || !args.contains(std::string(gates.front()))) return;
    for (const std::string_view gate : gates)
        if (!is_off(argument(args, gate))) return;
    ModelHeader remembered;
    read_sidecar(root, remembered);
    header.mlp.activation = remembered.mlp.activation;
}

}  // namespace crossdock::detail
