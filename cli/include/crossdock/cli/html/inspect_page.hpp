// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "crossdock/cli/html/data_table.hpp"
#include "crossdock/cli/html/page.hpp"
#include "crossdock/cli/html/pictures.hpp"
#include "crossdock/cli/html/rank_picture.hpp"
#include "crossdock/cli/html/text.hpp"
#include "crossdock/cli/units.hpp"
#include "crossdock/container/json_text.hpp"
#include "crossdock/container/target_path.hpp"
#include "crossdock/core/element_statistics.hpp"
#include "crossdock/core/text.hpp"
#include "crossdock/family/header_json.hpp"
#include "crossdock/pipeline/reports.hpp"
#include "crossdock/protocol/header_fields.hpp"

namespace crossdock::cli::html {

/// What `inspect` found, as a page: what the model is, who stores what of it, and every tensor.
class InspectPage {
public:
    /// What is known of the values of each of the model's tensors: null where that is nothing; empty: of none.
    using Values = std::vector<const Statistics*>;

    /// Keeps references.
    InspectPage(const Inspection& found, const std::string& directory, const std::string& loader, Values values = {})
        : found_(found),
          directory_(directory),
          loader_(loader),
          values_(std::move(values)) {}

    void write(const std::filesystem::path& file) const {
        Page page(file);
        const auto name = crossdock::detail::resolved(directory_).filename().string();
        page.begin(name.empty() ? directory_ : name, "inspect");
        page << "<p class=\"path\">" << escaped(directory_) << "</p>\n";
        write_facts(page, facts());
        page.end_header();
        write_unknown(page);
        write_not_finite(page);
        write_storage(page);
        write_dtypes(page);
        write_fields(page);
        write_tables(page);
        page.list("notices", "To know", found_.notices);
        page.end(values_.empty() ? "Read from headers alone, without weights, by" : "Read by");
    }

private:
    // ---- what it is

    std::vector<Fact> facts() const {
        const ModelHeader& header = found_.header;
        std::vector<Fact> facts{{"Format", header.origin.format, to_text("loader ", loader_)}};
        if (!header.family.empty())
            facts.push_back({"Family", header.family, header.model_type == header.family ? "" : header.model_type});
        const std::uint64_t parameters = found_.parameters(), bytes = found_.bytes();
        facts.push_back({"Parameters", large_count_text(parameters),
                         parameters < 1'000'000 ? std::string() : count_text(parameters)});
        facts.push_back({"Size", bytes_text(bytes), to_text(count_text(found_.tensors.size()), " tensors")});
        facts.push_back({"Layers", count_text(header.num_layers), to_text("hidden size ", header.hidden_size)});
        if (header.training.release)
            facts.push_back({"Iteration", "release"});
        else if (header.training.iteration)
            facts.push_back({"Iteration", count_text(*header.training.iteration)});
        return facts;
    }

    /// The fields of the model by their groups, as `inspect` prints them.
    void write_fields(Page& page) const {
        using crossdock::detail::group_to_json;
        const ModelHeader& header = found_.header;
        Json model = group_to_json(header, FieldGroup::none);
        model["params_dtype"] = dtype_name(header.params_dtype);
        model["vocab_rows"] = header.vocab_rows;
        Json training = header_to_json(header, training_fields);
        for (const char* told_above : {"iteration", "release"}) training.erase(told_above);
        page.begin_section("header", "What the model is");
        page << "<div class=\"groups\">\n";
        write_group(page, "Model", model);
        write_group(page, "Attention", group_to_json(header, FieldGroup::attention));
        write_group(page, "Feed-forward", group_to_json(header, FieldGroup::mlp));
        write_group(page, "Training", training);
        page << "</div>\n";
        page.end_section();
    }

    static void write_group(Page& page, std::string_view title, const Json& fields) {
        if (fields.empty()) return;
        page << "<table class=\"fields\"><caption>" << title << "</caption><tbody>\n";
        for (const auto& [name, value] : fields.items()) {
            const bool is_off = value == Json(false) || value == Json(0);
            page << "<tr><th scope=\"row\">" << escaped(name) << (is_off ? "</th><td class=\"off\">" : "</th><td>")
                 << escaped(value.is_string() ? value.template get<std::string>() : json_text(value, 0))
                 << "</td></tr>\n";
        }
        page << "</tbody></table>\n";
    }

    // ---- where it is

    void write_storage(Page& page) const {
        page.begin_section("storage", "Where it is stored");
        if (found_.storage.distributed)
            write_distributed(page, *found_.storage.distributed);
        else if (found_.storage.ranks.size() > 1 || found_.header.origin.megatron)
            write_ranks(page);
        else
            write_files(page);
        page.end_section();
    }

    void write_ranks(Page& page) const {
        const auto& ranks = found_.storage.ranks;
        constexpr std::size_t most = 16384;
        const RankPicture picture(ranks);
        page << "<p>" << (ranks.size() == 1 ? "One rank" : to_text(count_text(ranks.size()), " ranks")) << ": "
             << picture.sizes() << "</p>\n";
        if (ranks.size() > most) return void(page << "<p class=\"soft\">They are too many to be drawn.</p>\n");
        picture.draw(page);
        page << "<details><summary>The same as a table</summary>\n<table class=\"narrow\"><thead><tr><th "
                "scope=\"col\">TP rank</th><th scope=\"col\">PP stage</th><th scope=\"col\">EP rank</th><th "
                "scope=\"col\" class=\"count\">Layers</th><th scope=\"col\" class=\"count\">Tensors</th><th "
                "scope=\"col\" class=\"bytes\">Size</th></tr></thead><tbody>\n";
        for (const StoredRank& rank : ranks)
            page << to_text("<tr><td>", rank.rank, "</td><td>", rank.stage, "</td><td>", rank.expert,
                            "</td><td class=\"count\">", rank.layers, "</td><td class=\"count\">",
                            count_text(rank.tensors), "</td><td class=\"bytes\">", bytes_text(rank.bytes),
                            "</td></tr>\n");
        page << "</tbody></table></details>\n";
    }

    void write_files(Page& page) const {
        std::map<std::string_view, std::pair<std::uint64_t, std::uint64_t>> sizes;  // tensors and bytes, by file
        for (const SourceTensor& tensor : found_.storage.tensors) {
            auto& [tensors, bytes] = sizes[within(tensor.file.str())];
            ++tensors, bytes += tensor.bytes;
        }
        std::vector<Part> files;
        files.reserve(sizes.size());
        for (const auto& [name, size] : sizes)
            files.push_back({std::string(name), size.second,
                             to_text(count_text(size.first), size.first == 1 ? " tensor, " : " tensors, ",
                                     bytes_text(size.second))});
        page << "<p>" << (files.size() == 1 ? "One file" : to_text(count_text(files.size()), " files")) << "</p>\n";
        draw_bars(page, "Bytes of each file", files);
    }

    void write_distributed(Page& page, const DistributedStorage& storage) const {
        const Training& training = found_.header.training;
        page << "<p>" << count_text(storage.files) << (storage.files == 1 ? " file" : " files")
             << " of a distributed checkpoint, which loads at any parallel size";
        if (training.previous_tensor_parallel_size)
            page << to_text("; it says that it was saved at TP ", *training.previous_tensor_parallel_size, " × PP ",
                            training.previous_pipeline_parallel_size.value_or(1));
        page << "</p>\n";
        std::vector<Part> kinds;
        kinds.reserve(storage.kinds.size());
        for (const StoredKind& kind : storage.kinds)
            kinds.push_back({kind.kind, kind.bytes,
                             to_text(count_text(kind.items), kind.items == 1 ? " item, " : " items, ",
                                     kind.chunks > 0 ? to_text("in ", count_text(kind.chunks), " chunks, ") : "",
                                     bytes_text(kind.bytes))});
        draw_bars(page, "Bytes of each kind", kinds);
    }

    // ---- of which types

    void write_dtypes(Page& page) const {
        const auto dtypes = found_.dtypes();
        if (dtypes.empty()) return;
        std::vector<std::pair<DType, DTypeShare>> shares(dtypes.begin(), dtypes.end());
        std::sort(shares.begin(), shares.end(), [](const auto& a, const auto& b) {
            return std::tie(b.second.bytes, a.first) < std::tie(a.second.bytes, b.first);
        });
        std::vector<Part> parts;
        parts.reserve(shares.size());
        for (const auto& [dtype, share] : shares)
            parts.push_back({std::string(dtype_name(dtype)), share.bytes, bytes_text(share.bytes)});
        page.begin_section("dtypes", "Element types");
        draw_shares(page, "Share of the bytes", parts);
        page << "<table class=\"narrow\"><thead><tr><th scope=\"col\">Type</th><th scope=\"col\" "
                "class=\"count\">Tensors</th><th scope=\"col\" class=\"bytes\">Size</th><th scope=\"col\" "
                "class=\"count\">Share</th></tr></thead><tbody>\n";
        const std::uint64_t whole = found_.bytes();
        for (std::size_t i = 0; i < shares.size(); ++i)
            page << "<tr><th scope=\"row\">" << key(i) << parts[i].name << "</th><td class=\"count\">"
                 << count_text(shares[i].second.tensors) << "</td><td class=\"bytes\">" << parts[i].text
                 << "</td><td class=\"count\">" << percentage(parts[i].size, whole) << "</td></tr>\n";
        page << "</tbody></table>\n";
        page.end_section();
    }

    // ---- the tensors

    void write_unknown(Page& page) const {
        const std::size_t unknown = found_.storage.unused.size();
        if (unknown == 0) return;
        page << "<p class=\"alert\" role=\"note\"><a href=\"#view=stored&amp;search=unknown\">" << count_text(unknown)
             << (unknown == 1 ? " tensor has" : " tensors have")
             << "</a> no place in this model. They would be lost, so that no conversion begins.</p>\n";
    }

    void write_not_finite(Page& page) const {
        const auto broken = std::count_if(values_.begin(), values_.end(), [](const Statistics* values) {
            return values && (values->nans > 0 || values->infinities > 0);
        });
        if (broken > 0)
            page << "<p class=\"alert\" role=\"note\">" << count_text(static_cast<std::uint64_t>(broken))
                 << (broken == 1 ? " tensor has" : " tensors have") << " NaNs or infinities.</p>\n";
    }

    void write_tables(Page& page) const {
        write_searchable(page, "Tensors");
        if (!found_.storage.tensors.empty()) write_stored(page);
        values_.empty() ? write_model(page) : write_values(page);
        if (found_.storage.distributed && !found_.storage.distributed->tensors.empty()) write_chunks(page);
    }

    void write_stored(Page& page) const {
        DataTable stored(page, "stored", "As stored",
                         {{"Name", "text"},
                          {"Type", "word"},
                          {"Shape", "word"},
                          {"Size", "bytes"},
                          {"File", "path"},
                          {"Use", "word"}});
        for (const SourceTensor& tensor : found_.storage.tensors)
            stored.add({tensor.name, tensor.dtype ? dtype_name(*tensor.dtype) : "unknown type", to_string(tensor.shape),
                        tensor.bytes, within(tensor.file.str()), use_of(tensor)});
        stored.end();
    }

    void write_model(Page& page) const {
        DataTable model(page, "model", "Of the model",
                        {{"Name", "text"}, {"Type", "word"}, {"Shape", "word"}, {"Size", "bytes"}});
        for (const InspectedTensor& tensor : found_.tensors)
            model.add({to_text(tensor.message, " / ", tensor.name), dtype_name(tensor.dtype), to_string(tensor.shape),
                       tensor.bytes()});
        model.end();
    }

    void write_values(Page& page) const {
        DataTable model(page, "model", "Of the model",
                        {{"Name", "text"},
                         {"Type", "word"},
                         {"Shape", "word"},
                         {"Size", "bytes"},
                         {"Least", "number"},
                         {"Greatest", "number"},
                         {"Mean", "number"},
                         {"NaNs", "count"},
                         {"Infinities", "count"}});
        for (std::size_t i = 0; i < values_.size(); ++i) {
            const InspectedTensor& tensor = found_.tensors[i];
            const Statistics values = values_[i] ? *values_[i] : Statistics{};
            model.add({to_text(tensor.message, " / ", tensor.name), dtype_name(tensor.dtype), to_string(tensor.shape),
                       tensor.bytes(), values.min, values.max, values.mean, values.nans, values.infinities});
        }
        model.end();
    }

    void write_chunks(Page& page) const {
        DataTable chunks(page, "chunks", "Chunks",
                         {{"Name", "text"}, {"Shape", "word"}, {"Chunks", "count"}, {"Along each axis", "word"}});
        for (const StoredGrid& tensor : found_.storage.distributed->tensors) {
            std::string grid;
            for (const std::uint64_t along_axis : tensor.grid) grid += to_text(grid.empty() ? "" : " × ", along_axis);
            chunks.add({tensor.name, to_string(tensor.shape), tensor.chunks, grid});
        }
        chunks.end();
    }

    /// What becomes of it, and why.
    static std::string use_of(const SourceTensor& tensor) {
        if (tensor.use == TensorUse::unknown) return "unknown: no place in this model";
        return to_text(enum_name(tensor.use), tensor.why.str().empty() ? "" : ": ", tensor.why);
    }

    /// The path of a file as seen from the checkpoint's folder.
    std::string_view within(std::string_view file) const {
        std::string_view folder = directory_;
        while (folder.size() > 1 && folder.ends_with('/')) folder.remove_suffix(1);
        const bool is_within = file.starts_with(folder) && file.size() > folder.size() && file[folder.size()] == '/';
        return is_within ? file.substr(folder.size() + 1) : file;
    }

    const Inspection& found_;
    const std::string& directory_;
    const std::string& loader_;
    Values values_;
};

}  // namespace crossdock::cli::html
