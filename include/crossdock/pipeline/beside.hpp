// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "crossdock/container/json_text.hpp"
#include "crossdock/core/digest.hpp"
#include "crossdock/core/source.hpp"
#include "crossdock/core/text.hpp"
#include "crossdock/family/description.hpp"
#include "crossdock/pipeline/reports.hpp"
#include "crossdock/protocol/model_header.hpp"

namespace crossdock::detail {

// What travels beside the weights and belongs to the model: tokenizer, templates, generation settings, token ids.

/// Whether a file is there for people: its text changes nothing that a model does.
inline bool is_for_people(std::string_view name) {
    constexpr std::array beginnings{"readme", "license", "licence", "notice", "use_policy", "model_card"};
    const std::string small = lower_case(name);
    return std::any_of(beginnings.begin(), beginnings.end(), [&](const char* b) { return small.starts_with(b); });
}

/// XXH3-128 of all of a file's bytes, as `xxhsum -H2` has it.
inline Digest file_digest(const std::filesystem::path& path) {
    const FileSource file(path);
    DigestStream stream;
    std::vector<std::byte> block(std::size_t{1} << 20);
    while (stream.size() < file.size()) {
        const auto count = static_cast<std::size_t>(std::min<std::uint64_t>(block.size(), file.size() - stream.size()));
        file.Source::read(stream.size(), std::span(block).first(count));
        stream.add(std::span<const std::byte>(block).first(count));
    }
    return stream.value();
}

/// The files beside a model, in the order of their names.
inline std::vector<FileDigest> files_beside(const ModelHeader& header) {
    std::vector<FileDigest> files;
    for (const Companion& companion : header.origin.companions)
        if (!is_for_people(companion.name)) files.push_back({companion.name, file_digest(companion.file)});
    std::sort(files.begin(), files.end(), [](const FileDigest& a, const FileDigest& b) { return a.name < b.name; });
    return files;
}

/// Compares what both of two models have beside their weights. What only one has is told in `notices`: Megatron's own
/// checkpoints have none of it.
class BesideComparison {
public:
    BesideComparison(const ModelHeader& a, const ModelHeader& b, VerifyReport& report) : report_(report) {
        compare_files(files_beside(a), files_beside(b));
        const Json &config_a = carried_json(a, "config.json"), &config_b = carried_json(b, "config.json");
        for (const char* key : {"bos_token_id", "eos_token_id", "pad_token_id"}) compare_ids(key, config_a, config_b);
    }

private:
    void compare_files(const std::vector<FileDigest>& a, const std::vector<FileDigest>& b) {
        std::vector<std::string> only_a, only_b;
        for (const FileDigest& file : a) {
            const auto other =
                std::find_if(b.begin(), b.end(), [&](const FileDigest& each) { return each.name == file.name; });
            if (other == b.end()) {
                only_a.push_back(file.name);
                continue;
            }
            ++report_.beside;
            if (file.digest != other->digest) differ(file.name, "differs");
        }
        for (const FileDigest& file : b)
            if (std::none_of(a.begin(), a.end(), [&](const FileDigest& each) { return each.name == file.name; }))
                only_b.push_back(file.name);
        note_missing("A", only_a);
        note_missing("B", only_b);
    }

    void note_missing(std::string_view side, const std::vector<std::string>& names) {
        if (!names.empty()) report_.notices.push_back(to_text("only ", side, " has ", joined_list(names)));
    }

    void compare_ids(const char* key, const Json& a, const Json& b) {
        const auto in_a = a.find(key), in_b = b.find(key);
        if (in_a == a.end() || in_b == b.end()) return;
        ++report_.beside;
        if (*in_a != *in_b) differ(key, to_text(json_text(*in_a, 0), " in A, ", json_text(*in_b, 0), " in B"));
    }

    void differ(std::string_view name, std::string text) {
        report_.differences.push_back({DifferenceKind::beside, to_text("beside / ", name), std::move(text)});
    }

    VerifyReport& report_;
};

}  // namespace crossdock::detail
