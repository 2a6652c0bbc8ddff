// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "crossdock/family/config_table.hpp"
#include "crossdock/protocol/layer_windows.hpp"

namespace crossdock {

// What config.json says of rotary positions, in every spelling: releases of transformers before 5 write rope_theta and
// rope_scaling, later ones rope_parameters, which hold the theta too; the kind is called type before 4.43. All are
// read as release 5 computes them; the first form is written, which every release reads.

namespace detail {

struct RopeKind {
    std::string_view name;
    std::vector<std::string_view> needs{};
};

inline const std::vector<RopeKind>& rope_kinds() {
    static const std::vector<RopeKind> kinds{{"default"},
                                             {"linear", {"factor"}},
                                             {"dynamic", {"factor"}},
                                             {"yarn"},
                                             {"longrope", {"short_factor", "long_factor"}},
                                             {"llama3", {"factor", "low_freq_factor", "high_freq_factor"}},
                                             {"proportional"}};
    return kinds;
}

/// The kinds that stretch from the length of the original training, which is the context where nothing else is said.
inline bool has_original_length(std::string_view kind) {
    return kind == "llama3" || kind == "yarn" || kind == "longrope";
}

template <class T>
void read_parameter(const Json& object, const char* key, std::optional<T>& field) {
    if (const auto found = object.find(key); found != object.end() && !found->is_null())
        in_context(to_text("'", key, "'"), [&] { field = json_as<T>(*found); });
}

/// A parameter of yarn or longrope, which the header keeps as it is.
inline void check_other_parameter(const std::string& key, const Json& value) {
    const bool is_list = key == "short_factor" || key == "long_factor";
    const auto is_number = [](const Json& element) { return element.is_number(); };
    if (is_list && !(value.is_array() && std::all_of(value.begin(), value.end(), is_number)))
        throw Error(to_text("'", key, "': is ", json_shown(value), ", expected a list of numbers"));
    constexpr std::array<std::string_view, 6> numbers{"attention_factor", "beta_fast",      "beta_slow",
                                                      "mscale",           "mscale_all_dim", "partial_rotary_factor"};
    if (std::find(numbers.begin(), numbers.end(), std::string_view(key)) != numbers.end() && !value.is_null() &&
        !value.is_number())
        throw Error(to_text("'", key, "': is ", json_shown(value), ", expected a number"));
}

inline std::string rope_kind_of(const Json& object) {
    const auto found = object.contains("rope_type") ? object.find("rope_type") : object.find("type");
    if (found == object.end()) return "default";
    return in_context("'rope_type'", [&] { return json_as<std::string>(*found); });
}

/// Throws Error where transformers could not compute anything from the parameters.
inline void check_rope(const RopeScaling& scaling, const Json& object) {
    std::vector<std::string_view> names;
    for (const RopeKind& kind : rope_kinds()) {
        names.push_back(kind.name);
        if (kind.name != scaling.type) continue;
        for (const std::string_view key : kind.needs)
            if (const auto found = object.find(std::string(key)); found == object.end() || found->is_null())
                throw Error(to_text("is of the kind '", scaling.type, "' and has no '", key, "'"));
        return;
    }
    throw Error(to_text("is of the kind '", scaling.type, "', expected one of ", joined_list(names)));
}

/// The parameters as a scaling, without rope_theta.
inline RopeScaling rope_scaling_of(const Json& object) {
    for (const auto& [key, value] : object.items())
        if (value.is_object()) throw Error(to_text("gives '", key, "' positions of its own, which is not supported"));
    RopeScaling scaling;
    scaling.type = rope_kind_of(object);
    check_rope(scaling, object);
    if (scaling.type == "default") return scaling;
    read_parameter(object, "factor", scaling.factor);
    read_parameter(object, "low_freq_factor", scaling.low_freq_factor);
    read_parameter(object, "high_freq_factor", scaling.high_freq_factor);
    read_parameter(object, "original_max_position_embeddings", scaling.original_max_position_embeddings);
    constexpr std::array<std::string_view, 7> known{
        "type",      "rope_type", "factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings",
        "rope_theta"};
    for (const auto& [key, value] : object.items()) {
        if (std::find(known.begin(), known.end(), std::string_view(key)) != known.end()) continue;
        check_other_parameter(key, value);
        scaling.others[key] = json_text(value.is_number() ? Json(value.get<double>()) : value, 0);  // 32 is 32.0
    }
    return scaling;
}

/// rope_scaling or rope_parameters alone.
inline void read_rope(const Json& value, ModelHeader& header) {
    if (!value.is_object() && !value.is_null())
        throw Error(to_text("is ", json_shown(value), ", expected an object or null"));
    header.attention.rope_scaling = value.is_null() ? RopeScaling{} : rope_scaling_of(value);
    if (value.is_object()) read_parameter(value, "rope_theta", header.attention.rope_theta);
}

/// The scaling with its kind under each of `kind_keys`.
inline Json rope_to_json(const RopeScaling& scaling, std::string_view kind_key) {
    Json out = Json::object();
    out[std::string(kind_key)] = scaling.type;
    if (scaling.factor) out["factor"] = *scaling.factor;
    if (scaling.low_freq_factor) out["low_freq_factor"] = *scaling.low_freq_factor;
    if (scaling.high_freq_factor) out["high_freq_factor"] = *scaling.high_freq_factor;
    if (scaling.original_max_position_embeddings)
        out["original_max_position_embeddings"] = *scaling.original_max_position_embeddings;
    for (const auto& [key, value] : scaling.others) out[key] = parse_json(value, key);
    return out;
}

/// Of the layers without a window, where the two kinds differ: a key of its own says how the others turn (Gemma 3).
/// Linear and dynamic scaling are older than rope_type: releases before 4.43 take type and factor and nothing else. Gemma 3 is younger,
/// and its class since release 5 takes rope_type alone.
inline Json write_rope(const ModelHeader& header) {
    const Attention& attention = full_attention(header);
    if (!attention.rope_scaling || attention.rope_scaling->type == "default") return nullptr;
    const RopeScaling& scaling = *attention.rope_scaling;
    const bool is_old = (scaling.type == "linear" || scaling.type == "dynamic") && !header.block_output_norms;
    return rope_to_json(scaling, is_old ? "type" : "rope_type");
}

/// What a config says twice is taken from where release 5 takes it.
class HubRope {
public:
    /// `turned_part` is how much of a head turns where nothing says it; none: this architecture turns all, always.
    HubRope(const Json& config, std::vector<std::string>& notices, std::optional<double> turned_part = std::nullopt)
        : config_(config),
          notices_(notices),
          turned_part_(turned_part) {}

    void read(ModelHeader& header) {
        choose();
        header.attention.rope_theta = theta();
        header.attention.rope_scaling = in_context(to_text("'", key_, "'"), [&] { return rope_scaling_of(chosen_); });
        RopeScaling& scaling = *header.attention.rope_scaling;
        check_kinds(scaling);
        find_original_length(scaling, header);
        if (turned_part_)
            read_partial(scaling, header);
        else
            check_partial(scaling);
    }

private:
    Json object(const char* key) const {
        const auto found = config_.find(key);
        if (found == config_.end() || found->is_null()) return Json::object();
        if (!found->is_object())
            throw Error(to_text("'", key, "': is ", json_shown(*found), ", expected an object or null"));
        return *found;
    }

    /// What one spelling says.
    struct Stated {
        RopeScaling scaling;
        std::optional<double> theta{};
    };

    static Stated stated_in(const Json& parameters, std::string_view key) {
        return in_context(to_text("'", key, "'"), [&] {
            Stated stated{.scaling = rope_scaling_of(parameters)};
            read_parameter(parameters, "rope_theta", stated.theta);
            return stated;
        });
    }

    void choose() {
        const Json older = object("rope_scaling"), newer = object("rope_parameters");
        key_ = older.empty() ? "rope_parameters" : "rope_scaling";
        chosen_ = older.empty() ? newer : older;
        if (older.empty() || newer.empty()) return;
        const Stated first = stated_in(older, "rope_scaling"), second = stated_in(newer, "rope_parameters");
        if (first.scaling != second.scaling || (second.theta && first.theta != second.theta))
            notices_.push_back(
                "config.json: rope_scaling and rope_parameters differ; rope_scaling is used, as "
                "transformers does");
    }

    double theta() {
        std::optional<double> inner, outer;
        if (const auto found = chosen_.find("rope_theta"); found != chosen_.end())
            in_context(to_text("'", key_, "': 'rope_theta'"), [&] { inner = json_as<double>(*found); });
        if (const auto found = config_.find("rope_theta"); found != config_.end() && !(inner && found->is_null()))
            in_context("'rope_theta'", [&] { outer = json_as<double>(*found); });
        if (inner && outer && *inner != *outer)
            notices_.push_back(to_text("config.json: rope_theta is ", json_shown(Json(*outer)), ", in ", key_,
                                       " it is ", json_shown(Json(*inner)),
                                       "; the latter is used, as transformers does since release 5"));
        const double theta = inner ? *inner : outer.value_or(10000.0);
        if (theta <= 0)
            throw Error(to_text("'rope_theta': is ", json_shown(Json(theta)), ", expected a positive number"));
        return theta;
    }

    void check_kinds(const RopeScaling& scaling) {
        const auto older = chosen_.find("type");
        if (older != chosen_.end() && *older != Json(scaling.type))
            notices_.push_back(to_text("config.json: ", key_, " has the type ", json_shown(*older),
                                       " and the rope_type \"", scaling.type,
                                       "\"; the latter is used, as transformers does since release 5"));
    }

    void find_original_length(RopeScaling& scaling, const ModelHeader& header) {
        if (!has_original_length(scaling.type)) return;
        std::optional<std::uint64_t>& length = scaling.original_max_position_embeddings;
        std::optional<std::uint64_t> outer;
        read_parameter(config_, "original_max_position_embeddings", outer);
        if (outer && length && *outer != *length)
            notices_.push_back(to_text("config.json: original_max_position_embeddings is ", *outer, ", in ", key_,
                                       " it is ", *length,
                                       "; the former is used, as transformers does since release 5"));
        if (outer) length = outer;
        if (!length) length = header.max_position_embeddings;
        if (scaling.type == "yarn" && !scaling.factor && length.value_or(0) > 0)
            scaling.factor =
                static_cast<double>(header.max_position_embeddings.value_or(0)) / static_cast<double>(*length);
    }

    void check_partial(const RopeScaling& scaling) {
        std::optional<double> part;
        read_parameter(config_, "partial_rotary_factor", part);
        read_parameter(chosen_, "partial_rotary_factor", part);
        if (!part || *part == 1.0 || scaling.type == "proportional") return;
        if (scaling.type != "default")
            throw Error(to_text("'partial_rotary_factor': is ", json_shown(Json(*part)),
                                ", which this architecture cannot compute with ", scaling.type, " scaling"));
        notices_.push_back(to_text("config.json: partial_rotary_factor ", json_shown(Json(*part)),
                                   " is left out: this architecture turns all of a head, whatever it says"));
    }

    void read_partial(RopeScaling& scaling, ModelHeader& header) {
        std::optional<double> part = turned_part_;
        read_parameter(config_, "partial_rotary_factor", part);
        read_parameter(chosen_, "partial_rotary_factor", part);
        if (!(*part > 0 && *part <= 1))
            throw Error(to_text("'partial_rotary_factor': is ", json_shown(Json(*part)),
                                ", expected a number above 0 and not above 1"));
        scaling.others.erase("partial_rotary_factor");
        header.attention.rotary_percent = part;
    }

    const Json& config_;
    std::vector<std::string>& notices_;
    std::optional<double> turned_part_;
    const char* key_ = "rope_scaling";
    Json chosen_;
};

}  // namespace detail

/// Reads rope_theta, rope_scaling, rope_parameters and what else says how positions turn. Throws Error where they ask
/// for what transformers does not know.
inline void read_hub_rope(ModelHeader& header, const Json& config, std::vector<std::string>& notices) {
    detail::HubRope(config, notices).read(header);
}

/// The same of an architecture that turns a part of each head: what partial_rotary_factor says, `absent` where nothing
/// does.
inline void read_partial_hub_rope(ModelHeader& header, const Json& config, double absent,
                                  std::vector<std::string>& notices) {
    detail::HubRope(config, notices, absent).read(header);
}

}  // namespace crossdock
