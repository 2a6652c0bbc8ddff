// SPDX-License-Identifier: Apache-2.0
// Feeds any bytes to the reader of .metadata, the index of PyTorch's distributed checkpoints (torch_dist): it may refuse
// them with an Error, and nothing else.
//
//   tests/fuzz/run.sh builds and runs it. An input is a pickle, which is changed instruction by instruction.

#include <cstddef>
#include <cstdint>

#include "crossdock/container/dcp/metadata_reader.hpp"
#include "inputs.hpp"
#include "mutate_pickle.hpp"

using namespace crossdock;
using namespace crossdock::test;

namespace {

/// Chunks tile their tensor.
void check(const dcp::TensorItem& tensor) {
    std::uint64_t elements = 0;
    for (const dcp::Chunk& chunk : tensor.chunks) elements += chunk.sizes.element_count();
    if (elements != tensor.shape.element_count()) fail("chunks hold another number of elements than their tensor");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    accepts([&] {
        for (const dcp::TensorItem& tensor : dcp::read_metadata(*source_of(text_of(data, size))).tensors) check(tensor);
    });
    return 0;
}

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t most, unsigned seed) {
    return mutate_input(data, size, most, seed, mutate_pickle);
}
