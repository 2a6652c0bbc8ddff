// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <iostream>
#include <string>
#include <string_view>
#include <vector>

#include "crossdock/cli/json_output.hpp"
#include "crossdock/cli/messages.hpp"
#include "crossdock/cli/units.hpp"
#include "crossdock/container/json.hpp"
#include "crossdock/core/text.hpp"
#include "crossdock/pipeline/reports.hpp"

namespace crossdock::cli {

namespace detail {

/// What a line says of all differences of a kind, behind their number.
inline std::string_view in_words(DifferenceKind kind, bool is_one) {
    constexpr std::array one{"header field differs",      "tensor or layer is missing",
                             "tensor has another shape",  "tensor has another type",
                             "tensor has other elements", "thing beside the weights differs"};
    constexpr std::array many{"header fields differ",        "tensors or layers are missing",
                              "tensors have other shapes",   "tensors have other types",
                              "tensors have other elements", "things beside the weights differ"};
    return is_one ? one[static_cast<std::size_t>(kind)] : many[static_cast<std::size_t>(kind)];
}

/// "2 tensors have other elements (17 in all): final norm / weight: 1 of 64 …; output layer / weight: …"; empty where
/// nothing differs in this way.
inline std::string kind_line(DifferenceKind kind, const std::vector<Difference>& differences) {
    const std::size_t shown = kind == DifferenceKind::header ? 20 : 3;
    std::size_t count = 0;
    std::uint64_t elements = 0;
    std::string list;
    for (const Difference& difference : differences) {
        if (difference.kind != kind) continue;
        elements += difference.elements;
        if (count++ < shown) list += to_text(list.empty() ? "" : "; ", difference.place, ": ", difference.text);
    }
    if (count == 0) return {};
    return to_text(count, ' ', in_words(kind, count == 1), elements > 0 ? to_text(" (", elements, " in all)") : "",
                   ": ", list, count > shown ? to_text("; and ", count - shown, " more, which --json lists") : "");
}

/// Calls visit for each kind of difference.
template <class Visit>
void for_each_kind(Visit&& visit) {
    for (std::size_t kind = 0; kind < enum_names<DifferenceKind>.size(); ++kind)
        visit(static_cast<DifferenceKind>(kind));
}

inline Json json_of(const VerifyReport& report) {
    Json json{{"equal", report.equal()},  {"tensors", report.tensors},    {"header_fields", report.header_fields},
              {"beside", report.beside},  {"bytes", report.bytes},        {"seconds", report.seconds},
              {"counts", Json::object()}, {"differences", Json::array()}, {"notices", report.notices}};
    for_each_kind([&](DifferenceKind kind) {
        json["counts"][std::string(enum_name(kind))] =
            std::count_if(report.differences.begin(), report.differences.end(),
                          [&](const Difference& difference) { return difference.kind == kind; });
    });
    for (const Difference& difference : report.differences) {
        Json line{{"kind", enum_name(difference.kind)}, {"place", difference.place}, {"text", difference.text}};
        if (difference.elements > 0) line["elements"] = difference.elements;
        json["differences"].push_back(std::move(line));
    }
    return json;
}

}  // namespace detail

/// Prints what a comparison found: a line for each kind of difference, or all of them as JSON.
inline void print_comparison(const VerifyReport& report, bool as_json, bool quiet) {
    if (as_json) return print_json(detail::json_of(report));
    if (!quiet)
        for (const std::string& line : report.notices) std::cout << one_line(as_typed(line)) << '\n';
    detail::for_each_kind([&](DifferenceKind kind) {
        if (const std::string line = detail::kind_line(kind, report.differences); !line.empty())
            std::cout << one_line(as_typed(line)) << '\n';
    });
    if (quiet && report.equal()) return;
    const std::size_t count = report.differences.size();
    std::cout << (count == 0 ? "equal: " : to_text(count, count == 1 ? " difference: " : " differences: "))
              << report.tensors << " tensors"
              << (report.header_fields > 0 ? to_text(" and ", report.header_fields, " header fields") : "")
              << " compared, " << bytes_text(report.bytes) << ' ' << speed_text(report.bytes, report.seconds)
              << std::endl;
}

}  // namespace crossdock::cli
