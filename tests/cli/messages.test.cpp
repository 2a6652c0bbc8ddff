// SPDX-License-Identifier: Apache-2.0
#include "crossdock/cli/messages.hpp"

#include <string>

#include "support/catch.hpp"

using crossdock::cli::one_line;

TEST_CASE("a line holds nothing that a terminal obeys", "[cli]") {
    CHECK(one_line("héllo – 世界 🙂") == "héllo – 世界 🙂");
    CHECK(one_line("a\nb\tc\x1b[31md\x7f") == "a b c [31md ");
    CHECK(one_line("\u0085 \u009b31m") == "   31m");
    CHECK(one_line("txt.\u202eexe\u2066\u2069\u200f\u061c\u2028") == "txt. exe     ");
    CHECK(one_line(std::string("\0", 1)) == " ");
    CHECK(one_line("\U000E0041") == " ");
}

TEST_CASE("bytes that are no UTF-8 reach no terminal", "[cli]") {
    CHECK(one_line("\x9b\x33\x31m") == "?31m");
    CHECK(one_line("\xc3") == "?");
    CHECK(one_line("\xc3z") == "?z");
    CHECK(one_line("\xc0\x9b") == "??");
    CHECK(one_line("\xe0\x82\x9b") == "???");
    CHECK(one_line("\xed\xa0\x80") == "???");
    CHECK(one_line("\xf4\x90\x80\x80") == "????");
    CHECK(one_line("\xff\xfe") == "??");
}
