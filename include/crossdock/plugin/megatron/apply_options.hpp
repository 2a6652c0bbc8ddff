// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "crossdock/container/json.hpp"
#include "crossdock/container/path_kind.hpp"
#include "crossdock/container/text_file.hpp"
#include "crossdock/core/error.hpp"
#include "crossdock/core/text.hpp"
#include "crossdock/family/megatron/args.hpp"
#include "crossdock/plugin/apply_overrides.hpp"
#include "crossdock/plugin/megatron/loader_options.hpp"

namespace crossdock {

namespace detail {

/// The words in a vocabulary: the entries of a JSON object or array, or else the lines of a text. Empty where the file
/// is neither (a SentencePiece model, a directory).
inline std::optional<std::uint64_t> count_words(const std::filesystem::path& file) {
    if (!is_file_at(file)) return std::nullopt;
    const std::string content = read_text(file);
    const std::size_t begin = std::min(content.find_first_not_of(" \t\r\n"), content.size());
    if (begin < content.size() && (content[begin] == '{' || content[begin] == '['))
        return parse_json(content, file.string()).size();
    if (content.find('\0') != std::string::npos) return std::nullopt;
    const auto lines = static_cast<std::uint64_t>(std::count(content.begin(), content.end(), '\n'));
    return lines + (!content.empty() && content.back() != '\n' ? 1 : 0);
}

/// How many words the options say there are; as the reference does, the file is not needed where the number is given.
inline std::optional<std::uint64_t> stated_words(const MegatronLoaderOptions& options) {
    const auto& number = options.true_vocab_size;
    if (options.vocab_file.empty()) return number;
    const std::string file = options.vocab_file.string();
    const auto words = count_words(options.vocab_file);
    if (!words && !number)
        throw Error(to_text("vocab_file ", file,
                            ": is no list of words (JSON, or a word a line); give the option true_vocab_size"));
    if (words && number && words != number)
        throw Error(to_text("vocab_file ", file, ": holds ", *words, " words, true_vocab_size says ", *number,
                            "; give one of them"));
    return number ? number : words;
}

/// Writes what the user states over what the header says.
inline void apply_options(const MegatronLoaderOptions& options, ModelHeader& header) {
    if (const auto words = stated_words(options)) header.true_vocab_size = words;
    if (!options.position_embedding_type.empty())
        in_context("position_embedding_type", [&] { read_positions(options.position_embedding_type, header); });
    const bool is_any_decoder = options.model_type == "GPT" && !header.model_type.empty();
    if (!options.model_type.empty() && !is_any_decoder) header.model_type = options.model_type;
    apply_overrides(options.overrides, header);
}

/// Which fields the options state, before their values are taken.
inline void note_given(const MegatronLoaderOptions& options, ModelHeader& header) {
    header.origin.given = given_fields(options.overrides);
    if (!options.position_embedding_type.empty()) header.origin.given.insert("positions");
    if (options.true_vocab_size || !options.vocab_file.empty()) header.origin.given.insert("true_vocab_size");
}

}  // namespace detail

}  // namespace crossdock
