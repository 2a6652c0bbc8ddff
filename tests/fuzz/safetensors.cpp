// SPDX-License-Identifier: Apache-2.0
// Feeds any bytes to the reader of safetensors files and of their index: they may refuse them with an Error, and
// nothing else. What the reader takes, the writer's text of it must say again.
//
//   tests/fuzz/run.sh builds and runs it. An input that begins with "I" is an index, one that begins with "H" a header in
//   front of as many bytes as the next byte says, any other a file. JSON is changed value by value; a file's header then
//   gets its length, and half the time the offsets that fit its shapes.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "crossdock/container/little_endian.hpp"
#include "crossdock/container/safetensors/reader.hpp"
#include "crossdock/container/sharded/format.hpp"
#include "inputs.hpp"
#include "mutate_json.hpp"

using namespace crossdock;
using namespace crossdock::test;

namespace {

void read_file(std::string_view bytes) {
    const TensorDict tensors = safetensors::read(source_of(bytes));
    for (const NamedTensor& entry : tensors.entries()) entry.tensor.bytes();
}

std::string written(const safetensors::Header& header) {
    std::string out = "{";
    for (const auto& entry : header.entries) out += (out.size() > 1 ? "," : "") + safetensors::entry_text(entry);
    return out + "}";
}

void read_header(std::string_view json, std::uint64_t data_bytes) {
    const std::string once = written(safetensors::parse_header(json, data_bytes));
    if (written(safetensors::parse_header(once, data_bytes)) != once) fail("a header does not say itself again");
}

void read_index(std::string_view json) {
    const auto index = sharded::parse_index(json);
    if (sharded::parse_index(sharded::index_text(index)).weight_map != index.weight_map)
        fail("an index does not say itself again");
}

/// The bytes of the tensors of a header, of which each gets the offsets that its shape asks for.
std::uint64_t set_offsets(Json& header) {
    std::uint64_t end = 0;
    for (auto& [name, entry] : header.items()) {
        if (!entry.is_object() || !entry.contains("shape") || !entry.contains("dtype")) continue;
        const auto dtype = entry["dtype"].is_string()
                               ? safetensors::parse_header_name(entry["dtype"].get<std::string>())
                               : std::nullopt;
        std::uint64_t bytes = dtype ? item_size(*dtype) : 1;
        for (const Json& extent : entry["shape"])
            if (extent.is_number_integer()) bytes *= extent.get<std::uint64_t>();
        entry["data_offsets"] = {end, end + bytes};
        end += bytes;
    }
    return end;
}

std::string mutate(const std::string& text, std::size_t most, Random& random) {
    if (text.starts_with('I')) return 'I' + mutate_json(text.substr(1), most, random);
    if (text.starts_with('H') && text.size() > 2) return text.substr(0, 2) + mutate_json(text.substr(2), most, random);
    if (text.size() < 8) throw Error("no header");
    const auto bytes = load_little<std::uint64_t>(bytes_of(text).data());
    if (bytes > text.size() - 8) throw Error("no header");
    std::string header = mutate_json(text.substr(8, bytes), most, random), data = text.substr(8 + bytes);
    if (below(2, random) == 0) {
        Json json = parse_json(header);
        if (json.is_object())
            if (const std::uint64_t size = set_offsets(json); size <= most) data.resize(size);
        header = json_text(json, 0);
    }
    std::string length;
    for (unsigned i = 0; i < 8; ++i) length += static_cast<char>(header.size() >> (8 * i) & 0xFF);
    return length + header + data;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view bytes = text_of(data, size);
    accepts([&] {
        if (bytes.starts_with('I'))
            read_index(bytes.substr(1));
        else if (bytes.starts_with('H') && size > 1)
            read_header(bytes.substr(2), data[1]);
        else
            read_file(bytes);
    });
    return 0;
}

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t most, unsigned seed) {
    return mutate_input(data, size, most, seed, mutate);
}
