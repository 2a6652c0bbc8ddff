// SPDX-License-Identifier: Apache-2.0
#include "crossdock/core/shape.hpp"

#include <cstdint>
#include <utility>
#include <vector>

#include "support/catch.hpp"

using crossdock::Shape;
using crossdock::to_string;

TEST_CASE("a shape counts its elements", "[core][shape]") {
    CHECK(Shape{}.element_count() == 1);
    CHECK(Shape{}.rank() == 0);
    CHECK(Shape{7}.element_count() == 7);
    CHECK(Shape{2, 3, 4}.element_count() == 24);
    CHECK(Shape(std::vector<std::uint64_t>{5, 6}).element_count() == 30);
    CHECK(Shape{2, 0, 4}.element_count() == 0);
}

TEST_CASE("a shape knows what lies in front of an axis and behind it", "[core][shape]") {
    const Shape shape{2, 3, 4};
    CHECK(shape.outer(0) == 1);
    CHECK(shape.inner(0) == 12);
    CHECK(shape.outer(1) == 2);
    CHECK(shape.inner(1) == 4);
    CHECK(shape.outer(2) == 6);
    CHECK(shape.inner(2) == 1);
    CHECK(Shape{0, 3}.outer(1) == 0);
    CHECK(Shape{0, 3}.inner(0) == 3);
}

TEST_CASE("a shape with one extent replaced counts anew", "[core][shape]") {
    const Shape shape{2, 3};
    CHECK(shape.with(1, 5) == Shape{2, 5});
    CHECK(shape.with(1, 5).element_count() == 10);
    CHECK(shape.with(0, 0).element_count() == 0);
    CHECK(shape.with(0, 0).with(0, 2) == shape);
    CHECK(shape.with(0, 0).with(0, 2).element_count() == 6);
    CHECK(shape == Shape{2, 3});
}

TEST_CASE("shapes are equal when all extents are", "[core][shape]") {
    CHECK(Shape{6} != Shape{2, 3});
    CHECK(Shape{2, 3} != Shape{3, 2});
    CHECK(Shape{} != Shape{1});
    CHECK(Shape{0, 1} != Shape{0, 2});
}

TEST_CASE("a shape that 64 bits cannot count is refused, an empty one as well", "[core][shape]") {
    const std::uint64_t half = std::uint64_t{1} << 63;
    CHECK(Shape{half, 1}.element_count() == half);
    CHECK_THROWS_WITH((Shape{half, 2}), "shape: 9223372036854775808 × 2 overflows 64 bits");
    CHECK_THROWS_WITH((Shape{half, 0, 4}), "shape: 9223372036854775808 × 4 overflows 64 bits");
    CHECK_THROWS_WITH((Shape{1, 2}.with(0, half)), "shape: 9223372036854775808 × 2 overflows 64 bits");
}

TEST_CASE("a shape is written in brackets", "[core][shape]") {
    CHECK(to_string(Shape{4096, 11008}) == "[4096, 11008]");
    CHECK(to_string(Shape{}) == "[]");
    CHECK(to_text("shape ", Shape{3}, "!") == "shape [3]!");
}

TEST_CASE("shapes of few and of many axes are copied, moved and assigned", "[core][shape]") {
    for (const Shape& shape : {Shape{}, Shape{2}, Shape{2, 3, 4}, Shape{2, 3, 4, 5}, Shape{1, 2, 3, 4, 5, 6}}) {
        Shape copy = shape;
        CHECK(copy == shape);
        CHECK(copy.element_count() == shape.element_count());
        Shape moved = std::move(copy);
        CHECK(moved == shape);
        for (const Shape& other : {Shape{7}, Shape{7, 8, 9, 10}}) {
            moved = other;
            CHECK(moved == other);
            moved = shape;
            CHECK(moved == shape);
        }
    }
    CHECK(Shape{2, 3, 4, 5}.with(3, 1) == Shape{2, 3, 4, 1});
    CHECK(Shape{2, 3, 4, 5}.swapped(2) == Shape{2, 3, 5, 4});
}
