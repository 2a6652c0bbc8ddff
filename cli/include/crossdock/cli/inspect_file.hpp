// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <iostream>
#include <string>
#include <vector>

#include "crossdock/cli/columns.hpp"
#include "crossdock/cli/differences.hpp"
#include "crossdock/cli/tensor_choice.hpp"
#include "crossdock/cli/units.hpp"
#include "crossdock/container/json.hpp"
#include "crossdock/container/sharded/reader.hpp"
#include "crossdock/container/tensor_dict.hpp"
#include "crossdock/core/text.hpp"

namespace crossdock::cli {

/// Tells which tensors a single file holds, whatever model they are of: safetensors, or what torch.save wrote.
inline void inspect_file(const std::filesystem::path& path, const TensorChoice& choice, bool json) {
    const TensorDict found = sharded::read_file(path);
    Json list = Json::array();
    std::vector<std::array<std::string, 4>> lines;
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
    }
    if (json) return print_json({{"file", path.string()}, {"bytes", bytes}, {"tensors", std::move(list)}});
    std::cout << lines.size() << " tensors, " << bytes_text(bytes) << '\n';
    if (!choice.is_summary()) detail::print_columns(lines);
    std::cout << std::flush;
}

}  // namespace crossdock::cli
