// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <iostream>
#include <iterator>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "crossdock/cli/arguments.hpp"
#include "crossdock/cli/columns.hpp"
#include "crossdock/cli/html/inspect_page.hpp"
#include "crossdock/cli/inspect_file.hpp"
#include "crossdock/cli/json_output.hpp"
#include "crossdock/cli/messages.hpp"
#include "crossdock/cli/plugin_choice.hpp"
#include "crossdock/cli/source_tensors.hpp"
#include "crossdock/cli/stop_on_signal.hpp"
#include "crossdock/cli/tensor_choice.hpp"
#include "crossdock/cli/tensor_details.hpp"
#include "crossdock/cli/units.hpp"
#include "crossdock/container/path_kind.hpp"
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
        {"stats", "", "reads the tensors that are listed: least, greatest and mean value, NaNs and infinities"},
        {"parts", "", "lists what each tensor is made of: its names in the files, its parts on the ranks"},
        {"threads", "N", "that read with --stats; one for each processor unless given"},
        {"memory", "MIB", "that --stats may take, 256 unless given"},
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

/// A tensor that is listed, and what is told of it where that is asked for.
struct ListedTensor {
    const InspectedTensor& tensor;
    std::unique_ptr<const Statistics> statistics{};
    std::vector<TensorPart> parts{};

    std::string place() const { return to_text(tensor.message, " / ", tensor.name); }
};

inline void print_tensors(const std::vector<ListedTensor>& tensors) {
    std::cout << "\ntensors\n";
    print_columns(tensors, [](const ListedTensor& listed) {
        const InspectedTensor& tensor = listed.tensor;
        std::array<std::string, 8> line{listed.place(), std::string(dtype_name(tensor.dtype)), to_string(tensor.shape),
                                        bytes_text(tensor.bytes())};
        if (listed.statistics) std::ranges::copy(statistics_columns(*listed.statistics), line.begin() + 4);
        return line;
    });
}

inline void print_parts(const std::vector<ListedTensor>& tensors) {
    std::vector<std::array<std::string, 5>> lines;
    for (const ListedTensor& listed : tensors)
        for (const TensorPart& part : listed.parts) {
            lines.push_back({listed.place()});
            std::ranges::copy(part_columns(part), lines.back().begin() + 1);
        }
    if (lines.empty()) return;
    std::cout << "\nparts\n";
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

/// The tensors that are chosen, of those that outlive the list; "transformer layer 3 / qkv weight" is a name.
inline std::vector<ListedTensor> chosen_of(const std::vector<InspectedTensor>& tensors, const TensorChoice& choice) {
    std::vector<ListedTensor> chosen;
    chosen.reserve(tensors.size());
    for (const InspectedTensor& tensor : tensors) {
        ListedTensor listed{tensor};
        if (choice.has(listed.place())) chosen.push_back(std::move(listed));
    }
    return chosen;
}

/// Drops the tensors that are not chosen.
inline void keep_chosen(Storage& storage, const TensorChoice& choice) {
    std::erase_if(storage.tensors, [&](const SourceTensor& tensor) { return !choice.has(tensor.name); });
    if (storage.distributed)
        std::erase_if(storage.distributed->tensors, [&](const StoredGrid& tensor) { return !choice.has(tensor.name); });
}

inline void print_text(const Inspection& found, const std::vector<ListedTensor>& tensors, const std::string& loader) {
    print_identity(found, loader);
    print_header(found.header);
    if (!tensors.empty()) print_tensors(tensors);
    print_parts(tensors);
    if (!found.storage.ranks.empty()) print_ranks(found.storage.ranks);
    if (found.storage.distributed) print_distributed(*found.storage.distributed);
    if (!found.storage.tensors.empty()) print_source_tensors(found.storage.tensors);
    print_list("unused tensors", found.storage.unused);
    print_list("notices", found.notices);
    std::cout << std::flush;
}

inline Json json_of(const ListedTensor& listed) {
    const InspectedTensor& tensor = listed.tensor;
    Json json{{"message", tensor.message.str()},
              {"name", tensor.name},
              {"dtype", dtype_name(tensor.dtype)},
              {"shape", std::vector<std::uint64_t>(tensor.shape.begin(), tensor.shape.end())},
              {"bytes", tensor.bytes()}};
    if (listed.statistics) json["statistics"] = cli::json_of(*listed.statistics);
    for (const TensorPart& part : listed.parts) json["parts"].push_back(cli::json_of(part));
    return json;
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

inline Json json_of(const Inspection& found, const std::vector<ListedTensor>& tensors, const std::string& loader) {
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
    for (const ListedTensor& tensor : tensors) json["tensors"].push_back(json_of(tensor));
    json["ranks"] = Json::array();
    for (const StoredRank& stored : found.storage.ranks)
        json["ranks"].push_back({{"rank", stored.rank},
                                 {"stage", stored.stage},
                                 {"expert_rank", stored.expert},
                                 {"layers", stored.layers},
                                 {"tensors", stored.tensors},
                                 {"bytes", stored.bytes}});
    if (found.storage.distributed) json["distributed"] = json_of(*found.storage.distributed);
    json["source_tensors"] = Json::array();
    for (const SourceTensor& tensor : found.storage.tensors) json["source_tensors"].push_back(cli::json_of(tensor));
    json["unused"] = found.storage.unused;
    json["notices"] = found.notices;
    return json;
}

/// Adds what is asked for to the tensors that are listed. Throws Cancelled.
inline void add_details(AnyLoader& loader, const Arguments& arguments, const TensorChoice& choice,
                        const StopOnSignal& signals, std::vector<ListedTensor>& tensors, Inspection& found) {
    if (arguments.has("stats")) {
        StatisticsReport values = chosen_statistics(loader, arguments, choice, signals);
        for (std::size_t i = 0; i < tensors.size(); ++i)
            tensors[i].statistics = std::make_unique<const Statistics>(values.tensors.at(i).statistics);
        std::ranges::move(values.notices, std::back_inserter(found.notices));
    }
    if (!arguments.has("parts")) return;
    std::vector<TensorParts> all = loader.parts([&](const std::string& place) { return choice.has(place); });
    auto next = all.begin();  // both are in protocol order
    for (ListedTensor& listed : tensors) {
        const auto own = std::find_if(next, all.end(), [&](const auto& each) { return each.place == listed.place(); });
        if (own == all.end()) continue;
        listed.parts = std::move(own->parts);
        next = own + 1;
    }
}

/// The statistics of each of a model's tensors, null of those that are not listed; empty where there are none.
inline std::vector<const Statistics*> values_of(const std::vector<InspectedTensor>& tensors,
                                                const std::vector<ListedTensor>& listed) {
    std::vector<const Statistics*> values;
    auto next = listed.begin();  // both are in protocol order
    for (const InspectedTensor& tensor : tensors) {
        if (next == listed.end() || !next->statistics) break;
        values.push_back(&next->tensor == &tensor ? (next++)->statistics.get() : nullptr);
    }
    if (!values.empty()) values.resize(tensors.size());
    return values;
}

template <class Loaders>
void inspect_directory(const std::string& directory, const Arguments& arguments, const TensorChoice& choice,
                       const StopOnSignal& signals) {
    const std::string name = choose_loader<Loaders>(arguments.value("loader"), directory);
    require_known<Loaders>(arguments.options, inspect_options(), {name});
    std::unique_ptr<AnyLoader> loader = open_checkpoint<Loaders>(name, directory, arguments.options);
    const bool is_json = arguments.has("json"), has_page = arguments.has("html");
    if (has_page && !is_json && arguments.has("parts"))
        throw UsageError("--parts adds to the lists, which --html is in place of: leave one of them out");
    Inspection found = inspect(*loader);
    const std::string shown = loader_of_format(name, found.header);
    std::vector<ListedTensor> tensors = chosen_of(found.tensors, choice);
    add_details(*loader, arguments, choice, signals, tensors, found);
    loader.reset();  // it may keep a million tensors
    if (has_page)
        html::InspectPage(found, directory, shown, values_of(found.tensors, tensors)).write(arguments.value("html"));
    const bool has_lists = is_json || !has_page;
    if (!has_lists) tensors.clear();
    keep_chosen(found.storage, has_lists ? choice : TensorChoice::none());
    if (is_json)
        print_json(json_of(found, tensors, shown));
    else
        print_text(found, tensors, shown);
}

}  // namespace detail

template <class Loaders>
Syntax inspect_syntax() {
    std::vector<OptionInfo> elsewhere = detail::inspect_options();
    elsewhere.push_back({"load_dir", "", ""});  // it is the argument
    return {.command = "inspect",
            .summary =
                "Tells what a checkpoint is: format, sizes, tensors, and what is stored where; or which tensors a "
                "file holds. Reads no weights but with --stats.",
            .arguments = "PATH",
            .groups = {{"general", detail::inspect_options()}, {loader_group, plugin_options<Loaders>(elsewhere)}},
            .examples = {"checkpoints --summary", "Llama-3.1-8B --tensors 'layer 3 / qkv' --stats",
                         "checkpoints --tensors embeddings --parts", "model.safetensors --json",
                         "Llama-3.1-8B --html model.html"}};
}

template <class Loaders>
int inspect_command(const Arguments& arguments, World& world) {
    if (!world.leads()) return success;
    const std::string& path = arguments.positional[0];
    const TensorChoice choice(arguments);
    const StopOnSignal signals(!world.is_shared());
    try {
        if (is_file_at(path))
            inspect_file(path, arguments, choice, signals);
        else
            detail::inspect_directory<Loaders>(path, arguments, choice, signals);
    } catch (const Cancelled&) {
        return stopped_by(signals.signal());
    }
    return success;
}

}  // namespace crossdock::cli
