// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cctype>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <new>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "crossdock/container/foreign_directory.hpp"
#include "crossdock/container/output_file.hpp"
#include "crossdock/container/output_path.hpp"
#include "crossdock/container/path_kind.hpp"
#include "crossdock/core/error.hpp"
#include "crossdock/core/source.hpp"
#include "crossdock/core/text.hpp"
#include "crossdock/protocol/model_header.hpp"

namespace crossdock {

// What stands beside the weights and belongs to the model all the same: the tokenizer, the chat template, the
// generation settings, licence and model card, the modules of sentence-transformers. It travels byte for byte, from
// the source's directory to the target's, whatever the formats are.

namespace detail {

/// Far more than any tokenizer has.
inline constexpr std::uint64_t max_companion_bytes = std::uint64_t{256} << 20;

/// By the names that Hugging Face, Meta, mistralai and sentence-transformers give them.
inline bool is_companion_name(std::string_view name) {
    constexpr std::array beginnings{"tokenizer", "chat_template", "license", "licence",
                                    "notice",    "use_policy",    "readme",  "model_card"};
    constexpr std::array endings{".model", ".tiktoken"};
    constexpr std::array names{"special_tokens_map.json",
                               "added_tokens.json",
                               "vocab.json",
                               "vocab.txt",
                               "merges.txt",
                               "tekken.json",
                               "generation_config.json",
                               "preprocessor_config.json",
                               "processor_config.json",
                               "modules.json",
                               "config_sentence_transformers.json",
                               "sentence_bert_config.json",
                               "system_prompt.txt"};
    const std::string small = lower_case(name);
    const auto any = [](const auto& list, const auto& fits) { return std::any_of(list.begin(), list.end(), fits); };
    return any(beginnings, [&](const char* beginning) { return small.starts_with(beginning); }) ||
           any(endings, [&](const char* ending) { return small.ends_with(ending); }) ||
           any(names, [&](const char* known) { return small == known; });
}

/// "1_Pooling", "2_Dense": the folder of a module of sentence-transformers; or the one of further chat templates.
inline bool is_companion_folder(std::string_view name) {
    if (name == "additional_chat_templates") return true;
    const std::size_t digits = std::min(name.find_first_not_of("0123456789"), name.size());
    return digits > 0 && digits + 1 < name.size() && name[digits] == '_' &&
           std::all_of(name.begin() + static_cast<std::ptrdiff_t>(digits) + 1, name.end(),
                       [](unsigned char letter) { return std::isalnum(letter) != 0; });
}

inline bool lies_under(const std::filesystem::path& file, const std::filesystem::path& directory) {
    return std::mismatch(directory.begin(), directory.end(), file.begin(), file.end()).first == directory.end();
}

/// Where a hub's cache keeps the files that <model>/snapshots/<revision> links to; empty when this is not such a cache.
inline std::filesystem::path blobs_beside(const std::filesystem::path& directory) {
    const auto snapshots = directory.parent_path();
    return snapshots.filename() == "snapshots" ? snapshots.parent_path() / "blobs" : std::filesystem::path();
}

/// The path without links; empty where it leads to nothing. What memory lacks for is not nothing.
inline std::filesystem::path without_links(const std::filesystem::path& path) {
    std::error_code error;
    auto real = std::filesystem::canonical(path, error);
    if (error == std::errc::not_enough_memory) throw std::bad_alloc();
    return error ? std::filesystem::path() : real;
}

/// Why a file is not taken; empty when it is. `real` is the directory without links.
inline std::string reason_against(const std::filesystem::path& file, const std::filesystem::path& real) {
    std::error_code error;
    const auto target = without_links(file);
    if (target.empty()) return "is a link to nothing";
    const auto blobs = blobs_beside(real);
    if (!lies_under(target, real) && (blobs.empty() || !lies_under(target, blobs)))
        return to_text("is a link to ", target.string(), ", outside of the checkpoint");
    if (!std::filesystem::is_regular_file(target, error) || error) return "is not a regular file";
    const std::uint64_t bytes = std::filesystem::file_size(target, error);
    if (error) return "cannot be read";
    if (bytes > max_companion_bytes)
        return to_text("holds ", bytes, " bytes, more than a file beside the weights should");
    return {};
}

}  // namespace detail

/// The files to take along from a directory. A stranger's links are followed within it and into the blobs of a hub's
/// cache, no further; what is left out although its name asks for it is told in `notices`.
inline std::vector<Companion> find_companions(const std::filesystem::path& directory,
                                              std::vector<std::string>& notices) {
    std::error_code error;
    const auto real = detail::without_links(directory);
    if (real.empty()) return {};
    std::vector<Companion> found;
    const auto take = [&](const std::filesystem::path& file, std::string name) {
        if (const std::string reason = detail::reason_against(file, real); reason.empty())
            found.push_back({file, std::move(name)});
        else
            notices.push_back(to_text(file.string(), ": ", reason, "; it is left out"));
    };
    for (const std::string& name : detail::names_in(directory)) {
        const auto path = directory / name;
        const bool is_directory = std::filesystem::is_directory(path, error);
        if (is_directory && detail::is_companion_folder(name) &&
            own_kind_at(path) == std::filesystem::file_type::directory) {
            for (const std::string& inner : detail::names_in(path)) take(path / inner, to_text(name, "/", inner));
        } else if (!is_directory && detail::is_companion_name(name)) {
            take(path, name);
        }
    }
    return found;
}

/// Copies the files byte for byte, as new files: neither their modes nor their holes come along. Throws Error where
/// one cannot be read any more, or the disk refuses; Cancelled when that is asked.
inline void copy_companions(const ModelHeader& header, const OutputPath& directory, const std::stop_token& stop = {}) {
    std::vector<std::byte> block(std::size_t{1} << 20);
    for (const auto& [file, name] : header.origin.companions) {
        const FileSource from(file);
        const OutputPath path = directory / name;
        make_folders(path.folder());
        OutputFile to(path);
        to.plan(from.size());
        for (std::uint64_t offset = 0; offset < from.size() && !to.is_planned();) {
            if (stop.stop_requested()) throw Cancelled();
            const auto piece = static_cast<std::size_t>(std::min<std::uint64_t>(block.size(), from.size() - offset));
            from.Source::read(offset, std::span(block).first(piece));
            to.write(offset, std::span<const std::byte>(block).first(piece));
            offset += piece;
        }
        to.sync();
    }
}

}  // namespace crossdock
