// SPDX-License-Identifier: Apache-2.0
#include "crossdock/container/dcp/assemble.hpp"

#include <cstdint>
#include <numeric>
#include <random>
#include <vector>

#include "crossdock/container/dcp/metadata.hpp"
#include "crossdock/container/dcp/tiling.hpp"
#include "crossdock/core/error.hpp"
#include "crossdock/layout/stack.hpp"
#include "support/catch.hpp"
#include "support/numbered_tensor.hpp"

using namespace crossdock;
using namespace crossdock::test;

namespace {

using Numbers = std::vector<std::uint64_t>;

struct Box {
    Numbers offsets, sizes;
};

/// A box of a numbered tensor as a tensor of its own, made of its elements.
Tensor cut_out(const Tensor& whole, const Box& box) {
    Tensor part = whole;
    for (std::size_t axis = 0; axis < box.offsets.size(); ++axis)
        part = slice(part, axis, box.offsets[axis], box.offsets[axis] + box.sizes[axis]);
    return int_tensor(Shape(box.sizes), elements(part));
}

Tensor put_together(const Tensor& whole, const std::vector<Box>& boxes) {
    std::vector<dcp::Piece> pieces;
    for (const Box& box : boxes) pieces.push_back({box.offsets, cut_out(whole, box)});
    return dcp::assemble(std::move(pieces));
}

bool tiles(const Shape& shape, const std::vector<Box>& boxes) {
    dcp::TensorItem item{"weight", DType::i32, shape, {}};
    for (const Box& box : boxes) item.chunks.push_back({box.offsets, Shape(box.sizes), {}});
    try {
        dcp::require_tiling(item);
    } catch (const Error&) {
        return false;
    }
    return true;
}

/// Whether each element is in exactly one box, by counting.
bool tiles_by_counting(const Shape& shape, const std::vector<Box>& boxes) {
    std::vector<int> count(shape.element_count());
    for (const Box& box : boxes)
        for (std::uint64_t i = 0; i < box.sizes[0]; ++i)
            for (std::uint64_t j = 0; j < box.sizes[1]; ++j)
                ++count[(box.offsets[0] + i) * shape[1] + box.offsets[1] + j];
    return count == std::vector<int>(count.size(), 1);
}

/// Cuts a box at random until it is small.
void cut_at_random(const Box& box, std::mt19937& random, std::vector<Box>& out) {
    std::vector<std::size_t> axes;
    for (std::size_t axis = 0; axis < box.sizes.size(); ++axis)
        if (box.sizes[axis] > 1) axes.push_back(axis);
    if (axes.empty() || random() % 4 == 0) return out.push_back(box);
    const std::size_t axis = axes[random() % axes.size()];
    const std::uint64_t at = 1 + random() % (box.sizes[axis] - 1);
    Box first = box, second = box;
    first.sizes[axis] = at;
    second.offsets[axis] += at;
    second.sizes[axis] -= at;
    cut_at_random(first, random, out);
    cut_at_random(second, random, out);
}

const std::vector<Box> pinwheel{
    {{0, 0}, {2, 3}}, {{0, 3}, {3, 2}}, {{3, 2}, {2, 3}}, {{2, 0}, {3, 2}}, {{2, 2}, {1, 1}}};

}  // namespace

TEST_CASE("assemble puts a tensor together from any grid, in any order", "[dcp][assemble]") {
    const Tensor whole = numbered({4, 6, 5});
    std::vector<Box> boxes;
    for (const std::uint64_t layer : Numbers{2, 0, 3, 1})
        for (const std::uint64_t row : Numbers{3, 0})
            for (const auto& [column, width] : {std::pair<std::uint64_t, std::uint64_t>{4, 1}, {0, 2}, {2, 2}})
                boxes.push_back({{layer, row, column}, {1, 3, width}});
    CHECK(tiles(whole.shape(), boxes));
    const Tensor made = put_together(whole, boxes);
    CHECK(made.shape() == whole.shape());
    CHECK(elements(made) == elements(whole));
    CHECK(elements(take_element(made, 2)) == elements(take_element(whole, 2)));
}

TEST_CASE("assemble cuts pieces that no straight cut parts", "[dcp][assemble]") {
    const Tensor whole = numbered({5, 5});
    CHECK(tiles(whole.shape(), pinwheel));
    CHECK(elements(put_together(whole, pinwheel)) == elements(whole));

    std::vector<Box> layers;
    for (std::uint64_t layer = 0; layer < 3; ++layer)
        for (const Box& box : pinwheel)
            layers.push_back({{layer, box.offsets[0], box.offsets[1]}, {1, box.sizes[0], box.sizes[1]}});
    const Tensor stacked = numbered({3, 5, 5});
    CHECK(elements(put_together(stacked, layers)) == elements(stacked));
}

TEST_CASE("assemble refuses pieces that lie in one another very deeply", "[dcp][assemble]") {
    // A row, then a column, then a row, … of what is left.
    std::vector<Box> boxes;
    for (std::uint64_t step = 0; step < 40; ++step)
        boxes.push_back(step % 2 ? Box{{step / 2 + 1, step / 2}, {40 - step / 2 - 1, 1}}
                                 : Box{{step / 2, step / 2}, {1, 40 - step / 2}});
    boxes.push_back({{20, 20}, {20, 20}});
    const Tensor whole = numbered({40, 40});
    CHECK(tiles(whole.shape(), boxes));
    CHECK_THROWS_WITH(put_together(whole, boxes), "its chunks lie in one another as no grid of ranks leaves them");
}

TEST_CASE("assemble undoes whatever cuts there were", "[dcp][assemble]") {
    std::mt19937 random(7);
    for (int round = 0; round < 100; ++round) {
        const Tensor whole = numbered({1 + random() % 4, 1 + random() % 5, 1 + random() % 6});
        std::vector<Box> boxes;
        cut_at_random({{0, 0, 0}, {whole.shape().begin(), whole.shape().end()}}, random, boxes);
        CHECK(tiles(whole.shape(), boxes));
        CHECK(elements(put_together(whole, boxes)) == elements(whole));
    }
}

TEST_CASE("require_tiling agrees with counting", "[dcp][tiling]") {
    std::mt19937 random(11);
    const Shape shape{3, 4};
    int tilings = 0;
    for (int round = 0; round < 3000; ++round) {
        std::vector<Box> boxes;
        cut_at_random({{0, 0}, {3, 4}}, random, boxes);
        for (auto changes = random() % 3; changes > 0; --changes) {  // moves, grows or shrinks a side
            Box& box = boxes[random() % boxes.size()];
            const std::size_t axis = random() % 2;
            box.offsets[axis] = random() % shape[axis];
            box.sizes[axis] = 1 + random() % (shape[axis] - box.offsets[axis]);
        }
        const bool expected = tiles_by_counting(shape, boxes);
        tilings += expected;
        CHECK(tiles(shape, boxes) == expected);
    }
    CHECK(tilings > 500);
    CHECK(tilings < 2500);
}
