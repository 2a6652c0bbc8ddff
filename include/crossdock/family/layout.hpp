// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "crossdock/container/json.hpp"
#include "crossdock/container/json_text.hpp"
#include "crossdock/container/tensor_dict.hpp"
#include "crossdock/container/tensor_writer.hpp"
#include "crossdock/core/error.hpp"
#include "crossdock/family/config_table.hpp"
#include "crossdock/family/description.hpp"
#include "crossdock/family/requirements.hpp"
#include "crossdock/family/stacked_names.hpp"
#include "crossdock/family/tensor_table.hpp"
#include "crossdock/protocol/carried_text.hpp"
#include "crossdock/protocol/model_header.hpp"

namespace crossdock {

struct Family;
struct Layout;

/// Sentences that the user should read, none where all is as usual.
using Notices = std::vector<std::string>;

/// The tables of a layout: one for all models, or one chosen by the header. Tables live as long as the program.
class LayoutTables {
public:
    LayoutTables() = default;
    LayoutTables(TensorTable table) : only_(std::make_shared<const TensorTable>(std::move(table))) {}
    /// From a function or a lambda without captures.
    template <std::convertible_to<const TensorTable& (*)(const ModelHeader&)> Choose>
    LayoutTables(Choose choose) : choose_(choose) {}

    bool empty() const noexcept { return !only_ && !choose_; }
    const TensorTable& operator()(const ModelHeader& header) const { return only_ ? *only_ : choose_(header); }

private:
    std::shared_ptr<const TensorTable> only_;
    const TensorTable& (*choose_)(const ModelHeader&) = nullptr;
};

/// How files spell a layout's names otherwise than its table.
struct OtherSpellings {
    std::string_view base{};                ///< "transformer.": models saved without head lack it in all names
    std::vector<std::string_view> heads{};  ///< beginnings of names that stand outside of it: "lm_head."
    bool (*stands_alone)(const ModelHeader&) = nullptr;  ///< whether a model is saved without `base`; null: never
    std::vector<std::pair<std::string_view, std::string_view>> older{};    ///< part of a name → part of the table's
    std::vector<std::pair<std::string_view, std::string_view>> aliases{};  ///< a tensor's second name → the table's
    std::vector<StackedNames>
        stacked{};  ///< what is read in one tensor, too, and has one for each element in the table
};

/// A key of the description that changes what the model computes and that no field of the header says.
struct LayoutSwitch {
    std::string_view key;
    bool neutral;  ///< what it is where the model computes as all others do
};

/// What a writer of a layout's files has to know.
struct TargetFiles {
    OutputPath directory;
    std::uint64_t ranks = 1;
    std::size_t header_capacity = 0;  ///< bytes that the headers of all tensors take at most
    std::uint64_t max_shard_bytes = 0;
};

/// The tensors of a directory, a dictionary for each part (model-parallel rank), and what is odd about its files.
struct StoredParts {
    std::vector<TensorDict> parts;
    Notices warnings{};
};

namespace detail {
// What a kind of layout does unless it says otherwise; defined below.
inline std::optional<bool> is_recognised(const Layout& layout, const Json& description);
inline Notices read_by_table(const Family& family, const Layout& layout, const Json& description, ModelHeader& header);
inline Notices ask_tensors(const Family& family, const Layout& layout, const std::filesystem::path& directory,
                           std::vector<TensorDict>& parts, ModelHeader& header);
inline std::pair<TensorTable, Notices> usual_target(const Family& family, const Layout& layout,
                                                    const ModelHeader& header);
inline std::vector<std::pair<std::string, std::string>> describe_by_table(const Family& family, const Layout& layout,
                                                                          const ModelHeader& header);
}  // namespace detail

/// What the layouts of one kind have in common, whatever the family: what their files are called and how these are read
/// and written. One constant for each kind: `hugging_face`, `meta_release`. All functions but `read_tensors` and
/// `open_writers` may be left out: the family's tables then say everything.
struct LayoutKind {
    std::string_view name;              ///< the value of the saver's option `layout`
    std::string_view checkpoint_type;   ///< the value of the loader's option `checkpoint_type`
    std::string_view description;       ///< the file that describes the model; its presence is the layout's mark
    std::string_view weights;           ///< what notices call the files with the tensors: "its consolidated files"
    std::string_view reads, writes;     ///< the ends of "reads …" and "writes …" in lists of plugins
    std::string_view source, target;    ///< what reports call a source and errors a target; "{}" is the family
    std::string_view one_part{};        ///< why `model_parallel_size` must be 1; empty: parts are written
    bool states_sizes = true;           ///< the description alone gives all sizes
    bool keeps_differing_head = false;  ///< a tied model whose head differs is read as an untied one

    // Reading, in this order.

    /// Whether a description is of the family; nothing where it does not say.
    std::optional<bool> (*is_of)(const Layout&, const Json& description) = detail::is_recognised;
    /// Whether a directory holds tensors in this layout, complete or not; asked where it holds several descriptions.
    bool (*holds_weights)(const std::filesystem::path& directory) = [](const std::filesystem::path&) { return true; };
    /// The description, its text as it is to go along with the model, its value as a Json object.
    CarriedText (*open_description)(const std::filesystem::path& file) = open_json;
    /// What other files of the directory say of the model; the description, read later, wins.
    void (*read_beside)(const Layout&, const std::filesystem::path& directory,
                        ModelHeader&) = [](const Layout&, const std::filesystem::path&, ModelHeader&) {};
    /// Fills the header from the description. Errors need not name the file.
    Notices (*read_description)(const Family&, const Layout&, const Json& description,
                                ModelHeader&) = detail::read_by_table;
    StoredParts (*read_tensors)(const std::filesystem::path& directory) = nullptr;
    /// The parts under the table's names; fills in what of the header only the tensors tell.
    Notices (*understand_tensors)(const Family&, const Layout&, const std::filesystem::path& directory,
                                  std::vector<TensorDict>& parts, ModelHeader&) = detail::ask_tensors;

    // Writing, in this order.

    /// Whether the target says what the source states under this name and no field of the header holds.
    bool (*expresses)(const Layout&, const ModelHeader&, const std::string& name) =
        [](const Layout&, const ModelHeader&, const std::string&) { return false; };
    /// The table to write with, and what the user should know of the target.
    std::pair<TensorTable, Notices> (*target_table)(const Family&, const Layout&,
                                                    const ModelHeader&) = detail::usual_target;
    /// The files of the tensors, one writer for each rank.
    std::vector<std::unique_ptr<TensorWriter>> (*open_writers)(const TargetFiles&) = nullptr;
    /// The texts beside the tensors by the names of their files, the description first.
    std::vector<std::pair<std::string, std::string>> (*describe)(const Family&, const Layout&,
                                                                 const ModelHeader&) = detail::describe_by_table;
};

/// One published format of a family, as data: which keys its description has, which names its tensors, what it cannot
/// express. All but `kind` and `table` may be left out.
struct Layout {
    const LayoutKind* kind = nullptr;

    // The description.

    /// Whether a description without a type of its own is of this family. The releases of Meta and mistralai ask this.
    bool (*recognises)(const Json& description) = [](const Json&) { return true; };
    std::vector<std::string_view> types{};      ///< model_type in config.json; the first is written
    std::vector<std::string_view> relatives{};  ///< model_type of other architectures that go by the family's name
    ConfigTable config{};                       ///< its keys
    std::vector<std::string_view> inert{};      ///< keys beyond those that change nothing
    std::vector<LayoutSwitch> switches{};
    bool layers_may_differ = false;  ///< the description says how
    /// The description says how scores are scaled and what is capped, and the table has norms of the blocks' outputs.
    bool says_caps = false;
    /// What follows from several keys together; called after `config` is read. Returns what the user should know of it.
    /// Throws Error where the description asks for what the family's table lacks.
    Notices (*after_config)(ModelHeader&, const Json& description) = [](ModelHeader&, const Json&) {
        return Notices();
    };
    /// The model_type to write, if not the first.
    std::string_view (*type)(const ModelHeader&) = nullptr;
    std::string_view token_ids = "bos_token_id, eos_token_id, pad_token_id";  ///< keys that transformers needs stated
    /// The class in config.json's "architectures"; empty: the key is left as the source has it.
    std::string (*architecture)(const ModelHeader&) = [](const ModelHeader&) { return std::string(); };

    // The tensors.

    LayoutTables table{};  ///< the names, arrangements and cuts for a model with this header
    OtherSpellings spellings{};
    /// What the stored tensors of each part tell better than the description does; called after after_config.
    Notices (*from_tensors)(ModelHeader&, std::span<const TensorDict> parts) =
        [](ModelHeader&, std::span<const TensorDict>) { return Notices(); };
    /// Adds rows to the table that is written: names under which readers want a tensor again.
    void (*add_twins)(TensorTable&, const ModelHeader&) = [](TensorTable&, const ModelHeader&) {};

    // The limits.

    std::vector<Requirement> requirements{};  ///< beyond the family's
    /// What the user of a model that is written so should know.
    Notices (*caveats)(const ModelHeader&) = [](const ModelHeader&) { return Notices(); };
};

namespace detail {

inline std::optional<bool> is_recognised(const Layout& layout, const Json& description) {
    return layout.recognises(description);
}

inline Notices read_by_table(const Family&, const Layout& layout, const Json& description, ModelHeader& header) {
    read_config(layout.config, description, header);
    return layout.after_config(header, description);
}

inline Notices ask_tensors(const Family&, const Layout& layout, const std::filesystem::path& directory,
                           std::vector<TensorDict>& parts, ModelHeader& header) {
    return in_context(directory.string(), [&] { return layout.from_tensors(header, parts); });
}

inline std::pair<TensorTable, Notices> usual_target(const Family&, const Layout& layout, const ModelHeader& header) {
    TensorTable table = layout.table(header);
    layout.add_twins(table, header);
    add_mtp_twins(table, header);
    return {std::move(table), layout.caveats(header)};
}

inline std::vector<std::pair<std::string, std::string>> describe_by_table(const Family&, const Layout& layout,
                                                                          const ModelHeader& header) {
    Json description = Json::object();
    write_config(layout.config, header, description);
    return {{std::string(layout.kind->description), json_text(description) + "\n"}};
}

}  // namespace detail

/// "a {} checkpoint" → "a llama checkpoint"
inline std::string for_family(std::string_view pattern, std::string_view family) {
    return replaced(std::string(pattern), "{}", family);
}

}  // namespace crossdock
