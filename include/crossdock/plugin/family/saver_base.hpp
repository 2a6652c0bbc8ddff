// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "crossdock/container/path_kind.hpp"
#include "crossdock/container/sharded/writer.hpp"
#include "crossdock/core/compiled.hpp"
#include "crossdock/core/join_lists.hpp"
#include "crossdock/family/family.hpp"
#include "crossdock/plugin/family/entry_points.hpp"
#include "crossdock/plugin/hub/reference.hpp"
#include "crossdock/plugin/sidecar.hpp"
#include "crossdock/plugin/table_saver.hpp"

namespace crossdock {

namespace detail {

/// An upper bound of the bytes that a safetensors header with all tensors of the model takes.
inline std::size_t header_capacity(const TensorTable& table, const ModelHeader& header) {
    constexpr std::size_t entry_bytes = 160;  // dtype, shape, two offsets of 20 digits and the punctuation
    std::size_t bytes = 1024;
    for_each_message(header, [&]<class M>(Key<M> key) {
        for (const Row<M>& row : table.rows<M>()) {
            const Parts fields = blank_fields(row, header, key.index);
            if (fields.empty()) continue;
            for (const std::string& name : row.names) bytes += element_count(row, fields) * (name.size() + entry_bytes);
        }
    });
    return bytes;
}

/// The table to write a model with, and what the user should know of the target. Throws Error naming the first thing of
/// the model that the layout cannot express.
inline std::pair<TensorTable, Notices> table_to_write(const Family& family, const Layout& layout,
                                                      const ModelHeader& header) {
    const std::string format = for_family(layout.kind->target, family.name);
    require_mtp_places(layout.table(header), header, format);
    require_expressible(family.requirements, header, to_text("a ", family.name, " checkpoint"));
    if (!layout.says_caps) require_expressible(require::no_caps(), header, format);
    if (!layout.layers_may_differ) require_expressible({require::equal_layers}, header, format);
    require_expressible(layout.requirements, header, format);
    auto target = layout.kind->target_table(family, layout, header);
    require_rows(target.first, header, format);
    return target;
}

}  // namespace detail

/// Writes any published layout of a family.
class FamilySaverBase : public TableSaver {
public:
    FamilySaverBase(const Family& family, FamilySaverOptions options)
        : TableSaver(options.save_dir, options.overwrite, options.overrides),
          family_(family),
          layout_(chosen_layout(family, options.layout)),
          options_(std::move(options)) {
        if (ranks() == 0) throw UsageError("model_parallel_size is 0, expected at least 1");
        if (ranks() > 1 && !kind().one_part.empty())
            throw UsageError(to_text("model_parallel_size ", ranks(), ": ", why_one_part()));
        if (options_.max_shard_size) max_shard_bytes_ = sharded::parse_size(*options_.max_shard_size);
    }

protected:
    void prepare() override {
        if (!options_.config.empty()) take_reference();
        if (header_.true_vocab_size)
            header_.vocab_rows = *header_.true_vocab_size;
        else
            notice(to_text("the true vocabulary size is not known; all ", header_.vocab_rows, " rows are kept"));
        auto [table, notices] = detail::table_to_write(family_, layout_, header_);
        require_divisible(header_, ranks(), "model_parallel_size");
        table_ = std::move(table);
        for (std::string& line : notices) notice(std::move(line));
    }

    bool expresses(const ModelHeader& header, const std::string& name) const override {
        return kind().expresses(layout_, header, name);
    }

    TargetCheckpoint open(const OutputPath& directory) override {
        TargetCheckpoint target;
        for (std::uint64_t index = 0; index < all_layers(header_); ++index)
            target.layers.push_back({0, {"", index, all_layers(header_)}});
        auto writers = kind().open_writers({.directory = directory,
                                            .ranks = ranks(),
                                            .header_capacity = detail::header_capacity(table_, header_),
                                            .max_shard_bytes = max_shard_bytes_});
        for (std::uint64_t rank = 0; rank < writers.size(); ++rank)
            target.writers[{.tensor = rank}] = std::move(writers[rank]);
        return target;
    }

    void close(TargetCheckpoint&, const OutputPath& directory) override {
        for (const auto& [name, text] : kind().describe(family_, layout_, header_)) write_text(directory / name, text);
        write_sidecar(directory, header_, {});
    }

private:
    static const Layout& chosen_layout(const Family& family, const std::string& name) {
        return name.empty() ? usable(family).layouts.front()
                            : layout_called(usable(family), name, "layout", &LayoutKind::name);
    }

    /// Which layout has parts, or why none has.
    std::string why_one_part() const {
        for (const Layout& layout : family_.layouts)
            if (layout.kind->one_part.empty()) return to_text("needs the layout ", layout.kind->name);
        return std::string(kind().one_part);
    }

    void take_reference() {
        const auto directory = is_directory_at(options_.config) ? options_.config : options_.config.parent_path();
        for (std::string& line : apply_hub_reference(family_, options_.config, header_)) notice(std::move(line));
        require_separate(directory.empty() ? "." : directory, options_.save_dir);
    }

    const LayoutKind& kind() const { return *layout_.kind; }
    std::uint64_t ranks() const { return options_.model_parallel_size.value_or(1); }

    const Family& family_;
    const Layout& layout_;
    FamilySaverOptions options_;
    std::uint64_t max_shard_bytes_ = sharded::default_shard_bytes;
};

namespace detail {

CROSSDOCK_ENTRY_POINT std::unique_ptr<AnySaver> family_saver(const Family& family, const FamilySaverOptions& options) {
    return make_any_saver<FamilySaverBase>(family, options);
}

CROSSDOCK_ENTRY_POINT std::string family_saver_summary(const Family& family) {
    std::vector<std::string_view> ends;
    for (const Layout& layout : usable(family).layouts) ends.push_back(layout.kind->writes);
    return to_text("writes ", joined_list(ends, " or "));
}

/// The options that every saver of Hugging Face's layout has.
template <class Options>
std::vector<OptionSpec<Options>> hub_saver_options() {
    return join_lists<OptionSpec<Options>>(
        {option<Options>("save_dir", "DIR", "where to write", &Options::save_dir),
         option<Options>("overwrite", "", "replace an existing target once the new one is complete",
                         &Options::overwrite),
         option<Options>("config", "DIR", "a Hugging Face folder or its config.json: says what the source does not",
                         &Options::config),
         option<Options>("max_shard_size", "SIZE", "largest file, 5GB unless given", &Options::max_shard_size)},
        override_options(&Options::overrides));
}

CROSSDOCK_ENTRY_POINT std::vector<OptionSpec<FamilySaverOptions>> family_saver_options(const Family& family) {
    using Options = FamilySaverOptions;
    const auto& layouts = usable(family).layouts;
    auto specs = hub_saver_options<Options>();
    if (layouts.size() > 1) {
        std::vector<std::string_view> names;
        names.reserve(layouts.size());
        for (const Layout& layout : layouts) names.push_back(layout.kind->name);
        specs.push_back(option<Options>("layout", joined_list(names, "|"), to_text(names.front(), " unless given"),
                                        &Options::layout));
    }
    for (const Layout& layout : layouts)
        if (layout.kind->one_part.empty()) {
            specs.push_back(option<Options>("model_parallel_size", "N",
                                            to_text("parts of the ", layout.kind->name, " layout, 1 unless given"),
                                            &Options::model_parallel_size));
            break;
        }
    return specs;
}

}  // namespace detail

}  // namespace crossdock
