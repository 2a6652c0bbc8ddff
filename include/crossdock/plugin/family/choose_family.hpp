// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "crossdock/container/foreign_directory.hpp"
#include "crossdock/container/json.hpp"
#include "crossdock/container/path_kind.hpp"
#include "crossdock/core/join_lists.hpp"
#include "crossdock/family/defaults.hpp"
#include "crossdock/family/family.hpp"
#include "crossdock/family/hub/layout.hpp"
#include "crossdock/plugin/family/open_family.hpp"
#include "crossdock/plugin/family/saver_base.hpp"
#include "crossdock/plugin/hub/reference.hpp"
#include "crossdock/plugin/unrecognised.hpp"
#include "crossdock/protocol/header_fields.hpp"

namespace crossdock {

/// The families that a plugin chooses among, in the order of preference.
using Families = std::vector<const Family*>;

/// The family that a model is to be written as, and what to say of the choice.
struct FamilyChoice {
    const Family* family;
    Notices notices{};
};

namespace detail {

inline std::string joined_names(const Families& families) {
    std::vector<std::string_view> names;
    names.reserve(families.size());
    for (const Family* family : families) names.push_back(family->name);
    return joined_list(names);
}

inline const Layout& hub_layout(const Family& family) {
    const Layout* layout = find_layout(usable(family), hugging_face);
    if (!layout) throw Error(to_text("the family '", family.name, "' has no layout of Hugging Face's"));
    return *layout;
}

/// The family of a config.json; null where it is none of these.
inline const Family* family_of_config(const Families& families, const Json& config) {
    const auto reads = [&](const Family* family) { return has_hub_type(hub_layout(*family), config); };
    const auto found = std::find_if(families.begin(), families.end(), reads);
    return found == families.end() ? nullptr : *found;
}

/// The model without the values that no description states.
inline ModelHeader without_assumptions(ModelHeader header) {
    for_each_header_field(header_fields, [&](const auto& field) {
        if constexpr (requires { field(header).reset(); })
            if (header.origin.assumed.contains(std::string(field.name))) field(header).reset();
    });
    return header;
}

/// The model that a reader of the family's config.json has before it.
inline ModelHeader as_read_back(const Family& family, const ModelHeader& header) {
    const Layout& layout = hub_layout(family);
    const auto [file, text] = layout.kind->describe(family, layout, header).front();
    ModelHeader read;
    family.defaults(read);
    layout.kind->read_description(family, layout, parse_json(text, file), read);
    return read;
}

/// Why a family's format cannot hold the model; empty where it can.
inline std::string why_not(const Family& family, const ModelHeader& header) {
    try {
        table_to_write(family, hub_layout(family), header);
        as_read_back(family, header);
    } catch (const Error& error) {
        return error.what();
    }
    return {};
}

/// What `header` leaves open and two readings of it answer otherwise: "norm_zero_centered (llama: false, gemma: true)".
inline std::vector<std::string> open_questions(const ModelHeader& header, const Family& one, const ModelHeader& read,
                                               const Family& other, const ModelHeader& read_otherwise) {
    std::vector<std::string> questions;
    for_each_header_field(header_fields, [&](const auto& field) {
        if constexpr (requires { field(header).has_value(); })
            if (!field(header) && field(read) != field(read_otherwise))
                questions.push_back(to_text(field.name, " (", one.name, ": ", field_text(field(read)), ", ", other.name,
                                            ": ", field_text(field(read_otherwise)), ")"));
    });
    return questions;
}

/// Throws Error where another of the families holds the model as well and would compute otherwise with what its source
/// leaves open.
inline void require_unambiguous(const Families& families, const Family& chosen, const ModelHeader& header) {
    const ModelHeader stated = without_assumptions(header), read = as_read_back(chosen, header);
    for (const Family* other : families) {
        if (other == &chosen || !why_not(*other, stated).empty()) continue;
        const auto questions = open_questions(stated, chosen, read, *other, as_read_back(*other, stated));
        if (!questions.empty())
            throw Error(to_text("the model may be a ", chosen.name, " or a ", other->name,
                                ": its source does not state ", joined_list(questions),
                                "; say which is right: give the option model_type"));
    }
}

/// What the family takes for granted although the source does not state it and most models are otherwise.
inline Notices taken_for_granted(const Family& family, const ModelHeader& header) {
    ModelHeader usual;
    defaults::rms_decoder(usual);
    const ModelHeader read = as_read_back(family, header);
    std::vector<std::string> granted;
    for_each_header_field(header_fields, [&](const auto& field) {
        if constexpr (requires { field(header).has_value(); })
            if (!field(header) && field(read) && field(read) != field(usual))
                granted.push_back(to_text(field.name, " ", field_text(field(read))));
    });
    if (granted.empty()) return {};
    return {to_text("the source does not state what a ", family.name, " has: ", joined_list(granted))};
}

/// The first family that holds the model. Throws Error saying why each cannot, or between which the source leaves open.
inline FamilyChoice first_that_holds(const Families& families, ModelHeader header) {
    if (!header.true_vocab_size) header.true_vocab_size = header.vocab_rows;  // as the saver does, and says
    std::vector<std::string> reasons;
    Families able;
    for (const Family* family : families) {
        std::string reason = why_not(*family, header);
        if (reason.empty())
            able.push_back(family);
        else
            reasons.push_back(std::move(reason));
    }
    if (able.empty()) throw Error(to_text("no family can express the model: ", joined_list(reasons, "; ")));
    const Family& chosen = *able.front();
    require_unambiguous(families, chosen, header);
    const std::string others =
        able.size() > 1 ? to_text(", the first that can express it of ", joined_names(able)) : std::string();
    return {&chosen, join_lists<std::string>({to_text("the source does not say of which family its model is; it is "
                                                      "written as a ",
                                                      chosen.name, others, "; the option model_type names another")},
                                             taken_for_granted(chosen, header))};
}

}  // namespace detail

/// The family of a Hugging Face folder. Throws Error where its config.json is of none of these, or it has none.
inline const Family& family_of_folder(const Families& families, const std::filesystem::path& directory) {
    require_directory(directory);
    const std::filesystem::path file = directory / hugging_face.description;
    if (!is_anything_at(file)) {
        const std::string what = foreign_directory(directory);
        throw Error(to_text(
            directory.string(), ": ",
            what.empty() ? to_text("holds no ", hugging_face.description, ", expected a Hugging Face folder") : what));
    }
    if (const Family* family = detail::family_of_config(families, read_json_object(file))) return *family;
    std::vector<std::string> types;
    for (const Family* family : families)
        for (const std::string_view type : detail::hub_layout(*family).types) types.emplace_back(type);
    throw Error(detail::unknown_config(file, types));
}

/// The family that a model is to be written as in Hugging Face's layout: the one of `model_type` where that names one,
/// else the one that the source says, else the first that holds the model. Throws Error where there is none, or the
/// source leaves open which; UsageError for a model_type of none.
inline FamilyChoice family_of_model(Families families, const std::string& model_type, const ModelHeader& header) {
    const std::string known = detail::joined_names(families);
    const auto find = [&](auto&& fits) -> const Family* {
        const auto found = std::find_if(families.begin(), families.end(), [&](const Family* f) { return fits(*f); });
        return found == families.end() ? nullptr : *found;
    };
    const auto of_type = [&](const std::string& type) {
        return find([&](const Family& family) { return type != "GPT" && detail::is_of_model_type(family, type); });
    };
    if (const Family* family = of_type(model_type)) return {family};
    if (model_type == "GPT") std::erase_if(families, [](const Family* family) { return !family->is_decoder; });
    if (!model_type.empty() && model_type != "GPT")
        throw UsageError(to_text("model_type is '", model_type, "', of none of the families ", known));
    if (const Family* family = find([&](const Family& f) { return f.name == header.family; })) return {family};
    if (!header.family.empty())
        throw Error(to_text("the source's family is '", header.family, "', expected one of ", known,
                            "; the option model_type names another"));
    if (const Family* family = of_type(header.model_type)) return {family};
    return detail::first_that_holds(families, header);
}

}  // namespace crossdock
