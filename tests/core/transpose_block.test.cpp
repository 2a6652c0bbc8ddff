// SPDX-License-Identifier: Apache-2.0
#include "crossdock/core/transpose_block.hpp"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <vector>

#include "crossdock/core/read_plan.hpp"
#include "crossdock/core/recipe.hpp"
#include "crossdock/core/tensor.hpp"
#include "crossdock/core/text.hpp"
#include "support/catch.hpp"

using namespace crossdock;
using crossdock::detail::MatrixPart;
using crossdock::detail::transpose_block;

namespace {

using Bytes = std::vector<std::byte>;

/// Bytes that hardly repeat, so that an element in a wrong place is noticed.
Bytes pattern(std::size_t count) {
    Bytes out(count);
    std::uint32_t state = 1;
    for (std::byte& byte : out) {
        state = state * 1664525U + 1013904223U;
        byte = static_cast<std::byte>(state >> 24);
    }
    return out;
}

/// The columns of a matrix of `columns` elements a row, one element after the other.
Bytes element_by_element(const Bytes& in, std::size_t rows, std::size_t columns, std::size_t item) {
    Bytes out(in.size());
    for (std::size_t row = 0; row < rows; ++row)
        for (std::size_t column = 0; column < columns; ++column)
            std::memcpy(&out[(column * rows + row) * item], &in[(row * columns + column) * item], item);
    return out;
}

/// Transposes inside larger matrices, each row followed by bytes that do not belong to it; whether the result is right
/// and those bytes are as they were.
template <std::size_t item>
bool transposes(std::size_t rows, std::size_t columns) {
    constexpr std::size_t beside = 3;  // not a multiple of anything, so that no row is aligned
    constexpr std::byte untouched{0x5A};
    const std::size_t in_row = columns * item + beside, out_row = rows * item + beside;
    const Bytes in = pattern(rows * in_row + 1);
    Bytes out(columns * out_row + 1, untouched);
    transpose_block<item>(MatrixPart{in.data(), in_row, rows, columns}, out.data(), out_row);
    Bytes expected(out.size(), untouched);
    for (std::size_t row = 0; row < rows; ++row)
        for (std::size_t column = 0; column < columns; ++column)
            std::memcpy(&expected[column * out_row + row * item], &in[row * in_row + column * item], item);
    return out == expected;
}

}  // namespace

TEMPLATE_TEST_CASE_SIG("a block of any size is transposed, and nothing beside it is written", "[core][transpose_block]",
                       ((std::size_t item), item), 1, 2, 4, 8) {
    constexpr std::size_t tile = 128 / item;
    for (const std::size_t rows : {std::size_t{0}, std::size_t{1}, 16 / item, 16 / item + 1, tile - 1, tile, tile + 7})
        for (const std::size_t columns :
             {std::size_t{0}, std::size_t{1}, 16 / item - 1, 16 / item, tile + 1, 2 * tile, 2 * tile + 16 / item}) {
            INFO(rows << " × " << columns);
            CHECK(transposes<item>(rows, columns));
        }
}

TEST_CASE("every range of a transposed tensor holds its own elements", "[core][transpose_block][recipe]") {
    const DType dtype = GENERATE(DType::u8, DType::bf16, DType::f32, DType::f64);
    constexpr std::size_t rows = 19, columns = 23, outer = 2;
    const std::size_t item = item_size(dtype), matrix = rows * columns;
    const auto owner = std::make_shared<const Bytes>(pattern(outer * matrix * item));
    const auto source = std::make_shared<MemorySource>(*owner, owner);
    const Tensor tensor = swap_axes(region(source, 0, dtype, {outer, rows, columns}), 1);
    Bytes whole;
    for (std::size_t i = 0; i < outer; ++i) {
        const auto begin = owner->begin() + static_cast<std::ptrdiff_t>(i * matrix * item);
        const Bytes part(begin, begin + static_cast<std::ptrdiff_t>(matrix * item));
        const Bytes turned = element_by_element(part, rows, columns, item);
        whole.insert(whole.end(), turned.begin(), turned.end());
    }
    std::size_t wrong = 0;
    for (std::size_t begin = 0; begin < outer * matrix; begin += 5)
        for (std::size_t count = 1; begin + count <= outer * matrix; count += 1 + count / 3) {
            Bytes got(count * item);
            tensor.evaluate(begin, got);
            wrong += std::memcmp(got.data(), &whole[begin * item], got.size()) != 0;
        }
    CHECK(wrong == 0);
}

namespace {

/// A matrix, and the columns of it that are transposed.
struct Sizes {
    std::size_t rows, columns, first, width;
};

/// Whether matrices of bf16, one after the other in memory, come out right of one plan.
bool transposes_together(const std::vector<Sizes>& matrices) {
    constexpr std::size_t item = 2;
    std::size_t bytes = 1;  // so that nothing is aligned
    for (const Sizes& matrix : matrices) bytes += matrix.rows * matrix.columns * item;
    const auto owner = std::make_shared<const Bytes>(pattern(bytes));
    const auto source = std::make_shared<MemorySource>(*owner, owner);
    ReadPlan plan;
    std::vector<Bytes> got, expected;
    got.reserve(matrices.size());
    std::size_t offset = 1;
    for (const Sizes& matrix : matrices) {
        const std::size_t row_bytes = matrix.columns * item;
        Bytes part;
        for (std::size_t row = 0; row < matrix.rows; ++row) {
            const auto begin =
                owner->begin() + static_cast<std::ptrdiff_t>(offset + row * row_bytes + matrix.first * item);
            part.insert(part.end(), begin, begin + static_cast<std::ptrdiff_t>(matrix.width * item));
        }
        expected.push_back(element_by_element(part, matrix.rows, matrix.width, item));
        const Tensor whole = region(source, offset, DType::bf16, {matrix.rows, matrix.columns});
        const Tensor turned = transpose(slice(whole, 1, matrix.first, matrix.first + matrix.width));
        got.emplace_back(turned.byte_count());
        turned.plan(0, turned.element_count(), got.back().data(), plan);
        offset += matrix.rows * row_bytes;
    }
    plan.execute();
    return got == expected;
}

}  // namespace

TEST_CASE("matrices larger than what is read at a time are transposed strip by strip", "[core][transpose_block]") {
    CHECK(transposes_together({{700, 900, 0, 900}}));
    CHECK(transposes_together({{700, 900, 3, 500}}));                                          // with what is between
    CHECK(transposes_together({{40, 9000, 11, 150}}));                                         // which is not worth it
    CHECK(transposes_together({{301, 777, 0, 777}, {500, 411, 0, 411}, {2, 100, 50, 30}}));    // rows are torn
    CHECK(transposes_together({{3, 1'300'000, 0, 1'300'000}, {2, 2'200'000, 1, 2'199'999}}));  // longer than a buffer
}

TEST_CASE("what is stacked or side by side is transposed as one", "[core][transpose_block][recipe]") {
    const auto owner = std::make_shared<const Bytes>(pattern(std::size_t{4} << 20));
    const auto source = std::make_shared<MemorySource>(*owner, owner);
    const auto matrix = [&](std::uint64_t offset, std::uint64_t rows, std::uint64_t columns) {
        return region(source, offset, DType::bf16, Shape{rows, columns});
    };
    // Twice the same parts, in two arrangements: as heads of query, key and value are.
    const std::vector<Tensor> stacked{matrix(0, 300, 500), matrix(900'000, 7, 500), matrix(500'001, 90, 500)};
    const std::vector<Tensor> beside{slice(matrix(0, 397, 900), 1, 5, 105), matrix(2'000'000, 397, 260)};
    for (const Tensor& whole : {concatenate(stacked, 0), concatenate(beside, 1),
                                concatenate(std::vector{concatenate(stacked, 0), matrix(1, 397, 30)}, 1)}) {
        INFO(to_text(whole.shape()));
        const std::size_t rows = whole.shape()[0], columns = whole.shape()[1];
        const Bytes expected = element_by_element(whole.bytes(), rows, columns, 2);
        CHECK(transpose(whole).bytes() == expected);
        const Tensor part = slice(transpose(whole), 0, 3, columns - 2);
        CHECK(part.bytes() == Bytes(expected.begin() + static_cast<std::ptrdiff_t>(3 * rows * 2),
                                    expected.end() - static_cast<std::ptrdiff_t>(2 * rows * 2)));
    }
}
