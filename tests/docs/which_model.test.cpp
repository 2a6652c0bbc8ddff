// SPDX-License-Identifier: Apache-2.0
// docs/which-model-which-plugin.md names each model type that is read, and the plugin that reads it.
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "crossdock/family/families.hpp"
#include "crossdock/plugin/family/entry_points.hpp"
#include "support/catch.hpp"

namespace {

/// What stands between backquotes.
std::vector<std::string> quoted(const std::string& text) {
    std::vector<std::string> words;
    for (std::size_t begin = text.find('`'); begin != std::string::npos;) {
        const std::size_t end = text.find('`', begin + 1);
        if (end == std::string::npos) break;
        words.push_back(text.substr(begin + 1, end - begin - 1));
        begin = text.find('`', end + 1);
    }
    return words;
}

/// The cells of a table's line: "| a | b |" → {"", " a ", " b ", …}.
std::vector<std::string> cells(const std::string& line) {
    std::vector<std::string> found(1);
    for (const char c : line)
        if (c == '|')
            found.emplace_back();
        else
            found.back() += c;
    return found;
}

using Plugins = std::map<std::string, std::string>;  // model_type → plugin

/// The page's first table: model, model_type, plugin, what is special.
Plugins plugins_of_page() {
    std::ifstream page(std::filesystem::path(CROSSDOCK_SOURCE_DIR) / "docs/which-model-which-plugin.md");
    Plugins plugins;
    for (std::string line; std::getline(page, line);) {
        const std::vector<std::string> row = cells(line);
        if (row.size() != 6 || quoted(row[3]).size() != 1) continue;
        for (const std::string& type : quoted(row[2])) plugins[type] = quoted(row[3])[0];
    }
    return plugins;
}

}  // namespace

TEST_CASE("the page of models names every model type and its plugin", "[docs]") {
    Plugins plugins;
    for (const crossdock::Family* family : crossdock::builtin_families())
        for (const std::string& type : crossdock::detail::family_hub_types(*family))
            plugins[type] = crossdock::detail::family_name(*family);
    CHECK(plugins_of_page() == plugins);
}
