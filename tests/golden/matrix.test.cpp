// SPDX-License-Identifier: Apache-2.0
// Makes docs/formats/matrix.md: what every golden checkpoint becomes in every format, as found by doing it.
#include <cstdlib>
#include <fstream>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "crossdock/pipeline/convert.hpp"
#include "crossdock/pipeline/verify.hpp"
#include "golden/golden_cases.hpp"
#include "support/catch.hpp"
#include "support/temporary_directory.hpp"

using namespace crossdock;
using namespace crossdock::test;

namespace {

/// A column of the table: a saver and what it is told.
struct Column {
    std::string title, saver;
    OptionValues options;
    std::string golden_kind;  ///< the golden folders of this format
    std::string loader() const { return saver; }
};

const std::vector<Column> columns{{"megatron llm", "megatron", {{"dialect", "llm"}}, "megatron-llm"},
                                  {"megatron lm", "megatron", {{"dialect", "lm"}}, "megatron-lm"},
                                  {"mcore torch", "mcore", {{"ckpt_format", "torch"}}, "megatron-core"},
                                  {"mcore torch_dist", "mcore", {{"ckpt_format", "torch_dist"}}, "megatron-dist"},
                                  {"llama", "llama", {}, "hf"},
                                  {"llama original", "llama", {{"layout", "original"}}, "meta"},
                                  {"mistral", "mistral", {}, "hf"},
                                  {"mistral original", "mistral", {{"layout", "original"}}, "meta"},
                                  {"gemma", "gemma", {}, "hf"},
                                  {"qwen", "qwen", {}, "hf"},
                                  {"deepseek", "deepseek", {}, "hf"},
                                  {"glm", "glm", {}, "hf"},
                                  {"falcon", "falcon", {}, "hf"},
                                  {"gpt2", "gpt2", {}, "hf"},
                                  {"bert", "bert", {}, "hf"}};

/// A row: golden weights, and how they are read.
struct Source {
    std::string place, loader;
    OptionValues options;
};

std::vector<Source> sources() {
    std::vector<Source> all;
    for (const auto& path : golden_folders("hf")) {
        const std::string base = path.filename().string();
        const bool is_named = golden_family(base) != base || base == "gpt2" || base == "bert";
        if (is_named && base.find("-bin") == std::string::npos)
            all.push_back({"hf/" + base, golden_family(base), {{"load_dir", path.string()}}});
    }
    for (const char* place : {"megatron-lm/gpt", "megatron-lm/bert"})
        all.push_back(
            {place, "megatron", {{"load_dir", (golden_root() / place).string()}, {"true_vocab_size", "500"}}});
    return all;
}

void convert_to(AnyLoader& loader, const std::string& saver, OptionValues options,
                const std::filesystem::path& target) {
    options["save_dir"] = target.string();
    convert(loader, *make_saver(saver, options));
}

/// Padding does not come back from a format that has none, so Megatron's own models compare without it.
void check_same_model(const Source& source, const std::filesystem::path& back) {
    const auto there = make_loader(source.loader, source.options);
    const auto here = make_loader(source.loader, {{"load_dir", back.string()}});
    std::vector<std::string> lines;
    for (const Difference& difference : verify(*there, *here).differences)
        lines.push_back(difference.place + ": " + difference.text);
    CHECK(lines == std::vector<std::string>{});
}

/// Goes to the column's format and back to the row's: "round trip", or the reason why the format refuses the model.
std::string try_pair(const Source& source, const Column& column) {
    TemporaryDirectory scratch;
    const auto loader = make_loader(source.loader, source.options);
    OptionValues there = column.options;
    if (column.saver == "megatron" || column.saver == "mcore") there["make_vocab_size_divisible_by"] = "128";
    try {
        convert_to(*loader, column.saver, there, scratch / "there");
    } catch (const Error& error) {
        const std::string reason = error.what();
        const std::size_t begin = reason.find("the model has "), end = reason.find(", which");
        REQUIRE(begin == 0);
        REQUIRE(end != std::string::npos);
        return "no: " + reason.substr(14, end - 14);
    }
    const auto back = make_loader(column.loader(), {{"load_dir", (scratch / "there").string()}});
    OptionValues home;
    if (source.loader == "megatron") home = {{"dialect", "lm"}};
    convert_to(*back, source.loader, home, scratch / "back");
    INFO(source.place << " -> " << column.title << " -> back");
    if (source.loader == "megatron")
        check_same_model(source, scratch / "back");
    else
        CHECK(differences(source.options.at("load_dir"), scratch / "back") == std::vector<std::string>{});
    return "[round trip](../../tests/golden/matrix.test.cpp)";
}

/// The pairs of weights and format that golden.test.cpp compares with the real tool's file.
std::set<std::pair<std::string, std::string>> golden_pairs() {
    std::set<std::pair<std::string, std::string>> pairs;
    const GoldenCases cases;
    for (const GoldenCase& test : cases.all()) {
        const std::string from = test.name.substr(0, test.name.find(" -> "));
        pairs.emplace(from, test.expected.parent_path().filename().string() + "/" + test.saver);
    }
    return pairs;
}

std::string make_table() {
    const auto golden = golden_pairs();
    std::string table = "| weights |", rule = "|---|";
    for (const Column& column : columns) table += " " + column.title + " |", rule += "---|";
    table += "\n" + rule + "\n";
    for (const Source& source : sources()) {
        table += "| " + source.place + " |";
        for (const Column& column : columns) {
            const std::string cell = try_pair(source, column);
            const bool is_golden = golden.contains({source.place, column.golden_kind + "/" + column.saver});
            table += " " + (is_golden ? "[golden](../../tests/golden/golden.test.cpp)" : cell) + " |";
        }
        table += "\n";
    }
    return table;
}

}  // namespace

TEST_CASE("docs/formats/matrix.md says what every golden checkpoint becomes in every format", "[golden][matrix]") {
    const std::filesystem::path file = std::filesystem::path(CROSSDOCK_SOURCE_DIR) / "docs/formats/matrix.md";
    const std::string content =
        "# What converts to what\n\n"
        "Made by `tests/golden/matrix.test.cpp`, which does what it claims and fails when this page is another; run "
        "it\n"
        "with `CROSSDOCK_UPDATE_MATRIX=1` to write the page anew.\n\n"
        "*golden*: equals, bit for bit, what the real tools wrote from the same weights, in every parallel size that "
        "we\n"
        "have of them, in both directions. *round trip*: no tool's file is at hand; there and back changes no bit. "
        "*no*:\n"
        "refused before anything is written, for the reason given. Every loader reads what its saver writes.\n\n" +
        make_table();
    if (std::getenv("CROSSDOCK_UPDATE_MATRIX")) std::ofstream(file) << content;
    CHECK(read_file(file) == content);
}
