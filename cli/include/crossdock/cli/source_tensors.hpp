// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <iostream>
#include <string>
#include <vector>

#include "crossdock/cli/columns.hpp"
#include "crossdock/cli/units.hpp"
#include "crossdock/container/json.hpp"
#include "crossdock/core/text.hpp"
#include "crossdock/plugin/storage.hpp"

namespace crossdock::cli {

// What becomes of each tensor that a source stores.

/// "all 363 source tensors: 291 used (13.5 GB), 72 ignored (18.4 kB), 0 unknown (0 B)"
inline std::string uses_text(const std::vector<SourceTensor>& tensors) {
    std::string text = to_text("all ", tensors.size(), " source tensors: ");
    for (std::size_t use = 0; use < enum_names<TensorUse>.size(); ++use) {
        std::uint64_t count = 0, bytes = 0;
        for (const SourceTensor& tensor : tensors)
            if (static_cast<std::size_t>(tensor.use) == use) ++count, bytes += tensor.bytes;
        text += to_text(use ? ", " : "", count, ' ', enum_names<TensorUse>[use], " (", bytes_text(bytes), ")");
    }
    return text;
}

/// A tensor's line, as columns: what becomes of it, its name, its size, its file and why it is ignored.
inline std::array<std::string, 4> use_columns(const SourceTensor& tensor) {
    return {std::string(enum_name(tensor.use)), tensor.name, bytes_text(tensor.bytes),
            tensor.why.str().empty() ? tensor.file.str() : to_text(tensor.file, ": ", tensor.why)};
}

/// Prints what becomes of each, and how much of each there is.
inline void print_source_tensors(const std::vector<SourceTensor>& tensors) {
    std::cout << '\n' << uses_text(tensors) << '\n';
    detail::print_columns(tensors, use_columns);
}

inline Json json_of(const SourceTensor& tensor) {
    Json json{{"name", tensor.name},
              {"file", tensor.file.str()},
              {"dtype", tensor.dtype ? Json(dtype_name(*tensor.dtype)) : Json(nullptr)},
              {"shape", std::vector<std::uint64_t>(tensor.shape.begin(), tensor.shape.end())},
              {"bytes", tensor.bytes},
              {"use", enum_name(tensor.use)}};
    if (!tensor.why.str().empty()) json["why"] = tensor.why.str();
    return json;
}

}  // namespace crossdock::cli
