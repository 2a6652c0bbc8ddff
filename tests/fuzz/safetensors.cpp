// SPDX-License-Identifier: Apache-2.0
// Feeds any bytes to the reader of safetensors files and of their index: they may refuse them with an Error, and
// nothing else. What the reader takes, the writer's text of it must say again.
//
//   clang++ -std=c++20 -g -O1 -fsanitize=fuzzer,address,undefined -Iinclude tests/fuzz/safetensors.cpp -o
//   fuzz-safetensors
//   ./fuzz-safetensors corpus
//
// An input that begins with "I" is an index, one that begins with "H" a header in front of as many bytes as the next
// byte says, any other a file.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "crossdock/container/safetensors/reader.hpp"
#include "crossdock/container/sharded/format.hpp"

using namespace crossdock;

namespace {

void read_file(std::span<const std::byte> bytes) {
    const TensorDict tensors = safetensors::read(std::make_shared<MemorySource>(bytes, nullptr));
    for (const NamedTensor& entry : tensors.entries()) entry.tensor.bytes();
}

std::string written(const safetensors::Header& header) {
    std::string out = "{";
    for (const auto& entry : header.entries) out += (out.size() > 1 ? "," : "") + safetensors::entry_text(entry);
    return out + "}";
}

void read_header(std::string_view json, std::uint64_t data_bytes) {
    const auto header = safetensors::parse_header(json, data_bytes);
    const std::string once = written(header);
    if (written(safetensors::parse_header(once, data_bytes)) != once) __builtin_trap();
}

void read_index(std::string_view json) {
    const auto index = sharded::parse_index(json);
    if (sharded::parse_index(sharded::index_text(index)).weight_map != index.weight_map) __builtin_trap();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view bytes(reinterpret_cast<const char*>(data), size);
    try {
        if (bytes.starts_with('I'))
            read_index(bytes.substr(1));
        else if (bytes.starts_with('H') && size > 1)
            read_header(bytes.substr(2), data[1]);
        else
            read_file(std::as_bytes(std::span(data, size)));
    } catch (const Error&) {
    }
    return 0;
}
