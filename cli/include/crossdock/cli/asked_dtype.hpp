// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "crossdock/cli/arguments.hpp"
#include "crossdock/cli/reference_names.hpp"
#include "crossdock/core/dtype.hpp"
#include "crossdock/core/error.hpp"
#include "crossdock/core/text.hpp"

namespace crossdock::cli {

/// --dtype, --bf16, --fp16 and NVIDIA's words for the same thing, which must not contradict each other.
inline std::optional<DType> asked_dtype(const Arguments& arguments) {
    const std::string asked = arguments.value("dtype");
    const std::vector<std::string> known{"f32", "bf16", "f16"};
    const auto is_known = [&](const std::optional<DType>& dtype) {
        return dtype && std::find(known.begin(), known.end(), dtype_name(*dtype)) != known.end();
    };
    std::optional<DType> dtype = parse_dtype(asked);
    std::string said = to_text("--dtype ", asked);
    if (!asked.empty() && !is_known(dtype))
        throw UsageError(to_text("--dtype cannot be '", asked, "'", known_names(asked, known)));
    const auto agree = [&](const std::string& option, const std::optional<DType>& other) {
        if (dtype && dtype != other) throw UsageError(to_text(option, " contradicts ", said));
        dtype = other;
        said = option;
    };
    for (const std::string option : {"params_dtype", "save_dtype"}) {
        if (!arguments.has(option)) continue;
        const std::string value = arguments.value(option);
        if (!is_known(params_dtype(value)))
            throw UsageError(to_text("--", option, " cannot be '", value, "'", known_names(value, known)));
        agree(to_text("--", option, " ", value), params_dtype(value));
    }
    if (arguments.has("bf16")) agree("--bf16", DType::bf16);
    if (arguments.has("fp16")) agree("--fp16", DType::f16);
    return dtype;
}

}  // namespace crossdock::cli
