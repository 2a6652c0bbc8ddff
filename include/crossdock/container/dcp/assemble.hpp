// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <utility>
#include <vector>

#include "crossdock/core/axes.hpp"
#include "crossdock/core/error.hpp"
#include "crossdock/core/recipe.hpp"
#include "crossdock/core/text.hpp"

namespace crossdock::dcp {

/// A box of a tensor, and where in the tensor its first element lies.
struct Piece {
    Axes offsets;
    Tensor tensor;
};

namespace detail {

using Pieces = std::vector<Piece>;

inline std::uint64_t begin_of(const Piece& piece, std::size_t axis) { return piece.offsets[axis]; }
inline std::uint64_t end_of(const Piece& piece, std::size_t axis) {
    return piece.offsets[axis] + piece.tensor.shape()[axis];
}

/// The pieces, parted wherever a straight cut across `axis` goes through none of them.
inline std::vector<Pieces> part(Pieces& pieces, std::size_t axis) {
    std::sort(pieces.begin(), pieces.end(),
              [axis](const Piece& a, const Piece& b) { return begin_of(a, axis) < begin_of(b, axis); });
    std::vector<std::size_t> cuts{0};
    std::uint64_t end = 0;
    for (std::size_t index = 0; index < pieces.size(); ++index) {
        if (index > 0 && begin_of(pieces[index], axis) >= end) cuts.push_back(index);
        end = std::max(end, end_of(pieces[index], axis));
    }
    if (cuts.size() == 1) return {};
    cuts.push_back(pieces.size());
    std::vector<Pieces> parts;
    for (std::size_t cut = 0; cut + 1 < cuts.size(); ++cut) {
        const auto at = [&](std::size_t index) {
            return std::make_move_iterator(pieces.begin() + static_cast<std::ptrdiff_t>(index));
        };
        parts.emplace_back(at(cuts[cut]), at(cuts[cut + 1]));
    }
    return parts;
}

/// Where pieces that no straight cut parts are cut themselves: an axis, and a position about in their middle.
inline std::pair<std::size_t, std::uint64_t> forced_cut(const Pieces& pieces) {
    for (std::size_t axis = 0; axis < pieces.front().offsets.size(); ++axis) {
        std::vector<std::uint64_t> begins;
        for (const Piece& piece : pieces) begins.push_back(begin_of(piece, axis));
        std::sort(begins.begin(), begins.end());
        if (begins.front() == begins.back()) continue;
        const auto inner = std::upper_bound(begins.begin(), begins.end(), begins.front());
        return {axis, std::max(*inner, begins[begins.size() / 2])};
    }
    throw Error("its chunks overlap");
}

/// The pieces before and after a cut; those that lie across it are parted.
inline std::vector<Pieces> cut_through(const Pieces& pieces, std::size_t axis, std::uint64_t at) {
    std::vector<Pieces> halves(2);
    for (const Piece& piece : pieces) {
        const std::uint64_t begin = begin_of(piece, axis), end = end_of(piece, axis);
        if (begin < at) halves[0].push_back({piece.offsets, slice(piece.tensor, axis, 0, std::min(end, at) - begin)});
        if (end > at) {
            const std::uint64_t skipped = std::max(begin, at) - begin;
            Piece rest{piece.offsets, slice(piece.tensor, axis, skipped, end - begin)};
            rest.offsets[axis] += skipped;
            halves[1].push_back(std::move(rest));
        }
    }
    return halves;
}

inline Tensor assemble(Pieces pieces, std::size_t depth);

inline Tensor join(std::vector<Pieces> parts, std::size_t axis, std::size_t depth) {
    std::vector<Tensor> tensors;
    tensors.reserve(parts.size());
    for (Pieces& pieces : parts) tensors.push_back(assemble(std::move(pieces), depth));
    return concatenate(tensors, axis);
}

inline Tensor assemble(Pieces pieces, std::size_t depth) {
    // Grids need a level for each axis; a cut through pieces may double them, so few of these are made.
    constexpr std::size_t deepest = 16, levels_of_forced_cut = 4;
    if (pieces.size() == 1) return pieces.front().tensor;
    if (depth >= deepest) throw Error("its chunks lie in one another as no grid of ranks leaves them");
    for (std::size_t axis = 0; axis < pieces.front().offsets.size(); ++axis)
        if (auto parts = part(pieces, axis); !parts.empty()) return join(std::move(parts), axis, depth + 1);
    const auto [axis, at] = forced_cut(pieces);
    return join(cut_through(pieces, axis, at), axis, depth + levels_of_forced_cut);
}

}  // namespace detail

/// The tensor that the pieces tile. Cuts across axis 0 come first, so that a part of that axis needs only its own
/// pieces. Throws Error where the pieces lie in one another too deeply to be put together by cuts.
inline Tensor assemble(std::vector<Piece> pieces) { return detail::assemble(std::move(pieces), 0); }

}  // namespace crossdock::dcp
