// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "crossdock/cli/html/page_file.hpp"
#include "crossdock/cli/html/script.hpp"
#include "crossdock/cli/html/script_hash.hpp"
#include "crossdock/cli/html/style.hpp"
#include "crossdock/cli/html/text.hpp"
#include "crossdock/cli/messages.hpp"
#include "crossdock/core/text.hpp"
#include "crossdock/version.hpp"

namespace crossdock::cli::html {

/// One page that needs nothing but itself: no network, no other file. Its content security policy allows its own style
/// and its own script, each by its hash, and nothing else, so that even what was not escaped would not run.
///
///     Page page("model.html");
///     page.begin("Llama", "inspect");
///     page << "<p>" << escaped(name) << "</p>";
///     page.end("…");
class Page {
public:
    /// Throws Error where the file cannot be made.
    explicit Page(const std::filesystem::path& file) : file_(file) {}

    Page& operator<<(std::string_view html) {
        file_.add(html);
        return *this;
    }

    void begin(std::string_view title, std::string_view command) {
        *this << "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
                 "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; script-src "
              << allowed_by_hash(page_script) << "; style-src " << allowed_by_hash(page_style)
              << "; base-uri 'none'; form-action 'none'\">\n"
                 "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
                 "<meta name=\"color-scheme\" content=\"light dark\">\n<title>"
              << escaped(title) << " – crossdock " << command << "</title>\n<style>" << page_style
              << "</style>\n</head>\n<body>\n<header class=\"page\">\n<p class=\"kicker\">crossdock " << command
              << "</p>\n<h1>" << escaped(title) << "</h1>\n";
    }
    /// After what stands beside the title.
    void end_header() { *this << "</header>\n<main>\n"; }

    /// Puts the page in its place.
    void end(std::string_view remark) {
        *this << "</main>\n<footer>" << escaped(remark) << " crossdock " << library_version << ".</footer>\n<script>"
              << page_script << "</script>\n</body>\n</html>\n";
        file_.commit();
    }

    void begin_section(std::string_view id, std::string_view title) {
        *this << "<section aria-labelledby=\"" << id << "-title\">\n<h2 id=\"" << id << "-title\">" << title
              << "</h2>\n";
    }
    void end_section() { *this << "</section>\n"; }

    /// Things to know, where there are any.
    void list(std::string_view id, std::string_view title, const std::vector<std::string>& lines) {
        if (lines.empty()) return;
        begin_section(id, title);
        *this << "<ul class=\"notices\">\n";
        for (const std::string& line : lines) *this << "<li>" << escaped(as_typed(line)) << "</li>\n";
        *this << "</ul>\n";
        end_section();
    }

private:
    PageFile file_;
};

/// A fact under the title: a name, what it is, and a small line below it.
struct Fact {
    std::string_view name;
    std::string value, more{};
};

inline void write_facts(Page& page, const std::vector<Fact>& facts) {
    page << "<dl class=\"facts\">\n";
    for (const Fact& fact : facts) {
        page << "<div><dt>" << fact.name << "</dt><dd>" << escaped(fact.value);
        if (!fact.more.empty()) page << "<small>" << escaped(fact.more) << "</small>";
        page << "</dd></div>\n";
    }
    page << "</dl>\n";
}

}  // namespace crossdock::cli::html
