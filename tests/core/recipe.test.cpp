// SPDX-License-Identifier: Apache-2.0
#include "crossdock/core/recipe.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <random>
#include <span>
#include <utility>
#include <vector>

#include "crossdock/core/tensor.hpp"
#include "support/catch.hpp"
#include "support/temporary_file.hpp"

using namespace crossdock;
using crossdock::test::TemporaryFile;

namespace {

using Bytes = std::vector<std::byte>;
using Element = std::vector<std::byte>;
using Extents = std::vector<std::uint64_t>;

// What a tensor should be, with all its elements in a vector and every operation done element by element.
struct Plain {
    DType dtype = DType::f32;
    Extents extents;
    std::vector<Element> elements;

    Bytes bytes() const {
        Bytes out;
        for (const Element& element : elements) out.insert(out.end(), element.begin(), element.end());
        return out;
    }
};

std::uint64_t product(const Extents& extents) {
    std::uint64_t result = 1;
    for (const std::uint64_t extent : extents) result *= extent;
    return result;
}

/// Calls visit(index along each axis) for all elements in C order.
void for_each_index(const Extents& extents, auto&& visit) {
    Extents index(extents.size(), 0);
    for (std::uint64_t left = product(extents); left > 0; --left) {
        visit(index);
        for (std::size_t axis = extents.size(); axis-- > 0;) {
            if (++index[axis] < extents[axis]) break;
            index[axis] = 0;
        }
    }
}

std::size_t flat(const Extents& extents, const Extents& index) {
    std::uint64_t at = 0;
    for (std::size_t axis = 0; axis < extents.size(); ++axis) at = at * extents[axis] + index[axis];
    return static_cast<std::size_t>(at);
}

/// The tensor of other extents whose element at an index is the one of `from` at source_index(index).
Plain rearranged(const Plain& from, Extents extents, auto&& source_index) {
    Plain out{from.dtype, std::move(extents), {}};
    for_each_index(out.extents, [&](const Extents& index) {
        out.elements.push_back(from.elements[flat(from.extents, source_index(index))]);
    });
    return out;
}

Plain plain_slice(const Plain& from, std::size_t axis, std::uint64_t begin, std::uint64_t end) {
    Extents extents = from.extents;
    extents[axis] = end - begin;
    return rearranged(from, extents, [&](Extents index) {
        index[axis] += begin;
        return index;
    });
}

Plain plain_swap_axes(const Plain& from, std::size_t axis) {
    Extents extents = from.extents;
    std::swap(extents[axis], extents[axis + 1]);
    return rearranged(from, extents, [&](Extents index) {
        std::swap(index[axis], index[axis + 1]);
        return index;
    });
}

Plain plain_repeat_last_row(const Plain& from, std::uint64_t rows) {
    Extents extents = from.extents;
    extents[0] = rows;
    return rearranged(from, extents, [&](Extents index) {
        index[0] = std::min(index[0], from.extents[0] - 1);
        return index;
    });
}

Plain plain_concatenate(const std::vector<Plain>& parts, std::size_t axis) {
    Plain out{parts[0].dtype, parts[0].extents, {}};
    out.extents[axis] = 0;
    for (const Plain& part : parts) out.extents[axis] += part.extents[axis];
    for_each_index(out.extents, [&](Extents index) {
        std::size_t part = 0;
        for (; index[axis] >= parts[part].extents[axis]; ++part) index[axis] -= parts[part].extents[axis];
        out.elements.push_back(parts[part].elements[flat(parts[part].extents, index)]);
    });
    return out;
}

Plain plain_cast(Plain tensor, DType dtype) {
    for (Element& element : tensor.elements) {
        Element result(item_size(dtype));
        cast_elements(tensor.dtype, element.data(), dtype, result.data(), 1);
        element = std::move(result);
    }
    tensor.dtype = dtype;
    return tensor;
}

Plain plain_swap_bytes(Plain tensor) {
    for (Element& element : tensor.elements) std::reverse(element.begin(), element.end());
    return tensor;
}

/// A tensor and what it should be.
struct Pair {
    Tensor tensor;
    Plain plain;
};

// Random tensors over a source of random bytes, and random operations on them.
class Generator {
public:
    Generator(std::uint32_t seed, bool in_file) : random_(seed), bytes_(1 << 16) {
        for (std::byte& byte : bytes_) byte = static_cast<std::byte>(random_());
        if (in_file) {
            file_ = std::make_unique<TemporaryFile>(bytes_);
            source_ = std::make_shared<FileSource>(file_->path());
        } else {
            source_ = std::make_shared<MemorySource>(bytes_, nullptr);
        }
    }

    std::uint64_t below(std::uint64_t limit) { return random_() % limit; }

    DType any_dtype() { return dtype_infos[below(dtype_infos.size())].dtype; }

    Extents any_extents() {
        Extents out(below(5));
        for (std::uint64_t& extent : out) extent = below(12) == 0 ? 0 : 1 + below(7);
        return out;
    }

    Pair any_tensor(DType dtype, const Extents& extents) {
        return below(3) == 0 ? strided_tensor(dtype, extents) : contiguous_tensor(dtype, extents);
    }

    /// One more operation, or none where it does not apply.
    Pair any_operation(const Pair& pair) {
        switch (below(7)) {
            case 0: return sliced(pair);
            case 1: return reshaped(pair);
            case 2: return axes_swapped(pair);
            case 3: return concatenated(pair);
            case 4: return last_row_repeated(pair);
            case 5: return casted(pair);
            default: return {swap_bytes(pair.tensor), plain_swap_bytes(pair.plain)};
        }
    }

private:
    Pair contiguous_tensor(DType dtype, const Extents& extents) {
        const std::uint64_t offset = below(1000);
        Extents strides(extents.size(), 1);
        for (std::size_t axis = extents.size(); axis-- > 1;) strides[axis - 1] = strides[axis] * extents[axis];
        return {region(source_, offset, dtype, Shape(extents)), gathered(dtype, extents, strides, offset)};
    }

    /// Strides as torch makes them: permuted, with gaps, expanded (0), or overlapping.
    Pair strided_tensor(DType dtype, const Extents& extents) {
        const std::uint64_t offset = below(1000), gap = 1 + below(2);
        Extents strides(extents.size());
        std::vector<std::size_t> order(extents.size());
        for (std::size_t axis = 0; axis < order.size(); ++axis) order[axis] = axis;
        std::shuffle(order.begin(), order.end(), random_);
        std::uint64_t stride = gap;
        for (const std::size_t axis : order) {
            strides[axis] = below(6) == 0 ? 0 : stride;
            stride *= std::max<std::uint64_t>(extents[axis], 1);
        }
        return {strided_region(source_, offset, dtype, Shape(extents), strides),
                gathered(dtype, extents, strides, offset)};
    }

    Plain gathered(DType dtype, const Extents& extents, const Extents& strides, std::uint64_t offset) {
        Plain out{dtype, extents, {}};
        for_each_index(extents, [&](const Extents& index) {
            std::uint64_t at = 0;
            for (std::size_t axis = 0; axis < index.size(); ++axis) at += index[axis] * strides[axis];
            const auto first = bytes_.begin() + static_cast<std::ptrdiff_t>(offset + at * item_size(dtype));
            out.elements.emplace_back(first, first + static_cast<std::ptrdiff_t>(item_size(dtype)));
        });
        return out;
    }

    Pair sliced(const Pair& pair) {
        const Extents& extents = pair.plain.extents;
        if (extents.empty()) return pair;
        const std::size_t axis = below(extents.size());
        const std::uint64_t begin = below(extents[axis] + 1), end = begin + below(extents[axis] - begin + 1);
        return {slice(pair.tensor, axis, begin, end), plain_slice(pair.plain, axis, begin, end)};
    }

    Pair reshaped(const Pair& pair) {
        Pair out = pair;
        Extents& extents = out.plain.extents;
        const std::size_t axis = below(extents.size() + 1);
        const auto at = extents.begin() + static_cast<std::ptrdiff_t>(axis);
        if (axis < extents.size() && extents[axis] % 2 == 0) {
            extents[axis] /= 2;
            extents.insert(extents.begin() + static_cast<std::ptrdiff_t>(axis), 2);
        } else if (axis + 1 < extents.size()) {
            extents[axis + 1] *= extents[axis];
            extents.erase(at);
        } else {
            extents.insert(at, 1);
        }
        out.tensor = reshape(pair.tensor, Shape(extents));
        return out;
    }

    Pair axes_swapped(const Pair& pair) {
        const std::size_t rank = pair.plain.extents.size();
        if (rank < 2) return pair;
        if (rank == 2) return {transpose(pair.tensor), plain_swap_axes(pair.plain, 0)};
        const std::size_t axis = below(rank - 1);
        return {swap_axes(pair.tensor, axis), plain_swap_axes(pair.plain, axis)};
    }

    Pair concatenated(const Pair& pair) {
        if (pair.plain.extents.empty()) return pair;
        const std::size_t axis = below(pair.plain.extents.size());
        std::vector<Tensor> tensors{pair.tensor};
        std::vector<Plain> plains{pair.plain};
        for (std::uint64_t more = below(3); more > 0; --more) {
            Extents extents = pair.plain.extents;
            extents[axis] = below(4);
            if (product(extents) > 500) continue;
            const Pair part = any_tensor(pair.plain.dtype, extents);
            tensors.push_back(part.tensor);
            plains.push_back(part.plain);
        }
        std::reverse(tensors.begin(), tensors.end());
        std::reverse(plains.begin(), plains.end());
        return {concatenate(tensors, axis), plain_concatenate(plains, axis)};
    }

    Pair last_row_repeated(const Pair& pair) {
        const Extents& extents = pair.plain.extents;
        if (extents.empty() || extents[0] == 0) return pair;
        const std::uint64_t rows = extents[0] + below(4);
        return {repeat_last_row(pair.tensor, rows), plain_repeat_last_row(pair.plain, rows)};
    }

    Pair casted(const Pair& pair) {
        if (!is_castable(pair.plain.dtype)) return pair;
        const auto dtype = static_cast<DType>(below(4));
        return {cast(pair.tensor, dtype), plain_cast(pair.plain, dtype)};
    }

    std::mt19937 random_;
    Bytes bytes_;
    std::unique_ptr<TemporaryFile> file_;
    std::shared_ptr<const Source> source_;
};

bool same_type_and_shape(const Tensor& tensor, const Plain& plain) {
    return tensor.dtype() == plain.dtype && tensor.shape() == Shape(plain.extents) &&
           tensor.byte_count() == plain.elements.size() * item_size(plain.dtype);
}

/// Whether elements [begin, begin + count) are the expected ones, and no byte behind them was touched.
bool range_agrees(const Tensor& tensor, const Bytes& expected, std::uint64_t begin, std::uint64_t count) {
    const std::size_t item = item_size(tensor.dtype()), bytes = static_cast<std::size_t>(count) * item;
    Bytes out(bytes + 8, std::byte{0x5A});
    tensor.evaluate(begin, std::span(out).first(bytes));
    return std::equal(out.begin(), out.end() - 8, expected.begin() + static_cast<std::ptrdiff_t>(begin * item)) &&
           std::count(out.end() - 8, out.end(), std::byte{0x5A}) == 8;
}

bool blocks_agree(const Tensor& tensor, const Bytes& expected, std::uint64_t block) {
    for (std::uint64_t begin = 0; begin < tensor.element_count(); begin += block)
        if (!range_agrees(tensor, expected, begin, std::min(block, tensor.element_count() - begin))) return false;
    return true;
}

Tensor tensor_of(std::vector<std::uint8_t> values, Shape shape) {
    const auto owner = std::make_shared<const std::vector<std::uint8_t>>(std::move(values));
    return region(std::make_shared<MemorySource>(std::as_bytes(std::span(*owner)), owner), 0, DType::u8,
                  std::move(shape));
}

std::vector<int> values(const Tensor& tensor) {
    std::vector<int> out;
    for (const std::byte byte : tensor.bytes()) out.push_back(std::to_integer<int>(byte));
    return out;
}

using Values = std::vector<int>;

}  // namespace

TEST_CASE("a recipe of any operations gives what doing them one by one gives", "[core][recipe]") {
    const bool in_file = GENERATE(false, true);
    const int chains = in_file ? 800 : 4000;
    Generator any(in_file ? 2U : 1U, in_file);
    for (int chain = 0; chain < chains; ++chain) {
        INFO("chain " << chain << (in_file ? " over a file" : " in memory"));
        Pair pair = any.any_tensor(any.any_dtype(), any.any_extents());
        for (std::uint64_t left = any.below(8); left > 0; --left) {
            Pair next = any.any_operation(pair);
            if (next.plain.elements.size() > 3000) break;
            pair = std::move(next);
        }
        const Bytes expected = pair.plain.bytes();
        REQUIRE(same_type_and_shape(pair.tensor, pair.plain));
        REQUIRE(pair.tensor.bytes() == expected);
        REQUIRE(blocks_agree(pair.tensor, expected, 1 + any.below(pair.tensor.element_count() + 1)));
        for (int range = 0; range < 4 && pair.tensor.element_count() > 0; ++range) {
            const std::uint64_t begin = any.below(pair.tensor.element_count());
            REQUIRE(range_agrees(pair.tensor, expected, begin, any.below(pair.tensor.element_count() - begin + 1)));
        }
    }
}

TEST_CASE("blocks of several tensors come out of one read plan", "[core][recipe]") {
    Generator any(3, true);
    for (int round = 0; round < 100; ++round) {
        std::vector<Pair> pairs;
        std::vector<Bytes> outs;
        ReadPlan plan;
        for (int i = 0; i < 5; ++i) {
            pairs.push_back(any.any_tensor(any.any_dtype(), any.any_extents()));
            for (int step = 0; step < 2; ++step) pairs.back() = any.any_operation(pairs.back());
        }
        for (const Pair& pair : pairs) {
            outs.emplace_back(pair.tensor.byte_count());
            pair.tensor.plan(0, pair.tensor.element_count(), outs.back().data(), plan);
        }
        plan.execute();
        for (std::size_t i = 0; i < pairs.size(); ++i) REQUIRE(outs[i] == pairs[i].plain.bytes());
    }
}

TEST_CASE("slices, reshapes and swapped axes say which elements they are", "[core][recipe]") {
    const Tensor tensor = tensor_of({1, 2, 3, 4, 5, 6}, {2, 3});
    CHECK(values(slice(tensor, 0, 1, 2)) == Values{4, 5, 6});
    CHECK(values(slice(tensor, 1, 1, 3)) == Values{2, 3, 5, 6});
    CHECK(values(transpose(tensor)) == Values{1, 4, 2, 5, 3, 6});
    CHECK(values(slice(transpose(tensor), 0, 1, 3)) == Values{2, 5, 3, 6});
    CHECK(values(slice(transpose(tensor), 1, 1, 2)) == Values{4, 5, 6});
    CHECK(values(swap_axes(reshape(tensor, {1, 3, 2}), 1)) == Values{1, 3, 5, 2, 4, 6});
    CHECK(transpose(tensor).shape() == Shape{3, 2});
}

TEST_CASE("concatenation and padding put rows where they belong", "[core][recipe]") {
    const Tensor a = tensor_of({1, 2, 3, 4}, {2, 2}), b = tensor_of({5, 6}, {2, 1});
    CHECK(values(concatenate(std::vector{a, b}, 1)) == Values{1, 2, 5, 3, 4, 6});
    CHECK(values(concatenate(std::vector{a, a}, 0)) == Values{1, 2, 3, 4, 1, 2, 3, 4});
    CHECK(values(repeat_last_row(a, 4)) == Values{1, 2, 3, 4, 3, 4, 3, 4});
    CHECK(repeat_last_row(a, 4).shape() == Shape{4, 2});
}

TEST_CASE("an empty tensor stays evaluable through all operations", "[core][recipe]") {
    const Tensor empty = slice(tensor_of({1, 2, 3, 4}, {2, 2}), 1, 1, 1);
    CHECK(empty.shape() == Shape{2, 0});
    CHECK(empty.bytes().empty());
    CHECK(transpose(empty).shape() == Shape{0, 2});
    CHECK(transpose(empty).bytes().empty());
    CHECK(reshape(empty, {0, 7}).bytes().empty());
    CHECK(repeat_last_row(empty, 5).shape() == Shape{5, 0});
    CHECK(repeat_last_row(empty, 5).bytes().empty());
    CHECK(concatenate(std::vector{empty, empty}, 0).shape() == Shape{4, 0});
    CHECK(concatenate(std::vector{empty, empty}, 0).bytes().empty());
    CHECK(values(concatenate(std::vector{empty, tensor_of({8, 9}, {2, 1})}, 1)) == Values{8, 9});
    CHECK(swap_bytes(empty).bytes().empty());
    CHECK(cast(Tensor(), DType::bf16).bytes().empty());
    CHECK(slice(cast(Tensor(), DType::bf16), 0, 0, 0).bytes().empty());
}

TEST_CASE("a tensor of no elements may have strides that lead anywhere", "[core][recipe]") {
    const auto source = std::make_shared<MemorySource>(std::span<const std::byte>(), nullptr);
    const std::uint64_t far = std::uint64_t{1} << 63;
    CHECK(strided_region(source, 0, DType::f32, {5, 0}, {far, 1}).bytes().empty());
    CHECK(strided_region(source, 0, DType::f32, {0, 5}, {1, far}).bytes().empty());
}

TEST_CASE("what is put together and taken apart again, or turned and turned back, is what it was", "[core][recipe]") {
    const Bytes bytes(1000);
    const auto source = std::make_shared<MemorySource>(bytes, nullptr);
    const Tensor a = region(source, 0, DType::bf16, {3, 5}), b = region(source, 100, DType::bf16, {3, 4});
    const std::vector<Tensor> beside{a, b}, stacked{transpose(a), transpose(b)};
    CHECK(transpose(transpose(a)).recipe() == a.recipe());
    CHECK(slice(concatenate(beside, 1), 1, 0, 5).recipe() == a.recipe());
    CHECK(slice(concatenate(beside, 1), 1, 5, 9).recipe() == b.recipe());
    CHECK(slice(transpose(concatenate(stacked, 0)), 1, 5, 9).recipe() == b.recipe());
    CHECK(slice(concatenate(beside, 1), 1, 4, 9).recipe() != b.recipe());
}

TEST_CASE("a cast is between castable floats only", "[core][recipe]") {
    const Tensor bytes = tensor_of({1, 2, 3, 4}, {4});
    CHECK(values(cast(bytes, DType::u8)) == Values{1, 2, 3, 4});
    CHECK_THROWS_WITH(cast(bytes, DType::f32),
                      "a tensor of u8 cannot be cast to f32; only f64, f32, f16 and bf16 are cast");
    CHECK_THROWS_WITH(cast(Tensor(), DType::f8_e4m3),
                      "a tensor of f32 cannot be cast to f8_e4m3; only f64, f32, f16 and bf16 are cast");
}

TEST_CASE("a tensor that does not fit its source is refused", "[core][recipe]") {
    const TemporaryFile file(Bytes(100));
    const auto source = std::make_shared<FileSource>(file.path());
    CHECK(region(source, 60, DType::f32, {10}).byte_count() == 40);
    CHECK_THROWS_WITH(region(source, 61, DType::f32, {2, 5}),
                      file.name() +
                          ": a tensor [2, 5] of f32 at offset 61 needs 40 bytes, the file ends at 100; it is "
                          "probably truncated");
    CHECK_THROWS_WITH(region(source, ~std::uint64_t{0}, DType::u8, {1}),
                      "tensor end: 18446744073709551615 + 1 overflows 64 bits");
    CHECK_THROWS_WITH(region(source, 0, DType::f64, {std::uint64_t{1} << 62}),
                      "tensor bytes: 4611686018427387904 × 8 overflows 64 bits");
}

TEST_CASE("a strided tensor that leaves its source is refused", "[core][recipe]") {
    const TemporaryFile file(Bytes(100));
    const auto source = std::make_shared<FileSource>(file.path());
    CHECK(strided_region(source, 0, DType::f32, {2, 5}, {20, 1}).byte_count() == 40);
    CHECK_THROWS_WITH(strided_region(source, 0, DType::f32, {2, 5}, {21, 1}),
                      file.name() +
                          ": a tensor [2, 5] of f32 at offset 0 reaches 104 bytes far, the file ends at 100; "
                          "it is probably truncated");
    const std::uint64_t far = std::uint64_t{1} << 63;
    CHECK_THROWS_WITH(strided_region(source, 0, DType::f32, {3}, {far}),
                      "tensor stride: 2 × 9223372036854775808 overflows 64 bits");
    CHECK_THROWS_WITH(strided_region(source, 0, DType::f32, {2, 2}, {far, far}),
                      "tensor extent: 9223372036854775808 + 9223372036854775808 overflows 64 bits");
}

TEST_CASE("a file that shrinks under a recipe is an error", "[core][recipe]") {
    const TemporaryFile file(Bytes(10'000));
    const auto source = std::make_shared<FileSource>(file.path());
    const Tensor tensor = cast(transpose(region(source, 0, DType::f32, {50, 50})), DType::bf16);
    REQUIRE(tensor.bytes().size() == 5000);
    file.resize(9000);
    CHECK_THROWS_WITH(tensor.bytes(), file.name() +
                                          ": ends at offset 9000, it held 10000 bytes when it was opened; it "
                                          "shrank while it was being read");
}

TEST_CASE("a tensor keeps its source alive", "[core][recipe]") {
    std::weak_ptr<const Source> watch;
    {
        Tensor derived;
        {
            const Bytes bytes(100, std::byte{3});
            const auto owner = std::make_shared<const Bytes>(bytes);
            const auto source = std::make_shared<MemorySource>(*owner, owner);
            watch = source;
            derived = transpose(slice(region(source, 0, DType::i16, {10, 5}), 1, 1, 3));
        }
        CHECK_FALSE(watch.expired());
        CHECK(derived.bytes() == Bytes(40, std::byte{3}));
    }
    CHECK(watch.expired());
}

TEST_CASE("an expert is taken from a stack of them without the others, whatever was done with all", "[core][recipe]") {
    const auto source = [] {
        const auto memory = std::make_shared<Bytes>(2 * 4 * 6);
        for (std::size_t i = 0; i < memory->size(); ++i) (*memory)[i] = static_cast<std::byte>(i);
        return std::make_shared<MemorySource>(*memory, memory);
    };
    std::vector<Tensor> experts;
    for (int i = 0; i < 4; ++i) experts.push_back(region(source(), 0, DType::bf16, Shape{1, 4, 6}));
    const Tensor stack = concatenate(experts, 0);
    const auto is_region = [](const Tensor& tensor) {
        return dynamic_cast<const detail::Region*>(tensor.recipe().get()) != nullptr;
    };
    CHECK(is_region(slice(slice(stack, 0, 1, 3), 0, 1, 2)));
    const Tensor rows = slice(slice(slice(stack, 0, 1, 3), 1, 2, 4), 0, 1, 2);
    CHECK(is_region(rows));
    CHECK(rows.bytes() == slice(experts[2], 1, 2, 4).bytes());
    const Tensor columns = slice(slice(stack, 2, 3, 6), 0, 3, 4);
    CHECK(columns.bytes() == slice(experts[3], 2, 3, 6).bytes());
    const auto* cut = dynamic_cast<const detail::Columns*>(columns.recipe().get());
    REQUIRE(cut);
    CHECK(dynamic_cast<const detail::Region*>(cut->child().get()));
    const Tensor joined = slice(concatenate(std::vector{slice(stack, 2, 3, 6), slice(stack, 2, 0, 3)}, 2), 0, 2, 3);
    CHECK(joined.bytes() ==
          concatenate(std::vector{slice(experts[2], 2, 3, 6), slice(experts[2], 2, 0, 3)}, 2).bytes());
    CHECK(dynamic_cast<const detail::SideBySide*>(joined.recipe().get()));
}

TEST_CASE("an expert is taken from stacks of them that are joined, and cut by columns among ranks", "[core][recipe]") {
    const auto memory = std::make_shared<Bytes>(4 * 3 * 5);
    for (std::size_t i = 0; i < memory->size(); ++i) (*memory)[i] = static_cast<std::byte>(i);
    const auto source = std::make_shared<MemorySource>(*memory, memory);
    std::vector<Tensor> whole;  // four experts of 3 × 5 bytes
    for (std::uint64_t i = 0; i < 4; ++i) whole.push_back(region(source, 15 * i, DType::u8, {1, 3, 5}));
    const auto stack = [&](std::size_t first, std::uint64_t begin, std::uint64_t end) {
        const std::vector<Tensor> both{slice(whole[first], 2, begin, end), slice(whole[first + 1], 2, begin, end)};
        return concatenate(both, 0);
    };
    std::vector<Tensor> groups;
    for (const std::size_t first : {0U, 2U})
        groups.push_back(concatenate(std::vector{stack(first, 0, 2), stack(first, 2, 5)}, 2));
    const Tensor all = concatenate(groups, 0);
    for (std::uint64_t i = 0; i < 4; ++i) {
        const Tensor expert = slice(all, 0, i, i + 1);
        CHECK(expert.bytes() == whole[i].bytes());
        const auto* columns = dynamic_cast<const detail::SideBySide*>(expert.recipe().get());
        REQUIRE(columns);  // of this expert, and not a part of a recipe of all
        CHECK(columns->width() == 5);
    }
    CHECK(slice(all, 0, 1, 3).bytes() == concatenate(std::vector{whole[1], whole[2]}, 0).bytes());
    CHECK(slice(reshape(all, {60}), 0, 7, 29).bytes() == Bytes(memory->begin() + 7, memory->begin() + 29));
}
