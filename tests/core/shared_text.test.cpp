// SPDX-License-Identifier: Apache-2.0
#include "crossdock/core/shared_text.hpp"

#include <sstream>
#include <string>

#include "crossdock/core/text.hpp"
#include "support/catch.hpp"

using namespace crossdock;

TEST_CASE("a shared text is the same text in all its copies", "[core][shared_text]") {
    const SharedText text(std::string("a path that is too long to lie in the string itself"));
    const SharedText copy = text;
    CHECK(&copy.str() == &text.str());
    CHECK(copy == "a path that is too long to lie in the string itself");
    std::ostringstream out;
    out << copy;
    CHECK(out.str() == text.str());
    CHECK(copy == SharedText("a path that is too long to lie in the string itself"));
    CHECK_FALSE(copy == SharedText("another"));
    CHECK(to_text(copy, '!') == copy.str() + "!");
    CHECK(SharedText().str().empty());
}
