// SPDX-License-Identifier: Apache-2.0
#include "crossdock/core/text.hpp"

#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "support/catch.hpp"

using namespace crossdock;

namespace {
const std::vector<std::string> families{"falcon", "gemma", "llama", "megatron", "mistral"};
}

TEST_CASE("text puts strings, characters and decimal numbers behind one another", "[core][text]") {
    CHECK(to_text() == "");
    CHECK(to_text("layer ", 7, '/', std::string("mlp"), std::string_view(".w"), -1) == "layer 7/mlp.w-1");
    CHECK(to_text(std::uint8_t{65}, ' ', std::uint64_t{18446744073709551615U}) == "65 18446744073709551615");
}

TEST_CASE("joined puts separators between names only", "[core][text]") {
    CHECK(joined_list(std::vector<std::string>{}) == "");
    CHECK(joined_list(std::vector<std::string>{"a"}) == "a");
    CHECK(joined_list(std::set<std::string_view>{"a", "b", "c"}) == "a, b, c");
    CHECK(joined_list(std::vector<std::string>{"a", "b"}, " and ") == "a and b");
}

TEST_CASE("edit distance counts insertions, removals and replacements", "[core][text]") {
    CHECK(edit_distance("", "") == 0);
    CHECK(edit_distance("", "abc") == 3);
    CHECK(edit_distance("abc", "") == 3);
    CHECK(edit_distance("llama", "lama") == 1);
    CHECK(edit_distance("kitten", "sitting") == 3);
    CHECK(edit_distance("sitting", "kitten") == 3);
}

TEST_CASE("the nearest name is offered only when it is near", "[core][text]") {
    CHECK(nearest_name("lama", families) == "llama");
    CHECK(nearest_name("Megatron", families) == "megatron");
    CHECK(nearest_name("safetensors", families) == "");
    CHECK(nearest_name("llama", {}) == "");
}

TEST_CASE("an error about a name ends with the names that are known", "[core][text]") {
    CHECK(known_names("lama", families) == "; did you mean 'llama'? Known: falcon, gemma, llama, megatron, mistral");
    CHECK(known_names("safetensors", families) == "; Known: falcon, gemma, llama, megatron, mistral");
}
