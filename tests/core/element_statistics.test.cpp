// SPDX-License-Identifier: Apache-2.0
#include "crossdock/core/element_statistics.hpp"

#include <cmath>
#include <cstddef>
#include <limits>
#include <span>
#include <vector>

#include "crossdock/core/exact_sum.hpp"
#include "support/catch.hpp"

using namespace crossdock;

namespace {

template <class T>
Statistics of(DType dtype, const std::vector<T>& values) {
    ElementStatistics found;
    found.add(dtype, std::as_bytes(std::span(values)));
    return found.result();
}

}  // namespace

TEST_CASE("a sum loses nothing on the way, whatever its order", "[core][statistics]") {
    ExactSum sum;
    const unsigned one = 1074;  // the position of 2^0
    sum.add(1, one + 900);
    sum.add(1, 0);
    sum.add(-1, one + 900);
    CHECK(sum.value() == std::numeric_limits<double>::denorm_min());
    sum.add(-3, 0);
    CHECK(sum.value() == -2 * std::numeric_limits<double>::denorm_min());
    ExactSum other;
    other.add(1, one);
    other.add(sum);
    CHECK(other.value() == 1.0);  // 1 - 2^-1073 is nearest to it
    for (int i = 0; i < 3; ++i) other.add(std::int64_t{1} << 52, one + 971);
    CHECK(std::isinf(other.value()));
    CHECK(ExactSum().value() == 0.0);
}

TEST_CASE("a sum is rounded once, to even in the middle", "[core][statistics]") {
    const auto rounded = [](std::int64_t high, unsigned shift, std::int64_t low) {
        ExactSum sum;
        sum.add(high, 1000 + shift);
        sum.add(low, 1000);
        return std::ldexp(sum.value(), 1074 - 1000);
    };
    const double unit = std::ldexp(1.0, 53);
    CHECK(rounded(1, 53, 1) == unit);                                  // 2^53 + 1: the middle, to even
    CHECK(rounded(1, 53, 3) == unit + 4);                              // the middle, to even
    CHECK(rounded(1, 53, 2) == unit + 2);                              // not the middle
    CHECK(rounded(-1, 53, -1) == -unit);                               // of either sign
    CHECK(rounded(1, 153, 1) == std::ldexp(1.0, 153));                 // far below
    CHECK(rounded((1LL << 53) + 1, 9, 1) == std::ldexp(unit + 2, 9));  // just beyond the middle
}

TEST_CASE("statistics do not depend on blocks", "[core][statistics]") {
    std::vector<float> values;
    for (int i = 0; i < 5000; ++i) values.push_back(static_cast<float>(std::sin(i) * std::pow(10, i % 60 - 30)));
    const Statistics whole = of(DType::f32, values);
    for (const std::size_t block : {1U, 7U, 4096U}) {
        ElementStatistics parts;
        for (std::size_t end = values.size(); end > 0;) {  // from behind
            const std::size_t begin = end > block ? end - block : 0;
            ElementStatistics part;
            part.add(DType::f32, std::as_bytes(std::span(values).subspan(begin, end - begin)));
            parts.add(part);
            end = begin;
        }
        CHECK(parts.count() == values.size());
        CHECK(parts.result().min == whole.min);
        CHECK(parts.result().max == whole.max);
        CHECK(parts.result().mean == whole.mean);
    }
}

TEST_CASE("NaNs and infinities are counted and hide nothing", "[core][statistics]") {
    const double nan = std::nan(""), infinity = std::numeric_limits<double>::infinity();
    const Statistics found = of<double>(DType::f64, {nan, -4.0, infinity, 1.0, -nan, -infinity, -infinity});
    CHECK(found.nans == 2);
    CHECK(found.infinities == 3);
    CHECK(found.min == -4.0);
    CHECK(found.max == 1.0);
    CHECK(found.mean == -1.5);
    const Statistics none = of<double>(DType::f64, {nan, infinity});
    CHECK_FALSE(none.min);
    CHECK_FALSE(none.max);
    CHECK_FALSE(none.mean);
    for (const auto& zeros : {std::vector<float>{0.0F, -0.0F}, std::vector<float>{-0.0F, 0.0F}}) {
        CHECK(std::signbit(of(DType::f32, zeros).min.value()));
        CHECK_FALSE(std::signbit(of(DType::f32, zeros).max.value()));
    }
}

TEST_CASE("whole numbers and truth values have statistics", "[core][statistics]") {
    CHECK(of<std::int64_t>(DType::i64, {-(1LL << 53), 3}).min == -9007199254740992.0);
    CHECK(of<std::int32_t>(DType::i32, {2147483647, -2147483647 - 1}).mean == -0.5);
    CHECK(of<std::int8_t>(DType::i8, {-128, 127}).min == -128.0);
    CHECK(of<std::uint8_t>(DType::u8, {255, 0}).max == 255.0);
    CHECK(of<std::uint8_t>(DType::boolean, {1, 0, 0, 1}).mean == 0.5);
    CHECK(of<std::uint8_t>(DType::f8_e4m3, {0x7E, 0x08, 0x7F}).max == 448.0);  // and NaN
    CHECK(of<std::uint8_t>(DType::f8_e5m2, {0x7B, 0x7C}).max == 57344.0);      // and infinity
}
