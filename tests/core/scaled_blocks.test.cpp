// SPDX-License-Identifier: Apache-2.0
#include "crossdock/core/scaled_blocks.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

#include "crossdock/core/cast_elements.hpp"
#include "crossdock/core/dtype.hpp"
#include "crossdock/core/from_memory.hpp"
#include "crossdock/core/recipe.hpp"
#include "support/catch.hpp"

using namespace crossdock;

namespace {

using Floats = std::vector<float>;

Floats floats(const Tensor& tensor) {
    const auto bytes = tensor.bytes();
    Floats out(bytes.size() / sizeof(float));
    if (!out.empty()) std::memcpy(out.data(), bytes.data(), bytes.size());
    return out;
}

/// A matrix of f8_e4m3 without NaNs, its scales, and what the two make.
struct Blocks {
    Blocks(std::uint64_t row_count, std::uint64_t column_count, BlockSize block)
        : rows(row_count),
          columns(column_count) {
        const std::uint64_t down = (rows + block.rows - 1) / block.rows,
                            across = (columns + block.columns - 1) / block.columns;
        std::vector<std::uint8_t> bits(rows * columns);
        Floats factors(down * across);
        for (std::uint64_t i = 0; i < bits.size(); ++i) bits[i] = static_cast<std::uint8_t>(i * 37 % 127 + i % 2 * 128);
        for (std::uint64_t i = 0; i < factors.size(); ++i) factors[i] = 0.001F * static_cast<float>(i * i + 3);
        for (std::uint64_t row = 0; row < rows; ++row)
            for (std::uint64_t column = 0; column < columns; ++column)
                whole.push_back(f8_e4m3_to_f32(bits[row * columns + column]) *
                                factors[row / block.rows * across + column / block.columns]);
        tensor = scale_blocks(from_vector(bits, {rows, columns}, DType::f8_e4m3), from_vector(factors, {down, across}),
                              block);
    }

    Floats part(std::uint64_t row, std::uint64_t row_end, std::uint64_t column, std::uint64_t column_end) const {
        Floats out;
        for (std::uint64_t r = row; r < row_end; ++r)
            for (std::uint64_t c = column; c < column_end; ++c) out.push_back(whole[r * columns + c]);
        return out;
    }

    std::uint64_t rows, columns;
    Floats whole{};
    Tensor tensor{};
};

Tensor blank(DType dtype, Shape shape) { return {dtype, std::move(shape), nullptr}; }

}  // namespace

TEST_CASE("an 8-bit float has the value that its bits say", "[core][casts]") {
    for (int bits = 0; bits < 256; ++bits) {
        const int exponent = bits >> 3 & 15, mantissa = bits & 7;
        const double size = exponent == 0 ? std::ldexp(mantissa, -9) : std::ldexp(8 + mantissa, exponent - 10);
        const float found = f8_e4m3_to_f32(static_cast<std::uint8_t>(bits));
        INFO(bits);
        CHECK(std::signbit(found) == (bits >= 128));
        if ((bits & 127) == 127)
            CHECK(std::isnan(found));
        else
            CHECK(std::abs(found) == static_cast<float>(size));
    }
    CHECK(f8_e4m3_to_f32(0x7E) == 448.0F);  // torch.finfo(torch.float8_e4m3fn).max
    CHECK(f8_e4m3_to_f32(0x08) == 0.015625F);
    CHECK(f8_e4m3_to_f32(0xB8) == -1.0F);
}

TEST_CASE("each element of a block has the block's scale, also in the smaller blocks at the end", "[core][recipe]") {
    for (const BlockSize block :
         {BlockSize{2, 3}, BlockSize{1, 1}, BlockSize{5, 7}, BlockSize{1, 64}, BlockSize{64, 1}}) {
        const Blocks blocks(7, 11, block);
        INFO(block.rows << " × " << block.columns);
        CHECK(blocks.tensor.dtype() == DType::f32);
        CHECK(floats(blocks.tensor) == blocks.whole);
        Floats pieces(blocks.whole.size());  // whatever the bands are
        for (std::uint64_t begin = 0; begin < pieces.size(); begin += 5)
            blocks.tensor.evaluate(begin, std::as_writable_bytes(std::span(pieces).subspan(
                                              begin, std::min<std::uint64_t>(5, pieces.size() - begin))));
        CHECK(pieces == blocks.whole);
    }
}

TEST_CASE("a part of a matrix of blocks may begin in the middle of one, and be cut again", "[core][recipe]") {
    const Blocks blocks(9, 14, {2, 3});
    const Tensor rows = slice(blocks.tensor, 0, 3, 8), middle = slice(rows, 1, 4, 13);
    CHECK(floats(rows) == blocks.part(3, 8, 0, 14));
    CHECK(floats(middle) == blocks.part(3, 8, 4, 13));
    CHECK(floats(slice(slice(middle, 0, 1, 4), 1, 1, 2)) == blocks.part(4, 7, 5, 6));
    CHECK(floats(transpose(slice(transpose(blocks.tensor), 0, 5, 9))) == blocks.part(0, 9, 5, 9));
    CHECK(slice(middle, 0, 2, 2).bytes().empty());
    const Tensor stacked = concatenate(std::vector{reshape(rows, {1, 5, 14}), reshape(rows, {1, 5, 14})}, 0);
    CHECK(floats(reshape(slice(slice(stacked, 0, 1, 2), 2, 4, 13), {5, 9})) == blocks.part(3, 8, 4, 13));
    CHECK(floats(reshape(slice(slice(stacked, 2, 4, 13), 0, 1, 2), {5, 9})) == blocks.part(3, 8, 4, 13));
}

TEST_CASE("products are the same however many elements share a scale, and cast as any f32", "[core][recipe]") {
    for (const BlockSize block : {BlockSize{16, 16}, BlockSize{15, 17}, BlockSize{128, 128}, BlockSize{3, 5}}) {
        const Blocks blocks(70, 75, block);
        INFO(block.rows << " × " << block.columns);
        CHECK(floats(blocks.tensor) == blocks.whole);
        CHECK(floats(slice(slice(blocks.tensor, 0, 7, 61), 1, 9, 70)) == blocks.part(7, 61, 9, 70));
        for (const DType to : {DType::bf16, DType::f16, DType::f64}) {
            const Tensor cast_before = cast(blocks.tensor, to);
            std::vector<std::byte> expected(blocks.whole.size() * item_size(to)), pieces(expected.size());
            cast_elements(DType::f32, std::as_bytes(std::span(blocks.whole)).data(), to, expected.data(),
                          blocks.whole.size());
            INFO(dtype_name(to));
            CHECK(cast_before.bytes() == expected);
            for (std::uint64_t begin = 0; begin < blocks.whole.size(); begin += 777)
                cast_before.evaluate(
                    begin, std::span(pieces)
                               .subspan(begin * item_size(to))
                               .first(std::min<std::uint64_t>(777, blocks.whole.size() - begin) * item_size(to)));
            CHECK(pieces == expected);
            CHECK(slice(cast_before, 1, 9, 70).bytes() == cast(slice(blocks.tensor, 1, 9, 70), to).bytes());
        }
    }
}

TEST_CASE("scales that are not one for each block are refused", "[core][recipe]") {
    const Tensor codes = blank(DType::f8_e4m3, {5, 7});
    CHECK(scale_blocks(codes, blank(DType::bf16, {3, 3}), {2, 3}).shape() == Shape{5, 7});
    CHECK_THROWS_WITH(scale_blocks(codes, blank(DType::f32, {3, 2}), {2, 3}),
                      "a tensor [5, 7] in blocks of 2 × 3 has scales [3, 2], expected [3, 3]");
    CHECK_THROWS_WITH(scale_blocks(codes, blank(DType::f32, {}), {2, 3}),
                      "a tensor [5, 7] in blocks of 2 × 3 has scales [], expected [3, 3]");
    CHECK_THROWS_WITH(scale_blocks(codes, blank(DType::f32, {5, 7}), {0, 3}), "blocks of 0 × 3 elements hold none");
    CHECK_THROWS_WITH(scale_blocks(blank(DType::f32, {5, 7}), blank(DType::f32, {3, 3}), {2, 3}),
                      "a tensor [5, 7] of f32 has no blocks with scales; only matrices of f8_e4m3 have");
    CHECK_THROWS_WITH(scale_blocks(blank(DType::f8_e4m3, {2, 5, 7}), blank(DType::f32, {3, 3}), {2, 3}),
                      "a tensor [2, 5, 7] of f8_e4m3 has no blocks with scales; only matrices of f8_e4m3 have");
    const std::vector<std::uint8_t> one(1);
    CHECK_THROWS_WITH(scale_blocks(from_vector(one, {1, 1}, DType::f8_e4m3), from_vector(one, {1, 1}), {2, 3}),
                      "a tensor of u8 cannot be cast to f32; only f64, f32, f16 and bf16 are cast");
}
