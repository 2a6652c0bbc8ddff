// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>

#include "crossdock/core/float_formats.hpp"
#include "crossdock/core/recipe_nodes.hpp"
#include "crossdock/core/tensor.hpp"

namespace crossdock {

/// Rows and columns of a matrix that share a scale.
struct BlockSize {
    std::uint64_t rows = 0, columns = 0;

    bool operator==(const BlockSize&) const = default;
};

namespace detail {

/// Where the blocks of a matrix lie, which may be a part of a larger one and begin in the middle of a block: `skipped`
/// are the rows and columns of its first block that it does not have.
struct BlockGrid {
    std::uint64_t width;    ///< elements of a row of the matrix
    std::uint64_t columns;  ///< blocks of a row of blocks
    BlockSize block, skipped;

    std::uint64_t block_row(std::uint64_t row) const { return (row + skipped.rows) / block.rows; }
};

/// The blocks of an f8_e4m3 matrix times the scale that each has, as f32.
class ScaledBlocks final : public Recipe {
public:
    /// `scales` are f32, one for each block that `codes` touches.
    ScaledBlocks(Tensor codes, Tensor scales, BlockSize block, BlockSize skipped)
        : codes_(std::move(codes)),
          scales_(std::move(scales)),
          grid_{codes_.shape()[1], scales_.shape()[1], block, skipped} {}

    const Tensor& codes() const noexcept { return codes_; }
    const Tensor& scales() const noexcept { return scales_; }
    const BlockGrid& grid() const noexcept { return grid_; }

    std::size_t item() const noexcept override { return sizeof(float); }

    void plan(std::uint64_t begin, std::uint64_t count, std::byte* out, ReadPlan& plan) const override {
        const std::uint64_t first = grid_.block_row(begin / grid_.width);
        const std::uint64_t end = grid_.block_row((begin + count - 1) / grid_.width) + 1;
        const std::uint64_t scale_count = (end - first) * grid_.columns;
        std::byte* const codes = plan.scratch(count);
        std::byte* const scales = plan.scratch(scale_count * sizeof(float));
        codes_.plan(begin, count, codes, plan);
        scales_.plan(first * grid_.columns, scale_count, scales, plan);
        plan.then([=, grid = grid_] {
            const std::byte* code = codes;
            std::byte* to = out;
            for_each_row(begin, count, grid.width, [&](std::uint64_t row, std::uint64_t column, std::uint64_t part) {
                const std::uint64_t scale = (grid.block_row(row) - first) * grid.columns;
                scale_row(grid, code, scales + scale * sizeof(float), column, part, to);
                code += part;
                to += part * sizeof(float);
            });
        });
    }

private:
    /// `count` elements of a row from `column` on, block by block; `scales` are those of the row's blocks.
    static void scale_row(const BlockGrid& grid, const std::byte* codes, const std::byte* scales, std::uint64_t column,
                          std::uint64_t count, std::byte* out) {
        for_each_row(column + grid.skipped.columns, count, grid.block.columns,
                     [&](std::uint64_t block, std::uint64_t, std::uint64_t part) {
                         float scale = 0;
                         std::memcpy(&scale, scales + block * sizeof(float), sizeof(float));
                         for (const std::byte* const end = codes + part; codes != end; ++codes, out += sizeof(float)) {
                             const float value = f8_e4m3_to_f32(std::to_integer<std::uint8_t>(*codes)) * scale;
                             std::memcpy(out, &value, sizeof(float));
                         }
                     });
    }

    Tensor codes_, scales_;
    BlockGrid grid_;
};

}  // namespace detail

}  // namespace crossdock
