// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "crossdock/cli/html/page.hpp"
#include "crossdock/cli/html/text.hpp"
#include "crossdock/container/json.hpp"
#include "crossdock/core/text.hpp"

namespace crossdock::cli::html {

/// A column of a table, and how the page's script shows it: "text"; "word" or "path", a text that comes again and again
/// and is kept once; "bytes" or "count", where nothing is shown for none; "number".
struct Column {
    std::string_view title, kind;
};

/// A table of many lines, one of those that the reader chooses from: data in the page, of which the script shows what is
/// searched for. A line is written when it comes, so that none of them is kept.
///
///     <script type="application/json" class="rows">
///     {"view": "stored", "label": "In the files", "columns": [["Name", "text"], ["Type", "word"], …],
///      "rows": [["model.norm.weight", 0, …], …], "words": [[], ["bf16"], …]}</script>
class DataTable {
public:
    DataTable(Page& page, std::string_view view, std::string_view label, std::vector<Column> columns)
        : page_(page),
          columns_(std::move(columns)),
          words_(columns_.size()) {
        page_ << "<script type=\"application/json\" class=\"rows\">{\"view\":" << script_text(view)
              << ",\"label\":" << script_text(label) << ",\"columns\":[";
        for (std::size_t i = 0; i < columns_.size(); ++i)
            page_ << (i > 0 ? ",[" : "[") << script_text(columns_[i].title) << "," << script_text(columns_[i].kind)
                  << "]";
        page_ << "],\"rows\":[";
    }

    using Cell = std::variant<std::string_view, std::uint64_t, std::optional<double>>;

    /// As many cells as there are columns.
    void add(std::initializer_list<Cell> cells) {
        page_ << (is_empty_ ? "\n[" : ",\n[");
        is_empty_ = false;
        std::size_t column = 0;
        for (const Cell& cell : cells) {
            if (column > 0) page_ << ",";
            page_ << text_of(cell, column++);
        }
        page_ << "]";
    }

    void end() {
        page_ << "],\n\"words\":[";
        for (std::size_t i = 0; i < words_.size(); ++i) {
            std::vector<std::string_view> list(words_[i].size());
            for (const auto& [word, number] : words_[i]) list[number] = word;
            page_ << (i > 0 ? ",[" : "[");
            for (std::size_t number = 0; number < list.size(); ++number)
                page_ << (number > 0 ? "," : "") << script_text(list[number]);
            page_ << "]";
        }
        page_ << "]}</script>\n";
    }

private:
    std::string text_of(const Cell& cell, std::size_t column) {
        if (const auto* count = std::get_if<std::uint64_t>(&cell)) return to_text(*count);
        if (const auto* number = std::get_if<std::optional<double>>(&cell))
            return *number ? Json(**number).dump() : "null";
        const auto text = std::get<std::string_view>(cell);
        if (columns_[column].kind == "text") return script_text(text);
        auto& words = words_[column];
        auto found = words.find(text);
        if (found == words.end()) found = words.emplace(text, words.size()).first;
        return to_text(found->second);
    }

    Page& page_;
    std::vector<Column> columns_;
    std::vector<std::map<std::string, std::size_t, std::less<>>> words_;  // of each column, and their numbers
    bool is_empty_ = true;
};

/// Where the script shows the tables: a box to search in, and the lines that are found.
inline void write_searchable(Page& page, std::string_view title) {
    page.begin_section("tensors", title);
    page << "<div class=\"controls\" id=\"controls\" hidden>\n"
            "<fieldset id=\"views\"><legend class=\"unseen\">Which tensors</legend></fieldset>\n"
            "<label class=\"search\"><span class=\"unseen\">Search</span><input id=\"search\" type=\"search\" "
            "placeholder=\"Search: words of a name, type, shape, file…\" autocomplete=\"off\" spellcheck=\"false\" "
            "aria-controls=\"table\"></label>\n</div>\n"
            "<p id=\"status\" role=\"status\"></p>\n"
            "<div class=\"scroll\" role=\"region\" aria-labelledby=\"tensors-title\" tabindex=\"0\">"
            "<table id=\"table\"><thead><tr id=\"columns\"></tr></thead><tbody id=\"rows\"></tbody></table></div>\n"
            "<button id=\"more\" type=\"button\" hidden></button>\n"
            "<noscript><p>This table is shown by the page's script, which this browser does not run.</p></noscript>\n";
    page.end_section();
}

}  // namespace crossdock::cli::html
