// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <unistd.h>

#include <array>
#include <cstdint>
#include <cstdio>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "crossdock/cli/arguments.hpp"
#include "crossdock/cli/progress_display.hpp"
#include "crossdock/cli/stop_on_signal.hpp"
#include "crossdock/cli/tensor_choice.hpp"
#include "crossdock/container/json.hpp"
#include "crossdock/core/element_statistics.hpp"
#include "crossdock/core/text.hpp"
#include "crossdock/pipeline/reports.hpp"
#include "crossdock/pipeline/statistics.hpp"
#include "crossdock/plugin/storage.hpp"

namespace crossdock::cli {

// What inspect tells of a tensor where it is asked to: what its values come to, and what it is made of.

/// The statistics of the chosen tensors of a checkpoint or of a file's; `of` is what statistics() takes. The display
/// speaks on stderr alone. Throws Cancelled.
template <class Of>
StatisticsReport chosen_statistics(Of&& of, const Arguments& arguments, const TensorChoice& choice,
                                   const StopOnSignal& signals) {
    ProgressDisplay display(progress_style(::isatty(STDERR_FILENO) != 1));
    StatisticsReport report =
        statistics(of, {.threads = number_or(arguments, "threads", 0),
                        .memory = memory_asked(arguments),
                        .progress = [&display](const Progress& progress) { display.show(progress); },
                        .stop = signals.token(),
                        .wanted = [&choice](const std::string& place) { return choice.has(place); }});
    return report;
}

namespace detail {

inline std::string value_text(double value) {
    std::array<char, 32> text{};
    std::snprintf(text.data(), text.size(), "%.6g", value);
    return text.data();
}

}  // namespace detail

/// "min -0.0524", "max 0.0613", "mean 1.25e-05", "3 NaN, 1 infinite"
inline std::array<std::string, 4> statistics_columns(const Statistics& found) {
    std::array<std::string, 4> columns{"no finite value"};
    if (found.min)
        columns = {"min " + detail::value_text(*found.min), "max " + detail::value_text(*found.max),
                   "mean " + detail::value_text(*found.mean)};
    if (found.nans > 0) columns[3] = to_text(found.nans, " NaN");
    if (found.infinities > 0) columns[3] += to_text(found.nans > 0 ? ", " : "", found.infinities, " infinite");
    return columns;
}

inline Json json_of(const Statistics& found) {
    const auto value = [](const std::optional<double>& number) { return number ? Json(*number) : Json(nullptr); };
    return {{"min", value(found.min)},
            {"max", value(found.max)},
            {"mean", value(found.mean)},
            {"nans", found.nans},
            {"infinities", found.infinities}};
}

/// "[48, 64] at [1, 0, 0]", "TP rank 0, PP stage 1", "model.decoder.…", "…/mp_rank_00_001/model_optim_rng.pt"
inline std::array<std::string, 4> part_columns(const TensorPart& part) {
    std::string shape = to_string(part.shape), rank;
    if (!part.offsets.empty()) shape += to_text(" at ", Shape(part.offsets));
    if (part.rank) {
        rank = to_text("TP rank ", part.rank->tensor, ", PP stage ", part.rank->pipeline);
        if (part.rank->expert > 0) rank += to_text(", EP rank ", part.rank->expert);
    }
    return {std::move(shape), std::move(rank), part.name, part.file};
}

inline Json json_of(const TensorPart& part) {
    Json json{{"name", part.name},
              {"file", part.file},
              {"dtype", dtype_name(part.dtype)},
              {"shape", std::vector<std::uint64_t>(part.shape.begin(), part.shape.end())}};
    if (!part.offsets.empty()) json["offsets"] = part.offsets;
    if (part.rank) {
        json["rank"] = part.rank->tensor;
        json["stage"] = part.rank->pipeline;
        json["expert_rank"] = part.rank->expert;
    }
    return json;
}

}  // namespace crossdock::cli
