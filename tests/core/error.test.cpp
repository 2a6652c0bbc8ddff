// SPDX-License-Identifier: Apache-2.0
#include "crossdock/core/error.hpp"

#include <exception>
#include <stdexcept>
#include <string_view>
#include <type_traits>

#include "support/catch.hpp"

using namespace crossdock;

static_assert(std::is_base_of_v<std::exception, Error> && std::is_base_of_v<Error, UsageError>);
static_assert(std::is_base_of_v<Error, Cancelled>);

TEST_CASE("an error says the places it passed, the outermost first", "[core][error]") {
    Error error("has shape [2], expected [3]");
    error.within("tensor 'w'");
    error.within("model.safetensors");
    CHECK(std::string_view(error.what()) == "model.safetensors: tensor 'w': has shape [2], expected [3]");
}

TEST_CASE("within names the place of an error that leaves the work", "[core][error]") {
    CHECK_THROWS_WITH(in_context("outer", [] { in_context("inner", [] { throw Error("broken"); }); }),
                      "outer: inner: broken");
}

TEST_CASE("within keeps the kind of an error", "[core][error]") {
    CHECK_THROWS_AS(in_context("convert", [] { throw UsageError("no such option"); }), UsageError);
    CHECK_THROWS_AS(in_context("convert", [] { throw Cancelled(); }), Cancelled);
    CHECK_THROWS_WITH(in_context("convert", [] { throw UsageError("no such option"); }), "convert: no such option");
}

TEST_CASE("within leaves other exceptions alone", "[core][error]") {
    CHECK_THROWS_WITH(in_context("convert", [] { throw std::runtime_error("not ours"); }), "not ours");
}

TEST_CASE("within gives the work's result, references as references", "[core][error]") {
    int value = 1;
    in_context("here", [&]() -> int& { return value; }) = 5;
    CHECK(value == 5);
    CHECK(in_context("here", [] { return 7; }) == 7);
}
