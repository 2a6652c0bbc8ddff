// SPDX-License-Identifier: Apache-2.0
#include "crossdock/core/dtype.hpp"

#include <cstddef>
#include <set>
#include <string_view>

#include "support/catch.hpp"

using namespace crossdock;

static_assert(item_size(DType::bf16) == 2 && item_size(DType::f64) == 8 && item_size(DType::boolean) == 1);
static_assert(parse_dtype("bf16") == DType::bf16);

TEST_CASE("every dtype finds its own line", "[core][dtype]") {
    for (std::size_t i = 0; i < dtype_infos.size(); ++i) CHECK(static_cast<std::size_t>(dtype_infos[i].dtype) == i);
}

TEST_CASE("every dtype is found by its short name and by PyTorch's", "[core][dtype]") {
    std::set<std::string_view> names;
    for (const DTypeInfo& line : dtype_infos) {
        CHECK(parse_dtype(line.name) == line.dtype);
        CHECK(parse_dtype(line.torch) == line.dtype);
        names.insert(line.name);
    }
    CHECK(names.size() == dtype_infos.size());
    CHECK(torch_name(DType::f8_e4m3) == "float8_e4m3fn");
}

TEST_CASE("a name that is no dtype's gives none", "[core][dtype]") {
    CHECK_FALSE(parse_dtype("").has_value());
    CHECK_FALSE(parse_dtype("BF16").has_value());
    CHECK_FALSE(parse_dtype("float").has_value());
}

TEST_CASE("only floats of 16 bits and more are cast", "[core][dtype]") {
    for (const DTypeInfo& line : dtype_infos)
        CHECK(is_castable(line.dtype) ==
              (line.name == "f64" || line.name == "f32" || line.name == "f16" || line.name == "bf16"));
}
