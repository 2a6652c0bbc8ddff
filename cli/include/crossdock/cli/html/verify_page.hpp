// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "crossdock/cli/differences.hpp"
#include "crossdock/cli/html/data_table.hpp"
#include "crossdock/cli/html/page.hpp"
#include "crossdock/cli/html/pictures.hpp"
#include "crossdock/cli/html/text.hpp"
#include "crossdock/cli/units.hpp"
#include "crossdock/container/target_path.hpp"
#include "crossdock/core/text.hpp"
#include "crossdock/pipeline/reports.hpp"

namespace crossdock::cli::html {

/// One of the two checkpoints that are compared, as people know it.
struct Side {
    std::string path, what;  ///< what it is: "mcore", "digests"
};

/// What `verify` found, as a page: whether they are equal, and where not.
class VerifyPage {
public:
    /// Keeps references.
    VerifyPage(const VerifyReport& report, const std::array<Side, 2>& sides) : report_(report), sides_(sides) {
        for (const Difference& difference : report.differences) ++counts_[static_cast<std::size_t>(difference.kind)];
    }

    void write(Page& page) const {
        page.begin(title(), "verify");
        write_sides(page);
        write_verdict(page);
        page.end_header();
        write_kinds(page);
        write_list(page, DifferenceKind::header, "fields", "Header fields that differ", "Field");
        write_list(page, DifferenceKind::beside, "beside", "Beside the weights", "What");
        write_tensors(page);
        page.list("notices", "To know", report_.notices);
        page.end("Compared bit for bit by");
    }

private:
    std::uint64_t count(DifferenceKind kind) const { return counts_[static_cast<std::size_t>(kind)]; }

    std::string title() const {
        const auto name = [](const Side& side) {
            const auto path = crossdock::detail::resolved(side.path).filename().string();
            return path.empty() ? side.path : path;
        };
        return to_text(name(sides_[0]), " and ", name(sides_[1]));
    }

    void write_sides(Page& page) const {
        page << "<table class=\"sides\"><caption class=\"unseen\">What was compared</caption><tbody>\n";
        for (std::size_t i = 0; i < sides_.size(); ++i)
            page << "<tr><th scope=\"row\">" << (i == 0 ? "A" : "B") << "</th><td><span class=\"path\">"
                 << escaped(sides_[i].path) << "</span></td><td>" << escaped(sides_[i].what) << "</td></tr>\n";
        page << "</tbody></table>\n";
    }

    void write_verdict(Page& page) const {
        const std::size_t differences = report_.differences.size();
        page << "<p class=\"verdict " << (report_.equal() ? "good\">✓ Equal" : "bad\">✗ ");
        if (!report_.equal()) page << count_text(differences) << (differences == 1 ? " difference" : " differences");
        page << "</p>\n";
        std::vector<Fact> facts{{"Tensors", count_text(report_.tensors), "compared"},
                                {"Size", bytes_text(report_.bytes), to_text("in ", fixed(report_.seconds, 2), " s")}};
        if (report_.header_fields > 0)
            facts.push_back({"Header fields", count_text(report_.header_fields), "that both state"});
        if (report_.beside > 0)
            facts.push_back({"Beside the weights", count_text(report_.beside), "files and ids that both have"});
        write_facts(page, facts);
    }

    /// How many tensors are alike, and how many differ in which way.
    void write_kinds(Page& page) const {
        const std::uint64_t differing =
            count(DifferenceKind::elements) + count(DifferenceKind::shape) + count(DifferenceKind::type);
        std::vector<Part> parts;
        const auto add = [&](std::string name, std::uint64_t size) {
            parts.push_back({std::move(name), size, count_text(size)});
        };
        add("alike", report_.tensors - std::min(report_.tensors, differing));
        add("other elements", count(DifferenceKind::elements));
        add("another shape", count(DifferenceKind::shape));
        add("another type", count(DifferenceKind::type));
        add("missing on one side, or whole layers", count(DifferenceKind::missing));
        page.begin_section("kinds", "What was found");
        page << "<div class=\"alike\">";
        draw_shares(page, "Tensors", parts);
        page << "<table class=\"narrow\"><thead><tr><th scope=\"col\">Tensors</th><th scope=\"col\" "
                "class=\"count\">How many</th></tr></thead><tbody>\n";
        for (std::size_t i = 0; i < parts.size(); ++i)
            page << "<tr><th scope=\"row\">" << key(i) << parts[i].name << "</th><td class=\"count\">" << parts[i].text
                 << "</td></tr>\n";
        page << "</tbody></table>\n<p class=\"soft\">" << count_text(count(DifferenceKind::header)) << " "
             << cli::detail::in_words(DifferenceKind::header, count(DifferenceKind::header) == 1) << ", "
             << count_text(count(DifferenceKind::beside)) << " "
             << cli::detail::in_words(DifferenceKind::beside, count(DifferenceKind::beside) == 1) << ".</p></div>\n";
        page.end_section();
    }

    void write_list(Page& page, DifferenceKind kind, std::string_view id, std::string_view title,
                    std::string_view of) const {
        if (count(kind) == 0) return;
        page.begin_section(id, title);
        page << "<table><thead><tr><th scope=\"col\">" << of << "</th><th scope=\"col\">Difference</th></tr></thead>"
             << "<tbody>\n";
        for (const Difference& difference : report_.differences) {
            if (difference.kind != kind) continue;
            std::string_view place = difference.place;
            place.remove_prefix(std::min(place.find(" / ") + 3, place.size()));  // "header / ", which the title says
            page << "<tr><th scope=\"row\" class=\"text\">" << escaped(place) << "</th><td>"
                 << escaped(as_typed(difference.text)) << "</td></tr>\n";
        }
        page << "</tbody></table>\n";
        page.end_section();
    }

    void write_tensors(Page& page) const {
        if (count(DifferenceKind::header) + count(DifferenceKind::beside) == report_.differences.size()) return;
        write_searchable(page, "Tensors that differ");
        DataTable table(page, "differences", "Differences",
                        {{"Tensor", "text"}, {"Kind", "word"}, {"Elements", "count"}, {"Difference", "text"}});
        for (const Difference& difference : report_.differences)
            if (difference.kind != DifferenceKind::header && difference.kind != DifferenceKind::beside)
                table.add(
                    {difference.place, enum_name(difference.kind), difference.elements, as_typed(difference.text)});
        table.end();
    }

    const VerifyReport& report_;
    const std::array<Side, 2>& sides_;
    std::array<std::uint64_t, enum_names<DifferenceKind>.size()> counts_{};
};

}  // namespace crossdock::cli::html
