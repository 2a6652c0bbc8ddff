// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "crossdock/cli/arguments.hpp"
#include "crossdock/core/dtype.hpp"
#include "crossdock/core/error.hpp"
#include "crossdock/core/text.hpp"

namespace crossdock::cli {

namespace detail {

/// The element types that models are cast to, by all their usual names.
inline constexpr std::array<std::pair<std::string_view, DType>, 10> dtype_names{{{"f32", DType::f32},
                                                                                 {"fp32", DType::f32},
                                                                                 {"float32", DType::f32},
                                                                                 {"float", DType::f32},
                                                                                 {"bf16", DType::bf16},
                                                                                 {"bfloat16", DType::bf16},
                                                                                 {"f16", DType::f16},
                                                                                 {"fp16", DType::f16},
                                                                                 {"float16", DType::f16},
                                                                                 {"half", DType::f16}}};

}  // namespace detail

/// The element type that a user calls by one of its names, in capitals or not, behind PyTorch's "torch." or not. Throws
/// UsageError that lists them; `option` is what was given it.
inline DType named_dtype(std::string_view option, const std::string& given) {
    constexpr std::string_view torch = "torch.";
    std::string name = given;
    for (char& letter : name)
        if (letter >= 'A' && letter <= 'Z') letter = static_cast<char>(letter - 'A' + 'a');
    if (name.starts_with(torch)) name.erase(0, torch.size());
    std::vector<std::string> known;
    for (const auto& [word, dtype] : detail::dtype_names) {
        if (word == name) return dtype;
        known.emplace_back(word);
    }
    throw UsageError(to_text("--", option, " cannot be '", given, "'", known_names(given, known)));
}

/// --dtype, --bf16, --fp16 and NVIDIA's words for the same thing, which must not contradict each other.
inline std::optional<DType> asked_dtype(const Arguments& arguments) {
    std::optional<DType> dtype;
    std::string said;
    const auto agree = [&](const std::string& option, DType other) {
        if (dtype && dtype != other) throw UsageError(to_text(option, " contradicts ", said));
        dtype = other;
        said = option;
    };
    for (const std::string option : {"dtype", "params_dtype", "save_dtype"})
        if (const std::string given = arguments.value(option); arguments.has(option))
            agree(to_text("--", option, " ", given), named_dtype(option, given));
    if (arguments.has("bf16")) agree("--bf16", DType::bf16);
    if (arguments.has("fp16")) agree("--fp16", DType::f16);
    return dtype;
}

}  // namespace crossdock::cli
