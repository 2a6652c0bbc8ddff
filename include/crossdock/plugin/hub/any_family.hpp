// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "crossdock/container/path_kind.hpp"
#include "crossdock/core/compiled.hpp"
#include "crossdock/core/join_lists.hpp"
#include "crossdock/family/families.hpp"
#include "crossdock/plugin/apply_overrides.hpp"
#include "crossdock/plugin/family/choose_family.hpp"
#include "crossdock/plugin/family/open_family.hpp"
#include "crossdock/plugin/family/saver_base.hpp"
#include "crossdock/plugin/hub/entry_points.hpp"

namespace crossdock {

/// Opens a Hugging Face folder with the loader of the family that its config.json says. Throws as open_family.
inline OpenCheckpoint open_hub(FamilyLoaderOptions options) {
    std::string& type = options.checkpoint_type;
    if (!type.empty() && type != hugging_face.checkpoint_type)
        throw UsageError(to_text("checkpoint_type is '", type, "', the loader 'hf' reads Hugging Face's layout only"));
    type = hugging_face.checkpoint_type;
    return open_family(family_of_folder(builtin_families(), options.load_dir), options);
}

namespace detail {

/// Writes with the saver of the family that the model is of (family_of_model).
class AnyFamilySaver {
public:
    explicit AnyFamilySaver(HubSaverOptions options) : options_(std::move(options)) {}

    static constexpr bool works_in_ranks = true, plans = true;

    void begin(const SaverContext& context) { context_.emplace(context); }

    void write(const ModelHeader& header) {
        FamilyChoice choice = choose(header);
        saver_.emplace(*choice.family, FamilySaverOptions{.save_dir = options_.save_dir,
                                                          .overwrite = options_.overwrite,
                                                          .layout = std::string(hugging_face.name),
                                                          .max_shard_size = options_.max_shard_size,
                                                          .config = options_.config,
                                                          .overrides = options_.overrides});
        notices_ = std::move(choice.notices);
        if (context_) saver_->begin(*context_);
        saver_->write(header);
    }
    template <class M>
    void write(const M& message) {
        saver().write(message);
    }
    void finish() { saver().finish(); }

    std::vector<std::string> notices() const { return saver_ ? join_lists(notices_, saver_->notices()) : notices_; }

private:
    /// Where the user gives a Hugging Face folder that says what the source does not, the model is of its family.
    FamilyChoice choose(ModelHeader header) const {
        const Families& families = builtin_families();
        apply_overrides(options_.overrides, header);
        if (header.family.empty() && !options_.config.empty()) {
            const bool is_directory = is_directory_at(options_.config);
            header.family =
                family_of_folder(families, is_directory ? options_.config : options_.config.parent_path()).name;
        }
        return family_of_model(families, options_.model_type, header);
    }

    FamilySaverBase& saver() {
        if (!saver_) throw Error("the saver is given a message before the header");
        return *saver_;
    }

    HubSaverOptions options_;
    std::optional<SaverContext> context_;
    std::optional<FamilySaverBase> saver_;  // since the header
    Notices notices_;
};

CROSSDOCK_ENTRY_POINT std::unique_ptr<AnyLoader> hub_loader(const FamilyLoaderOptions& options) {
    return make_any_loader<TableLoader>(open_hub(options));
}

CROSSDOCK_ENTRY_POINT std::string hub_loader_summary() {
    return to_text("reads ", hugging_face.reads, " of every family");
}

CROSSDOCK_ENTRY_POINT std::vector<OptionSpec<FamilyLoaderOptions>> hub_loader_options() {
    return family_loader_options("what the model is to be, if only that will do",
                                 std::string(hugging_face.checkpoint_type));
}

CROSSDOCK_ENTRY_POINT std::unique_ptr<AnySaver> hub_saver(const HubSaverOptions& options) {
    return make_any_saver<AnyFamilySaver>(options);
}

CROSSDOCK_ENTRY_POINT std::string hub_saver_summary() {
    return to_text("writes ", hugging_face.writes, " of the family that the model is of");
}

CROSSDOCK_ENTRY_POINT std::vector<OptionSpec<HubSaverOptions>> hub_saver_options() {
    using Options = HubSaverOptions;
    return join_lists(hub_saver_options<Options>(),
                      {option<Options>("model_type", "T", "which family it is, where the source does not say",
                                       &Options::model_type)});
}

}  // namespace detail

}  // namespace crossdock
