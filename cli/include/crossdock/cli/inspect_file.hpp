// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <filesystem>
#include <iostream>
#include <string>
#include <vector>

#include "crossdock/cli/arguments.hpp"
#include "crossdock/cli/columns.hpp"
#include "crossdock/cli/json_output.hpp"
#include "crossdock/cli/stop_on_signal.hpp"
#include "crossdock/cli/tensor_choice.hpp"
#include "crossdock/cli/tensor_details.hpp"
#include "crossdock/cli/units.hpp"
#include "crossdock/container/json.hpp"
#include "crossdock/container/sharded/reader.hpp"
#include "crossdock/container/tensor_dict.hpp"
#include "crossdock/core/text.hpp"

namespace crossdock::cli {

/// Tells which tensors a single file holds, whatever model they are of: safetensors, or what torch.save wrote; with the
/// option `stats` what their values come to. Throws Cancelled.
inline void inspect_file(const std::filesystem::path& path, const Arguments& arguments, const TensorChoice& choice,
                         const StopOnSignal& signals) {
    for (const char* option : {"parts", "html"})
        if (arguments.has(option))
            throw UsageError(to_text("--", option, " is for a checkpoint, ", path.string(), " is a file"));
    const TensorDict found = sharded::read_file(path);
    StatisticsReport values;
    if (arguments.has("stats")) values = chosen_statistics(found.entries(), arguments, choice, signals);
    Json list = Json::array();
    std::vector<std::array<std::string, 8>> lines;
    std::uint64_t bytes = 0;
    for (const NamedTensor& entry : found.entries()) {
        if (!choice.has(entry.name)) continue;
        const Tensor& tensor = entry.tensor;
        bytes += tensor.byte_count();
        list.push_back({{"name", entry.name},
                        {"dtype", dtype_name(tensor.dtype())},
                        {"shape", std::vector<std::uint64_t>(tensor.shape().begin(), tensor.shape().end())},
                        {"bytes", tensor.byte_count()}});
        lines.push_back({entry.name, std::string(dtype_name(tensor.dtype())), to_string(tensor.shape()),
                         bytes_text(tensor.byte_count())});
        if (!arguments.has("stats")) continue;
        const Statistics& of_tensor = values.tensors[lines.size() - 1].statistics;
        list.back()["statistics"] = json_of(of_tensor);
        std::ranges::copy(statistics_columns(of_tensor), lines.back().begin() + 4);
    }
    if (arguments.has("json"))
        return print_json({{"file", path.string()}, {"bytes", bytes}, {"tensors", std::move(list)}});
    std::cout << lines.size() << " tensors, " << bytes_text(bytes) << '\n';
    if (!choice.is_summary()) detail::print_columns(lines);
    std::cout << std::flush;
}

}  // namespace crossdock::cli
