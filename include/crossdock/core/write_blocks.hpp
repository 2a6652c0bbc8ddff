// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <ostream>
#include <span>
#include <vector>

#include "crossdock/core/error.hpp"
#include "crossdock/core/tensor.hpp"

namespace crossdock {

/// Evaluates a tensor from its first element to its last and calls visit(std::span<const std::byte>) for one block
/// after the other, on the calling thread. A block holds whole elements, in C order and little-endian: `block_bytes`
/// bytes of them, at least one element, and what is left in the last. The bytes are valid until visit() returns. Memory
/// is that of one block, twice where the recipe computes. Throws Error when a source cannot be read; what visit()
/// throws passes through.
template <std::invocable<std::span<const std::byte>> Visit>
void for_each_block(const Tensor& tensor, Visit&& visit, std::size_t block_bytes = std::size_t{1} << 20) {
    const std::size_t item = item_size(tensor.dtype());
    const std::uint64_t elements = tensor.element_count();
    const std::uint64_t block_elements =
        std::min<std::uint64_t>(std::max<std::size_t>(block_bytes / item, 1), elements);
    std::vector<std::byte> memory(block_elements * item);
    for (std::uint64_t begin = 0; begin < elements; begin += block_elements) {
        const std::uint64_t count = std::min(block_elements, elements - begin);
        const std::span<std::byte> block = std::span(memory).first(count * item);
        tensor.evaluate(begin, block);
        visit(std::span<const std::byte>(block));
    }
}

/// Writes the bytes of a tensor to a stream, which must be a binary one, block by block. Throws Error when the stream
/// fails or a source cannot be read.
inline void write_to(std::ostream& out, const Tensor& tensor) {
    for_each_block(tensor, [&out](std::span<const std::byte> block) {
        out.write(reinterpret_cast<const char*>(block.data()), static_cast<std::streamsize>(block.size()));
        if (!out) throw Error("a tensor cannot be written to its stream; is the disk full?");
    });
}

}  // namespace crossdock
