// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "crossdock/cli/html/page.hpp"
#include "crossdock/cli/html/text.hpp"
#include "crossdock/cli/units.hpp"
#include "crossdock/core/text.hpp"

namespace crossdock::cli::html {

/// A part of a whole, or one of several things that are compared.
struct Part {
    std::string name;
    std::uint64_t size = 0;
    std::string text{};  ///< what is said of it beside its name
};

namespace detail {

/// The part of `whole`, with as many digits as a drawing has.
inline std::string scaled(std::uint64_t part, std::uint64_t whole, double length) {
    return fixed(whole == 0 ? 0 : static_cast<double>(part) / static_cast<double>(whole) * length, 2);
}

/// One of the style's colours: the last for all that are left.
inline std::string colour(std::size_t number) { return to_text('c', std::min<std::size_t>(number, 5)); }

}  // namespace detail

/// One bar, cut into the parts of a whole; the caller says what each colour is (`key`).
inline void draw_shares(Page& page, std::string_view label, const std::vector<Part>& parts) {
    std::uint64_t whole = 0;
    for (const Part& part : parts) whole += part.size;
    std::string said;
    for (const Part& part : parts)
        said += to_text(said.empty() ? "" : ", ", part.name, ' ', percentage(part.size, whole));
    page << "<svg class=\"share\" role=\"img\" viewBox=\"0 0 1000 26\" preserveAspectRatio=\"none\" aria-label=\""
         << escaped(to_text(label, ": ", said)) << "\"><rect class=\"track\" width=\"1000\" height=\"26\"/>";
    std::uint64_t begin = 0;
    for (std::size_t i = 0; i < parts.size(); begin += parts[i++].size)
        page << "<rect class=\"" << detail::colour(i) << "\" x=\"" << detail::scaled(begin, whole, 1000)
             << "\" width=\"" << detail::scaled(parts[i].size, whole, 1000) << "\" height=\"26\"><title>"
             << escaped(to_text(parts[i].name, ": ", parts[i].text)) << "</title></rect>";
    page << "</svg>\n";
}

/// The mark of a part's colour in a list.
inline std::string key(std::size_t number) {
    return to_text("<span class=\"key ", detail::colour(number), "\" aria-hidden=\"true\"></span>");
}

/// A bar below the other, as long as each is large; the first ones where there are very many.
inline void draw_bars(Page& page, std::string_view label, const std::vector<Part>& parts) {
    constexpr std::size_t most = 48, height = 40, width = 1100;
    const std::size_t shown = std::min(parts.size(), most);
    std::uint64_t largest = 0;
    for (const Part& part : parts) largest = std::max(largest, part.size);
    page << "<svg role=\"img\" width=\"" << to_text(width) << "\" viewBox=\"0 0 " << to_text(width) << " "
         << to_text(shown * height) << "\" aria-label=\"" << escaped(to_text(label, ", ", parts.size(), " of them"))
         << "\">\n";
    for (std::size_t i = 0; i < shown; ++i) {
        const Part& part = parts[i];
        const std::string top = to_text(i * height + 14), bar = to_text(i * height + 20);
        page << "<text x=\"0\" y=\"" << top << "\">" << escaped(shortened(part.name, 90))
             << "</text><text class=\"small\" x=\"" << to_text(width) << "\" y=\"" << top << "\" text-anchor=\"end\">"
             << escaped(part.text) << "</text><rect class=\"track\" y=\"" << bar << "\" width=\"" << to_text(width)
             << "\" height=\"8\" rx=\"4\"/><rect class=\"c0\" y=\"" << bar << "\" width=\""
             << detail::scaled(part.size, largest, width) << "\" height=\"8\" rx=\"4\"/>\n";
    }
    page << "</svg>\n";
    if (shown < parts.size()) page << "<p class=\"soft\">and " << count_text(parts.size() - shown) << " more</p>\n";
}

}  // namespace crossdock::cli::html
