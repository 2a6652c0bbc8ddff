// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>

namespace crossdock::detail {

/// A part of a matrix in memory: the bytes from one row's first element to the next one's, and how many rows and
/// columns there are.
struct MatrixPart {
    const std::byte* data;
    std::uint64_t row_bytes;
    std::uint64_t rows, columns;
};

/// Sixteen bytes as unsigned integers, which compilers keep in one register of any processor that has such.
template <std::size_t item>
struct Lanes;
template <>
struct Lanes<1> {
    using Vector = std::uint8_t __attribute__((vector_size(16)));
};
template <>
struct Lanes<2> {
    using Vector = std::uint16_t __attribute__((vector_size(16)));
};
template <>
struct Lanes<4> {
    using Vector = std::uint32_t __attribute__((vector_size(16)));
};
template <>
struct Lanes<8> {
    using Vector = std::uint64_t __attribute__((vector_size(16)));
};

/// A square of elements, a row in each register, is turned by registers being interleaved: a perfect shuffle of all its
/// elements moves an element's position (row, column) one bit to the left, so log2(side) of them exchange the two.
/// Unrolled, or GCC keeps the rows in memory at -O2, which takes three times as long.
template <std::size_t item>
struct Square {
    static constexpr std::size_t side = 16 / item;
    using Vector = typename Lanes<item>::Vector;

    static void transpose(const std::byte* in, std::uint64_t in_row_bytes, std::byte* out,
                          std::uint64_t out_row_bytes) {
        std::array<Vector, side> rows, shuffled;
#pragma GCC unroll 16
        for (std::size_t i = 0; i < side; ++i) std::memcpy(&rows[i], in + i * in_row_bytes, sizeof(Vector));
#pragma GCC unroll 4
        for (std::size_t round = 1; round < side; round *= 2) {
#pragma GCC unroll 8
            for (std::size_t i = 0; i < side / 2; ++i)
                interleave(rows[i], rows[i + side / 2], shuffled[2 * i], shuffled[2 * i + 1],
                           std::make_index_sequence<side>());
            rows = shuffled;
        }
#pragma GCC unroll 16
        for (std::size_t i = 0; i < side; ++i) std::memcpy(out + i * out_row_bytes, &rows[i], sizeof(Vector));
    }

private:
    template <std::size_t... i>
    static void interleave(Vector a, Vector b, Vector& low, Vector& high, std::index_sequence<i...>) {
        low = __builtin_shufflevector(a, b, (i / 2 + i % 2 * side)...);
        high = __builtin_shufflevector(a, b, (side / 2 + i / 2 + i % 2 * side)...);
    }
};

/// Elements one by one: what is left at the edges of squares.
template <std::size_t item>
void transpose_edge(const MatrixPart& in, std::byte* out, std::uint64_t out_row_bytes) {
    for (std::uint64_t column = 0; column < in.columns; ++column)
        for (std::uint64_t row = 0; row < in.rows; ++row)
            std::memcpy(out + column * out_row_bytes + row * item, in.data + row * in.row_bytes + column * item, item);
}

/// A part so small that all the cache lines it touches, of both matrices, stay in the first-level cache.
template <std::size_t item>
void transpose_tile(const MatrixPart& in, std::byte* out, std::uint64_t out_row_bytes) {
    constexpr std::uint64_t side = Square<item>::side;
    const std::uint64_t rows = in.rows / side * side, columns = in.columns / side * side;
    // Row after row of `out`: where its rows lie a power of two apart, few of its lines fit into the cache at once.
    for (std::uint64_t column = 0; column < columns; column += side)
        for (std::uint64_t row = 0; row < rows; row += side)
            Square<item>::transpose(in.data + row * in.row_bytes + column * item, in.row_bytes,
                                    out + column * out_row_bytes + row * item, out_row_bytes);
    transpose_edge<item>({in.data + rows * in.row_bytes, in.row_bytes, in.rows - rows, in.columns}, out + rows * item,
                         out_row_bytes);
    transpose_edge<item>({in.data + columns * item, in.row_bytes, rows, in.columns - columns},
                         out + columns * out_row_bytes, out_row_bytes);
}

/// Writes the columns of `in` as the rows of `out`, whose rows begin `out_row_bytes` apart. Works through tiles whose
/// rows and columns are two cache lines long: element by element, each write would fetch a line of its own.
template <std::size_t item>
void transpose_block(const MatrixPart& in, std::byte* out, std::uint64_t out_row_bytes) {
    constexpr std::uint64_t side = 128 / item;
    for (std::uint64_t row = 0; row < in.rows; row += side)
        for (std::uint64_t column = 0; column < in.columns; column += side)
            transpose_tile<item>({in.data + row * in.row_bytes + column * item, in.row_bytes,
                                  std::min(side, in.rows - row), std::min(side, in.columns - column)},
                                 out + column * out_row_bytes + row * item, out_row_bytes);
}

/// The same, of elements of 1, 2, 4 or 8 bytes.
inline void transpose_block(std::size_t item, const MatrixPart& in, std::byte* out, std::uint64_t out_row_bytes) {
    switch (item) {
        case 1: return transpose_block<1>(in, out, out_row_bytes);
        case 2: return transpose_block<2>(in, out, out_row_bytes);
        case 4: return transpose_block<4>(in, out, out_row_bytes);
        default: return transpose_block<8>(in, out, out_row_bytes);
    }
}

}  // namespace crossdock::detail
