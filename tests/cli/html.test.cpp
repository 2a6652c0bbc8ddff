// SPDX-License-Identifier: Apache-2.0
#include <cstddef>
#include <filesystem>
#include <iterator>
#include <string>
#include <vector>

#include "crossdock/cli/html/script_hash.hpp"
#include "crossdock/cli/html/text.hpp"
#include "support/catch.hpp"
#include "support/run_program.hpp"
#include "support/temporary_directory.hpp"

using Catch::Matchers::ContainsSubstring;
using crossdock::test::crossdock_program;
using crossdock::test::ProgramResult;
using crossdock::test::read_file;
using crossdock::test::write_file;
namespace html = crossdock::cli::html;

namespace {

const std::string ranks = CROSSDOCK_TEST_DATA "/megatron-llm/llama2-gqa-tp2pp2";
const std::string source = CROSSDOCK_TEST_DATA "/hf/llama2-gqa";

/// How many files and folders lie in a directory.
std::ptrdiff_t entries(const std::filesystem::path& directory) {
    return std::distance(std::filesystem::directory_iterator(directory), {});
}

}  // namespace

TEST_CASE("text in a page is text", "[cli]") {
    CHECK(html::escaped("<b title=\"x\" id='y'>&amp;") == "&lt;b title=&quot;x&quot; id=&#39;y&#39;&gt;&amp;amp;");
    CHECK(html::escaped("a\nb\x1b[1m\xe2\x80\xa8"
                        "c\xff") == "a b [1m c?");
}

TEST_CASE("text in a page's script ends neither the script nor a line", "[cli]") {
    CHECK(html::script_text("</script><!--&") == R"("\u003c/script\u003e\u003c!--\u0026")");
    CHECK(html::script_text("quote \" back\\slash \xe2\x80\xa9 \xc3\xa9 \xff\n") ==
          R"("quote \" back\\slash   \u00e9 ? ")");
}

TEST_CASE("numbers as people read them", "[cli]") {
    CHECK(html::count_text(0) == "0");
    CHECK(html::count_text(999) == "999");
    CHECK(html::count_text(1000) == "1,000");
    CHECK(html::count_text(1234567) == "1,234,567");
    CHECK(html::large_count_text(176704) == "176,704");
    CHECK(html::large_count_text(8030261248) == "8.03 billion");
    CHECK(html::large_count_text(999'700'000) == "1.00 billion");
    CHECK(html::percentage(1, 8) == "12.5 %");
    CHECK(html::percentage(1, 100'000) == "< 0.1 %");
    CHECK(html::percentage(5, 5) == "100 %");
    CHECK(html::percentage(0, 0) == "0 %");
}

TEST_CASE("a page's policy allows a text by its SHA-256", "[cli]") {
    // printf '%s' TEXT | openssl dgst -sha256 -binary | base64
    CHECK(html::allowed_by_hash("") == "'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='");
    CHECK(html::allowed_by_hash("abc") == "'sha256-ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0='");
    CHECK(html::allowed_by_hash(std::string(55, 'a')) == "'sha256-n0OQ+NMMLdkuyfCVtl4rmumwqSWlJY4kHJ8ekQ9zQxg='");
    CHECK(html::allowed_by_hash(std::string(56, 'a')) == "'sha256-s1Q5pKxvCUi21vnjxq8PX1kM4g8b3nCQ73lwaG7Gc4o='");
    CHECK(html::allowed_by_hash(std::string(1000, 'a')) == "'sha256-Qe3s5C1j6Nm/UVqbppMuHCDLyfWl0TRkWttdsblzfqM='");
}

TEST_CASE("inspect writes a page in place of its lists", "[cli]") {
    const crossdock::test::TemporaryDirectory directory;
    const auto page = directory / "model.html";
    write_file(page, "what was there");
    const ProgramResult result = crossdock_program({"inspect", ranks, "--html", page.string()});
    CHECK(result.exit_code == 0);
    CHECK(result.err.empty());
    CHECK_THAT(result.out, ContainsSubstring("  size       176704 parameters") && !ContainsSubstring("qkv weight"));
    const std::string text = read_file(page);
    CHECK(text.starts_with("<!DOCTYPE html>"));
    CHECK(text.ends_with("</html>\n"));
    CHECK_THAT(text, ContainsSubstring("[\"transformer layer 3 / qkv weight\",0,"));
    CHECK(entries(directory.path()) == 1);
    const ProgramResult both = crossdock_program({"inspect", ranks, "--json", "--html", page.string()});
    CHECK_THAT(both.out, ContainsSubstring("\"qkv weight\""));
    CHECK(read_file(page) == text);  // the same page for the same model
}

TEST_CASE("a page has the values of tensors that are asked for", "[cli]") {
    const crossdock::test::TemporaryDirectory directory;
    const auto page = directory / "model.html";
    CHECK(crossdock_program({"inspect", source, "--stats", "--tensors", "layer 1 / ", "--html", page.string()})
              .exit_code == 0);
    const std::string text = read_file(page);
    CHECK_THAT(text, ContainsSubstring("[\"Least\",\"number\"]"));
    CHECK_THAT(text, ContainsSubstring("[\"transformer layer 0 / qkv weight\",0,") &&
                         ContainsSubstring("12288,null,null,null,0,0]"));  // it was not read
    CHECK_THAT(text, !ContainsSubstring("alert\""));
    CHECK_THAT(crossdock_program({"inspect", source, "--parts", "--html", page.string()}).err,
               ContainsSubstring("--parts adds to the lists, which --html is in place of"));
}

TEST_CASE("verify writes a page whatever it finds", "[cli]") {
    const crossdock::test::TemporaryDirectory directory;
    const auto page = directory / "differences.html";
    const ProgramResult equal = crossdock_program({"verify", source, ranks, "--quiet", "--html", page.string()});
    CHECK(equal.exit_code == 0);
    CHECK_THAT(read_file(page), ContainsSubstring("Equal"));
    const std::string other = CROSSDOCK_TEST_DATA "/hf/mistral-gqa";
    const ProgramResult different = crossdock_program({"verify", source, other, "--html", page.string()});
    CHECK(different.exit_code == 1);
    CHECK_THAT(different.out, ContainsSubstring(" differences: "));
    CHECK_THAT(read_file(page), ContainsSubstring("transformer layer 0 / qkv weight"));
    CHECK(entries(directory.path()) == 1);
}

TEST_CASE("a page is there whole or not at all", "[cli]") {
    const crossdock::test::TemporaryDirectory directory;
    const auto page = directory / "page.html";
    write_file(page, "what was there");
    const ProgramResult failed =
        crossdock_program({"verify", ranks, CROSSDOCK_TEST_DATA "/torch", "--html", page.string()});
    CHECK(failed.exit_code == 2);
    CHECK(read_file(page) == "what was there");
    CHECK(entries(directory.path()) == 1);
    std::filesystem::create_directory(directory / "folder");
    for (const std::string command : {"inspect", "verify"}) {
        const auto refused = [&](const std::filesystem::path& place) {
            std::vector<std::string> words{command, ranks, "--html", place.string()};
            if (command == "verify") words.insert(words.begin() + 1, source);
            const ProgramResult result = crossdock_program(words);
            CHECK(result.exit_code == (command == "verify" ? 2 : 1));
            CHECK(result.out.empty());
            return result.err;
        };
        CHECK_THAT(refused(directory / "folder"),
                   ContainsSubstring("folder: is not a file, and nothing else is replaced"));
        CHECK_THAT(refused(directory / "none/"), ContainsSubstring("none/' is not the name of a file"));
        CHECK_THAT(refused(directory / "none" / "page.html"), ContainsSubstring("none: is not a directory"));
    }
    CHECK_THAT(crossdock_program({"inspect", source + "/model.safetensors", "--html", page.string()}).err,
               ContainsSubstring("--html is for a checkpoint, "));
}
