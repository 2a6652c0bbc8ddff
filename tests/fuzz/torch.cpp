// SPDX-License-Identifier: Apache-2.0
// Feeds any bytes to the reader of torch.save files: it may refuse them with an Error, and nothing else.
//
//   clang++ -std=c++20 -g -O1 -fsanitize=fuzzer,address,undefined -Iinclude tests/fuzz/torch.cpp -ldeflate -o
//   fuzz-torch
//   ./fuzz-torch corpus tests/data/torch
//
// A zip hides its pickle behind checksums and offsets; so an input that begins with "P" is one, any other is taken as
// a pickle, and one that begins with "W" as a pickle whose value is written again.

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "crossdock/container/pickle/reader.hpp"
#include "crossdock/container/pickle/writer.hpp"
#include "crossdock/container/torch/reader.hpp"

using namespace crossdock;

namespace {

constexpr pickle::Limits limits{200, std::uint64_t{1} << 26};

/// Evaluates the tensors that a test has the time for.
void read_file(std::shared_ptr<const Source> source) {
    const TensorDict tensors = torch::tensors(torch::read(std::move(source), limits), "fuzz");
    for (const NamedTensor& entry : tensors.entries())
        if (entry.tensor.element_count() < 4096) entry.tensor.bytes();
}

void read_pickle(std::shared_ptr<const Source> source, std::uint64_t begin, bool again) {
    const std::uint64_t end = source->size();
    pickle::Cursor cursor(std::move(source), begin, end);
    const pickle::Value value = pickle::Reader(cursor, "fuzz", limits).read();
    if (!again) return;
    auto written = std::make_shared<std::string>(pickle::write(value));
    pickle::Cursor second(std::make_shared<MemorySource>(std::as_bytes(std::span(*written)), written), 0,
                          written->size());
    try {
        pickle::Reader(second, "written", {4 * limits.depth, 64 * limits.memory_bytes}).read();
    } catch (const Error& error) {
        std::fprintf(stderr, "what was written cannot be read: %s\n", error.what());
        std::abort();
    }
    if (second.remaining() != 0) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto bytes = std::as_bytes(std::span(data, size));
    const auto source = std::make_shared<MemorySource>(bytes, nullptr);
    try {
        if (size > 0 && data[0] == 'W')
            read_pickle(source, 1, true);
        else if (size > 2 && (data[0] == 'P' || (data[0] == 0x80 && data[2] == 0x8A)))
            read_file(source);
        else
            read_pickle(source, 0, false);
    } catch (const Error&) {
    }
    return 0;
}
