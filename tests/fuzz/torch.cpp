// SPDX-License-Identifier: Apache-2.0
// Feeds any bytes to the reader of torch.save files, zip or older: it may refuse them with an Error, and nothing else.
//
//   tests/fuzz/run.sh builds and runs it. An input is a file. A zip is changed part by part, and its sizes and checksums
//   are made right again; so is a pickle, instruction by instruction.

#include <cstddef>
#include <cstdint>

#include "crossdock/container/torch/reader.hpp"
#include "inputs.hpp"
#include "mutate_pickle.hpp"
#include "zip_parts.hpp"

using namespace crossdock;
using namespace crossdock::test;

namespace {

constexpr pickle::Limits limits{200, std::uint64_t{1} << 26};

/// Evaluates the tensors that a test has the time for.
void read_file(std::string_view bytes) {
    const pickle::Value root = torch::read(source_of(bytes), limits);
    const TensorDict tensors = torch::tensors(root, "fuzz");
    for (const NamedTensor& entry : tensors.entries())
        if (entry.tensor.element_count() < 4096) entry.tensor.bytes();
    if (torch::take_tensors(root, "fuzz").entries().size() != tensors.entries().size())
        fail("taking the tensors out finds others");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    accepts([&] { read_file(text_of(data, size)); });
    return 0;
}

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t most, unsigned seed) {
    return mutate_input(data, size, most, seed, text_of(data, size).starts_with("PK") ? mutate_zip : mutate_pickle);
}
