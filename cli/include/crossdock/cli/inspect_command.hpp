// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <iostream>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "crossdock/cli/arguments.hpp"
#include "crossdock/cli/columns.hpp"
#include "crossdock/cli/differences.hpp"
#include "crossdock/cli/html/inspect_page.hpp"
#include "crossdock/cli/inspect_file.hpp"
#include "crossdock/cli/messages.hpp"
#include "crossdock/cli/plugin_choice.hpp"
#include "crossdock/cli/source_tensors.hpp"
#include "crossdock/cli/tensor_choice.hpp"
#include "crossdock/cli/units.hpp"
#include "crossdock/core/world.hpp"
#include "crossdock/family/header_json.hpp"
#include "crossdock/pipeline/inspect.hpp"
#include "crossdock/protocol/header_fields.hpp"

namespace crossdock::cli {

namespace detail {

inline std::vector<OptionInfo> inspect_options() {
    return {
        {"loader", "NAME", to_text("reads the checkpoint; recognised unless given (see ", program_name(), " plugins)")},
        {"summary", "", "leaves the lists of tensors out"},
        {"tensors", "REGEX", "lists the tensors whose names it is found in"},
        {"json", "", "prints JSON for machines"},
        {"html", "FILE", "writes a page to look at and to show, in place of the lists"}};
}

/// All that the header states, by name; what it leaves open is left out.
inline Json stated_fields(const ModelHeader& header) {
    Json fields = header_to_json(header);
    fields["vocab_rows"] = header.vocab_rows;
    if (const auto& multiple = header.training.make_vocab_size_divisible_by)
        fields["make_vocab_size_divisible_by"] = *multiple;
    const Json training = header_to_json(header, training_fields);
    for (const auto& [name, value] : training.items())
        if (name != "iteration" && name != "release") fields[name] = value;  // these are told apart
    fields["params_dtype"] = dtype_name(header.params_dtype);
    return fields;
}

inline std::optional<std::string> iteration_text(const ModelHeader& header) {
    if (header.training.release) return "release";
    return header.training.iteration ? std::optional(std::to_string(*header.training.iteration)) : std::nullopt;
}

inline void print_list(std::string_view title, const std::vector<std::string>& lines) {
    if (lines.empty()) return;
    std::cout << '\n' << title << " (" << lines.size() << ")\n";
    for (const std::string& line : lines) std::cout << "  " << one_line(as_typed(line)) << '\n';
}

inline void print_identity(const Inspection& found, const std::string& loader) {
    const ModelHeader& header = found.header;
    std::vector<std::array<std::string, 2>> lines{{"format", header.origin.format}, {"loader", loader}};
    if (!header.family.empty()) lines.push_back({"family", header.family});
    if (!header.model_type.empty()) lines.push_back({"model type", header.model_type});
    if (header.training.previous_tensor_parallel_size)
        lines.push_back({"parallel", to_text("TP ", *header.training.previous_tensor_parallel_size, " x PP ",
                                             header.training.previous_pipeline_parallel_size.value_or(1))});
    if (const auto iteration = iteration_text(header)) lines.push_back({"iteration", *iteration});
    lines.push_back({"size", to_text(found.parameters(), " parameters in ", found.tensors.size(), " tensors, ",
                                     bytes_text(found.bytes()))});
    for (const auto& [dtype, share] : found.dtypes())
        lines.push_back(
            {"dtype", to_text(dtype_name(dtype), ": ", share.tensors, " tensors, ", bytes_text(share.bytes))});
    print_columns(lines);
}

inline void print_header(const ModelHeader& header) {
    std::vector<std::array<std::string, 2>> lines;
    const Json fields = stated_fields(header);
    for (const auto& [name, value] : fields.items())
        lines.push_back({name, value.is_string() ? value.template get<std::string>() : json_text(value, 0)});
    std::cout << "\nheader\n";
    print_columns(lines);
}

inline void print_tensors(const std::vector<InspectedTensor>& tensors) {
    std::vector<std::array<std::string, 4>> lines;
    lines.reserve(tensors.size());
    for (const InspectedTensor& tensor : tensors)
        lines.push_back({to_text(tensor.message, " / ", tensor.name), std::string(dtype_name(tensor.dtype)),
                         to_string(tensor.shape), bytes_text(tensor.bytes())});
    std::cout << "\ntensors\n";
    print_columns(lines);
}

inline void print_ranks(const std::vector<StoredRank>& ranks) {
    std::vector<std::array<std::string, 3>> lines;
    lines.reserve(ranks.size());
    const bool has_experts = std::any_of(ranks.begin(), ranks.end(), [](const auto& each) { return each.expert > 0; });
    for (const StoredRank& stored : ranks)
        lines.push_back({to_text("TP rank ", stored.rank, ", PP stage ", stored.stage,
                                 has_experts ? to_text(", EP rank ", stored.expert) : ""),
                         to_text(stored.tensors, " tensors"), bytes_text(stored.bytes)});
    std::cout << "\nstored\n";
    print_columns(lines);
}

/// "4 x 2 x 1 chunks", "7 chunks" where they form no grid.
inline std::string grid_text(const StoredGrid& tensor) {
    if (tensor.grid.empty() || tensor.chunks == 1)
        return to_text(tensor.chunks, tensor.chunks == 1 ? " chunk" : " chunks");
    std::string text;
    for (const std::uint64_t along_axis : tensor.grid) text += to_text(text.empty() ? "" : " x ", along_axis);
    return text + " chunks";
}

inline void print_distributed(const DistributedStorage& storage) {
    std::vector<std::array<std::string, 3>> lines;
    for (const StoredKind& stored : storage.kinds)
        lines.push_back({stored.kind,
                         stored.chunks == 0 ? to_text(stored.items, " items")
                                            : to_text(stored.items, " items in ", stored.chunks, " chunks"),
                         bytes_text(stored.bytes)});
    std::cout << "\nstored in " << storage.files << " .distcp files\n";
    print_columns(lines);
    if (storage.tensors.empty()) return;
    lines.clear();
    for (const StoredGrid& tensor : storage.tensors)
        lines.push_back({tensor.name, to_string(tensor.shape), grid_text(tensor)});
    std::cout << "\nchunks\n";
    print_columns(lines);
}

/// All that is found but the tensors, and those tensors that are chosen; "transformer layer 3 / qkv weight" is a name.
inline std::vector<InspectedTensor> chosen_of(const std::vector<InspectedTensor>& tensors, const TensorChoice& choice) {
    std::vector<InspectedTensor> chosen;
    for (const InspectedTensor& tensor : tensors)
        if (choice.has(to_text(tensor.message, " / ", tensor.name))) chosen.push_back(tensor);
    return chosen;
}
inline Storage chosen_of(Storage storage, const TensorChoice& choice) {
    std::erase_if(storage.tensors, [&](const SourceTensor& tensor) { return !choice.has(tensor.name); });
    if (storage.distributed)
        std::erase_if(storage.distributed->tensors, [&](const StoredGrid& tensor) { return !choice.has(tensor.name); });
    return storage;
}

inline void print_text(const Inspection& found, const std::string& loader, const TensorChoice& choice) {
    print_identity(found, loader);
    print_header(found.header);
    if (const auto tensors = chosen_of(found.tensors, choice); !tensors.empty()) print_tensors(tensors);
    if (!found.storage.ranks.empty()) print_ranks(found.storage.ranks);
    const Storage chosen = chosen_of(found.storage, choice);
    if (chosen.distributed) print_distributed(*chosen.distributed);
    if (!chosen.tensors.empty()) print_source_tensors(chosen.tensors);
    print_list("unused tensors", found.storage.unused);
    print_list("notices", found.notices);
    std::cout << std::flush;
}

inline Json json_of(const InspectedTensor& tensor) {
    return {{"message", tensor.message},
            {"name", tensor.name},
            {"dtype", dtype_name(tensor.dtype)},
            {"shape", std::vector<std::uint64_t>(tensor.shape.begin(), tensor.shape.end())},
            {"bytes", tensor.bytes()}};
}

inline Json json_of(const DistributedStorage& storage) {
    Json json{{"files", storage.files}, {"kinds", Json::array()}, {"tensors", Json::array()}};
    for (const StoredKind& stored : storage.kinds)
        json["kinds"].push_back(
            {{"kind", stored.kind}, {"items", stored.items}, {"chunks", stored.chunks}, {"bytes", stored.bytes}});
    for (const StoredGrid& tensor : storage.tensors)
        json["tensors"].push_back({{"name", tensor.name},
                                   {"shape", std::vector<std::uint64_t>(tensor.shape.begin(), tensor.shape.end())},
                                   {"chunks", tensor.chunks},
                                   {"grid", tensor.grid}});
    return json;
}

inline Json json_of(const Inspection& found, const std::string& loader, const TensorChoice& choice) {
    const ModelHeader& header = found.header;
    Json json{{"format", header.origin.format},
              {"loader", loader},
              {"family", header.family},
              {"model_type", header.model_type},
              {"tensor_parallel_size", header.training.previous_tensor_parallel_size.value_or(1)},
              {"pipeline_parallel_size", header.training.previous_pipeline_parallel_size.value_or(1)}};
    if (header.training.release)
        json["iteration"] = "release";
    else if (header.training.iteration)
        json["iteration"] = *header.training.iteration;
    json["parameters"] = found.parameters();
    json["bytes"] = found.bytes();
    for (const auto& [dtype, share] : found.dtypes())
        json["dtypes"][std::string(dtype_name(dtype))] = {{"tensors", share.tensors}, {"bytes", share.bytes}};
    json["header"] = stated_fields(header);
    json["tensors"] = Json::array();
    for (const InspectedTensor& tensor : chosen_of(found.tensors, choice)) json["tensors"].push_back(json_of(tensor));
    json["ranks"] = Json::array();
    for (const StoredRank& stored : found.storage.ranks)
        json["ranks"].push_back({{"rank", stored.rank},
                                 {"stage", stored.stage},
                                 {"expert_rank", stored.expert},
                                 {"layers", stored.layers},
                                 {"tensors", stored.tensors},
                                 {"bytes", stored.bytes}});
    const Storage chosen = chosen_of(found.storage, choice);
    if (chosen.distributed) json["distributed"] = json_of(*chosen.distributed);
    json["source_tensors"] = Json::array();
    for (const SourceTensor& tensor : chosen.tensors) json["source_tensors"].push_back(cli::json_of(tensor));
    json["unused"] = found.storage.unused;
    json["notices"] = found.notices;
    return json;
}

/// Both of Megatron's loaders read what either does; the one that is called what the format is.
inline std::string loader_of_format(const std::string& loader, const ModelHeader& header) {
    return loader == "megatron" && header.origin.megatron == MegatronCode::core ? "mcore" : loader;
}

}  // namespace detail

template <class Loaders>
Syntax inspect_syntax() {
    std::vector<OptionInfo> elsewhere = detail::inspect_options();
    elsewhere.push_back({"load_dir", "", ""});  // it is the argument
    return {.command = "inspect",
            .summary =
                "Tells what a checkpoint is: format, sizes, tensors, and what is stored where; or which tensors a "
                "file holds. Reads no weights.",
            .arguments = "PATH",
            .groups = {{"general", detail::inspect_options()}, {"loader", plugin_options<Loaders>(elsewhere)}},
            .examples = {"checkpoints --summary", "Llama-3.1-8B --tensors 'layer 3 / qkv'", "model.safetensors --json",
                         "Llama-3.1-8B --html model.html"}};
}

template <class Loaders>
int inspect_command(const Arguments& arguments, World& world) {
    if (!world.leads()) return success;
    const std::string& directory = arguments.positional[0];
    const TensorChoice choice(arguments);
    if (std::filesystem::is_regular_file(directory)) {
        if (arguments.has("html")) throw UsageError("--html is for a checkpoint's folder, not for a single file");
        inspect_file(directory, choice, arguments.has("json"));
        return success;
    }
    const std::string name = choose_loader<Loaders>(arguments.value("loader"), directory);
    require_known<Loaders>(arguments.options, detail::inspect_options(), {name});
    const Inspection found = inspect(*open_checkpoint<Loaders>(name, directory, arguments.options));
    const std::string loader = detail::loader_of_format(name, found.header);
    const bool has_page = arguments.has("html");
    if (has_page) html::InspectPage(found, directory, loader).write(arguments.value("html"));
    if (arguments.has("json"))
        print_json(detail::json_of(found, loader, choice));
    else
        detail::print_text(found, loader, has_page ? TensorChoice::none() : choice);
    return success;
}

}  // namespace crossdock::cli
