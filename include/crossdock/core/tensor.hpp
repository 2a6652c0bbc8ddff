// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "crossdock/core/checked.hpp"
#include "crossdock/core/dtype.hpp"
#include "crossdock/core/error.hpp"
#include "crossdock/core/read_plan.hpp"
#include "crossdock/core/shape.hpp"
#include "crossdock/core/source.hpp"
#include "crossdock/core/text.hpp"
#include "crossdock/core/transpose_block.hpp"

namespace crossdock {

/// How a tensor's elements come from sources: a node of a tree that is never changed once it is built, and so can be
/// used from several threads at once. recipe.hpp has the operations that build such trees.
class Recipe {
public:
    virtual ~Recipe() = default;

    /// Adds to `plan` what puts the elements [begin, begin + count), in C order, at `out`. The caller has checked that
    /// the tensor has them. Reads nothing itself.
    virtual void plan(std::uint64_t begin, std::uint64_t count, std::byte* out, ReadPlan& plan) const = 0;

    /// Pieces of equal size at equal distances.
    struct Pieces {
        std::uint64_t begin, count;  ///< elements, of the first one
        std::uint64_t step;          ///< from one to the next: elements here
        std::size_t out_step;        ///< and bytes where they go
        std::uint64_t number;
    };

    /// Adds what plan() adds for each of them: for those who can say it at once.
    virtual void plan_pieces(const Pieces& pieces, std::byte* out, ReadPlan& plan) const {
        for (std::uint64_t i = 0; i < pieces.number; ++i)
            this->plan(pieces.begin + i * pieces.step, pieces.count, out + i * pieces.out_step, plan);
    }

    /// A matrix whose rows are `columns` elements long and lie `step` elements apart, the first from `begin` on.
    struct Matrix {
        std::uint64_t begin;
        std::uint64_t rows, columns, step;
        std::size_t item;           ///< bytes of an element
        std::size_t out_row_bytes;  ///< from one column to the next where it is written, as a row
    };

    /// Adds what puts a matrix there transposed. Read as it is and then turned in memory, by those who cannot say it in
    /// reads.
    virtual void plan_transposed(const Matrix& matrix, std::byte* out, ReadPlan& plan) const {
        const std::size_t row_bytes = matrix.columns * matrix.item;
        std::byte* const rows = plan.scratch(matrix.rows * row_bytes);
        this->plan_pieces({matrix.begin, matrix.columns, matrix.step, row_bytes, matrix.rows}, rows, plan);
        plan.then([=] {
            detail::transpose_block(matrix.item, {rows, row_bytes, matrix.rows, matrix.columns}, out,
                                    matrix.out_row_bytes);
        });
    }

    /// How many bytes plan() puts at `out` for each element; 0 when that is left to the tensor's type.
    virtual std::size_t item() const noexcept { return 0; }
};

/// A tensor that says where its bytes are instead of holding them: dtype, shape, and a recipe over regions of sources.
/// It is cheap to copy and shares ownership of its sources: files stay open and memory stays alive as long as it lives.
/// Its values are read when it is evaluated, block by block, by whoever writes it. It never changes, so several threads
/// may evaluate it at once. Bytes are little-endian, elements in C order (the last axis varies fastest).
class Tensor {
public:
    Tensor() = default;
    /// Without a recipe it is a tensor without content: good for computing shapes, not for being evaluated. Throws
    /// Error when there is no such type, when the recipe makes elements of another size, or when the number of bytes
    /// does not fit in 64 bits.
    Tensor(DType dtype, Shape shape, std::shared_ptr<const Recipe> recipe)
        : shape_(std::move(shape)),
          dtype_(dtype),
          recipe_(std::move(recipe)) {
        if (static_cast<std::size_t>(dtype) >= dtype_infos.size())
            throw Error(to_text("there is no element type number ", static_cast<std::size_t>(dtype)));
        if (recipe_ && recipe_->item() != 0 && recipe_->item() != item_size(dtype_))
            throw Error(
                to_text("a recipe of elements of ", recipe_->item(), " bytes makes no tensor of ", dtype_name(dtype_)));
        checked_multiply(element_count(), item_size(dtype_), "tensor bytes");
    }

    DType dtype() const noexcept { return dtype_; }
    const Shape& shape() const noexcept { return shape_; }
    std::uint64_t element_count() const noexcept { return shape_.element_count(); }
    std::uint64_t byte_count() const noexcept { return element_count() * item_size(dtype_); }
    const std::shared_ptr<const Recipe>& recipe() const noexcept { return recipe_; }
    /// Whether it can be evaluated.
    bool has_content() const noexcept { return recipe_ || element_count() == 0; }

    /// Adds to `plan` what puts the elements [begin, begin + count) at `out`. Throws Error when the tensor does not
    /// have them, or has no content.
    void plan(std::uint64_t begin, std::uint64_t count, std::byte* out, ReadPlan& plan) const {
        if (begin > element_count() || count > element_count() - begin)
            throw Error(to_text("a tensor ", shape_, " does not have ", count, " elements from ", begin, " on"));
        if (!has_content()) throw Error(to_text("a tensor ", shape_, " without content cannot be evaluated"));
        if (count > 0) recipe_->plan(begin, count, out, plan);
    }

    /// Puts the elements from `begin` on into `out`, as many as fit there, on the calling thread. `out` needs no
    /// alignment. Throws Error when the tensor does not have them, or when a source cannot be read.
    void evaluate(std::uint64_t begin, std::span<std::byte> out) const {
        ReadPlan reads;
        plan(begin, out.size() / item_size(dtype_), out.data(), reads);
        reads.execute();
    }

    /// All bytes, which is for small tensors and for tests; write_blocks.hpp goes through large ones. Throws Error when
    /// a source cannot be read.
    std::vector<std::byte> bytes() const {
        std::vector<std::byte> out(byte_count());
        evaluate(0, out);
        return out;
    }

private:
    [[no_unique_address]] Shape shape_{0};  // whose last word has room for the type: there may be a million tensors
    DType dtype_ = DType::f32;
    std::shared_ptr<const Recipe> recipe_;
};

}  // namespace crossdock
