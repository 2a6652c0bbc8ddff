// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <utility>

#include "crossdock/core/cast_elements.hpp"
#include "crossdock/core/dtype.hpp"
#include "crossdock/core/float_formats.hpp"
#include "crossdock/core/recipe_nodes.hpp"
#include "crossdock/core/row_nodes.hpp"
#include "crossdock/core/tensor.hpp"

namespace crossdock {

/// Rows and columns of a matrix that share a scale.
struct BlockSize {
    std::uint64_t rows = 0, columns = 0;

    bool operator==(const BlockSize&) const = default;
};

namespace detail {

/// What each code stands for: looking it up takes 0.25 ns, computing it 0.5 to 1.5.
inline constexpr std::array<float, 256> f8_e4m3_values = [] {
    std::array<float, 256> values{};
    for (std::size_t code = 0; code < values.size(); ++code)
        values[code] = f8_e4m3_to_f32(static_cast<std::uint8_t>(code));
    return values;
}();

/// Where the blocks of a matrix lie, which may be a part of a larger one and begin in the middle of a block: `skipped`
/// are the rows and columns of its first block that it does not have.
struct BlockGrid {
    std::uint64_t width;    ///< elements of a row of the matrix
    std::uint64_t columns;  ///< blocks of a row of blocks
    BlockSize block, skipped;

    std::uint64_t block_row(std::uint64_t row) const { return (row + skipped.rows) / block.rows; }
};

/// Elements [begin, begin + count) of the matrix, with the scales of the rows of blocks from `first_block_row` on.
struct ScaledPiece {
    const std::byte* codes;
    const std::byte* scales;
    std::uint64_t begin, count, first_block_row;
    std::byte* out;

    std::uint64_t end() const { return begin + count; }

    float scale(const BlockGrid& grid, std::uint64_t block_row, std::uint64_t block) const {
        float out_scale = 0;
        const std::uint64_t at = (block_row - first_block_row) * grid.columns + block;
        std::memcpy(&out_scale, scales + at * sizeof(float), sizeof(float));
        return out_scale;
    }
};

/// Turns the codes of one block into products of a type.
template <DType to>
class BlockScaler {
public:
    static constexpr std::size_t item = sizeof(FloatItem<to>);

    /// Where so many elements are scaled that it pays, all products are computed first, and then looked up.
    BlockScaler(float scale, std::uint64_t elements) : scale_(scale), has_products_(elements >= codes_) {
        if (!has_products_) return;
        float products[codes_];
        for (std::size_t code = 0; code < codes_; ++code) products[code] = f8_e4m3_values[code] * scale;
        cast_block<DType::f32, to>(products, products_);
    }

    void scale(const std::byte* codes, std::uint64_t count, std::byte* out) const {
        if (has_products_)
            each(codes, count, out, [this](std::size_t code) { return products_[code]; });
        else
            each(codes, count, out,
                 [this](std::size_t code) { return cast_one<DType::f32, to>(f8_e4m3_values[code] * scale_); });
    }

private:
    static constexpr std::size_t codes_ = 256;

    template <class Product>
    static void each(const std::byte* codes, std::uint64_t count, std::byte* out, Product&& product_of) {
        for (const std::byte* const end = codes + count; codes != end; ++codes, out += item) {
            const FloatItem<to> product = product_of(std::to_integer<std::size_t>(*codes));
            std::memcpy(out, &product, item);
        }
    }

    float scale_;
    bool has_products_;
    FloatItem<to> products_[codes_];
};

/// Scales block by block, each row by row.
template <DType to>
void scale_piece(const BlockGrid& grid, const ScaledPiece& piece) {
    const std::uint64_t rows_end = (piece.end() - 1) / grid.width + 1;
    for (std::uint64_t row = piece.begin / grid.width, next; row < rows_end; row = next) {
        const std::uint64_t block_row = grid.block_row(row);
        next = std::min((block_row + 1) * grid.block.rows - grid.skipped.rows, rows_end);
        for_each_row(grid.skipped.columns, grid.width, grid.block.columns,
                     [&, at = std::uint64_t{0}](std::uint64_t block, std::uint64_t, std::uint64_t columns) mutable {
                         const BlockScaler<to> scaler(piece.scale(grid, block_row, block), (next - row) * columns);
                         for (std::uint64_t r = row; r < next; ++r) {
                             const std::uint64_t from = std::max(r * grid.width + at, piece.begin) - piece.begin;
                             const std::uint64_t end = std::min(r * grid.width + at + columns, piece.end());
                             if (end > piece.begin + from)
                                 scaler.scale(piece.codes + from, end - piece.begin - from,
                                              piece.out + from * scaler.item);
                         }
                         at += columns;
                     });
    }
}

/// The blocks of an f8_e4m3 matrix times the scale that each has, as f32, and then perhaps cast.
class ScaledBlocks final : public Recipe {
public:
    /// `scales` are f32, one for each block that `codes` touches; `to` is castable.
    ScaledBlocks(Tensor codes, Tensor scales, BlockSize block, BlockSize skipped, DType to)
        : codes_(std::move(codes)),
          scales_(std::move(scales)),
          grid_{codes_.shape()[1], scales_.shape()[1], block, skipped},
          to_(to) {}

    const Tensor& codes() const noexcept { return codes_; }
    const Tensor& scales() const noexcept { return scales_; }
    const BlockGrid& grid() const noexcept { return grid_; }

    /// The same products, cast as soon as they are made.
    std::shared_ptr<const Recipe> cast_to(DType to) const {
        return std::make_shared<ScaledBlocks>(codes_, scales_, grid_.block, grid_.skipped, to);
    }

    std::size_t item() const noexcept override { return item_size(to_); }

    void plan(std::uint64_t begin, std::uint64_t count, std::byte* out, ReadPlan& plan) const override {
        if (count == 0) return;
        const std::uint64_t first = grid_.block_row(begin / grid_.width);
        const std::uint64_t end = grid_.block_row((begin + count - 1) / grid_.width) + 1;
        const std::uint64_t scale_count = (end - first) * grid_.columns;
        std::byte* const codes = plan.scratch(count);
        std::byte* const scales = plan.scratch(scale_count * sizeof(float));
        codes_.plan(begin, count, codes, plan);
        scales_.plan(first * grid_.columns, scale_count, scales, plan);
        plan.then([grid = grid_, piece = ScaledPiece{codes, scales, begin, count, first, out}, to = to_] {
            with_float_type(to, [&]<DType type>() { scale_piece<type>(grid, piece); });
        });
    }

private:
    Tensor codes_, scales_;
    BlockGrid grid_;
    DType to_;
};

}  // namespace detail

}  // namespace crossdock
