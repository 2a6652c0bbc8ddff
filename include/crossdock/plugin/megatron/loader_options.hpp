// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "crossdock/container/json.hpp"
#include "crossdock/container/text_file.hpp"
#include "crossdock/core/error.hpp"
#include "crossdock/core/join_lists.hpp"
#include "crossdock/core/text.hpp"
#include "crossdock/family/megatron/args.hpp"
#include "crossdock/plugin/header_overrides.hpp"
#include "crossdock/plugin/options.hpp"

namespace crossdock {

/// What the tensors of a checkpoint leave open, said by its user.
struct MegatronSizeOptions {
    std::optional<std::uint64_t> num_attention_heads{};
    std::optional<std::uint64_t> num_query_groups{};
    std::optional<std::uint64_t> kv_channels{};
    std::optional<std::uint64_t> checkpoint_version{};
};

/// What the loaders of Megatron checkpoints are asked.
struct MegatronLoaderOptions {
    std::filesystem::path load_dir{};
    std::string model_type{};
    std::string load_iters{};      ///< which of several iterations; empty: the tracker's
    std::string source_dialect{};  ///< llm, lm or mcore; empty: told from the files
    std::string position_embedding_type{};
    std::filesystem::path vocab_file{};
    std::string megatron_path{};  ///< the reference needs Megatron's code; we do not
    std::optional<std::uint64_t> true_vocab_size{};
    MegatronSizeOptions sizes{};
    std::vector<std::string> ignore{};  ///< names of arguments to be taken as not stated
    HeaderOverrides overrides{};
};

namespace detail {

/// The words in a vocabulary: the entries of a JSON object or array, or else the lines of a text. Empty where the file
/// is neither (a SentencePiece model, a directory).
inline std::optional<std::uint64_t> count_words(const std::filesystem::path& file) {
    if (!std::filesystem::is_regular_file(file)) return std::nullopt;
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

inline OptionSpec<MegatronLoaderOptions> size_option(std::string name, std::string value, std::string help,
                                                     std::optional<std::uint64_t> MegatronSizeOptions::*member) {
    auto inner = option<MegatronSizeOptions>(std::move(name), std::move(value), std::move(help), member);
    return {std::move(inner.info),
            [set = std::move(inner.set)](MegatronLoaderOptions& options, const std::string& given) {
                set(options.sizes, given);
            }};
}

inline std::vector<OptionSpec<MegatronLoaderOptions>> megatron_loader_options() {
    using Options = MegatronLoaderOptions;
    return join_lists<OptionSpec<Options>>(
        {option<Options>("load_dir", "DIR", "the checkpoint: its root or the directory of an iteration",
                         &Options::load_dir),
         option<Options>("model_type", "T", "what the model is, where it matters to the saver", &Options::model_type),
         option<Options>("load_iters", "N", "which of several iterations, or release", &Options::load_iters),
         option<Options>("source_dialect", "llm|lm|mcore", "overrides what the files tell", &Options::source_dialect),
         option<Options>("true_vocab_size", "N", "words in the vocabulary, without padding", &Options::true_vocab_size),
         option<Options>("vocab_file", "FILE", "a vocabulary whose words are counted: JSON, or one a line",
                         &Options::vocab_file),
         size_option("kv_channels", "N", "rows of one attention head", &MegatronSizeOptions::kv_channels),
         size_option("num_attention_heads", "N", "where args do not state them",
                     &MegatronSizeOptions::num_attention_heads),
         size_option("num_query_groups", "N", "key/value heads, where args do not state them",
                     &MegatronSizeOptions::num_query_groups),
         size_option("checkpoint_version", "0|1|2|3", "the order of qkv rows, where the files do not state it",
                     &MegatronSizeOptions::checkpoint_version),
         option<Options>("position_embedding_type", "T", "overrides what the files tell",
                         &Options::position_embedding_type),
         option<Options>("ignore", "ARG,…", "arguments to be taken as not stated, where the target cannot say them",
                         &Options::ignore),
         option<Options>("megatron_path", "DIR", "accepted, has no effect", &Options::megatron_path)},
        override_options(&Options::overrides));
}

}  // namespace detail

}  // namespace crossdock
