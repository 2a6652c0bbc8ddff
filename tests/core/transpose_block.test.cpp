// SPDX-License-Identifier: Apache-2.0
#include "crossdock/core/transpose_block.hpp"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <vector>

#include "crossdock/core/recipe.hpp"
#include "crossdock/core/tensor.hpp"
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
