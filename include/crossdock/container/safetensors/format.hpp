// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "crossdock/core/dtype.hpp"
#include "crossdock/core/error.hpp"
#include "crossdock/core/shape.hpp"
#include "crossdock/core/text.hpp"

/// A file is: the header's length N (8 bytes, little-endian), N bytes of JSON padded with spaces, the tensors' bytes.
/// Format facts: huggingface/safetensors, README.md and safetensors/src/tensor.rs.
namespace crossdock::safetensors {

inline constexpr std::uint64_t length_bytes = 8;
inline constexpr std::uint64_t max_header_bytes = 100'000'000;  ///< the reference's limit, for reading and writing
inline constexpr std::string_view metadata_key = "__metadata__";

namespace detail {

struct DTypeName {
    DType dtype;
    std::string_view name;
};

/// The format's further types (F4, F6, F8_E8M0, the FNUZ ones, C64, U16, U32, U64) have no counterpart in DType.
inline constexpr std::array<DTypeName, 12> dtype_names{{
    {DType::f64, "F64"},
    {DType::f32, "F32"},
    {DType::f16, "F16"},
    {DType::bf16, "BF16"},
    {DType::i64, "I64"},
    {DType::i32, "I32"},
    {DType::i16, "I16"},
    {DType::i8, "I8"},
    {DType::u8, "U8"},
    {DType::boolean, "BOOL"},
    {DType::f8_e4m3, "F8_E4M3"},
    {DType::f8_e5m2, "F8_E5M2"},
}};
static_assert(std::ranges::all_of(dtype_names, [](const DTypeName& line) {
    return &line - dtype_names.data() == static_cast<std::ptrdiff_t>(line.dtype);
}));

}  // namespace detail

/// What headers call a type: DType::bf16 → "BF16".
constexpr std::string_view header_name(DType dtype) {
    return detail::dtype_names[static_cast<std::size_t>(dtype)].name;
}

/// "BF16" → DType::bf16; empty for a type that is not read.
constexpr std::optional<DType> parse_header_name(std::string_view name) {
    for (const detail::DTypeName& line : detail::dtype_names)
        if (line.name == name) return line.dtype;
    return std::nullopt;
}

/// One tensor of a header; the offsets count from the first byte after the header.
struct Entry {
    std::string name;
    DType dtype = DType::f32;
    Shape shape;
    std::uint64_t begin = 0;
    std::uint64_t end = 0;
};

/// A header whose entries are known to fill the data from its first to its last byte, in this order.
struct Header {
    std::vector<Entry> entries;
    std::map<std::string, std::string> metadata;
};

namespace detail {

/// Names that print as something else, or as nothing, are refused on both sides.
inline void check_name(std::string_view name) {
    if (name.empty()) throw Error("a tensor has no name");
    bool has_controls = false;  // looked at to the end, so that compilers take many characters at once
    for (const char c : name) has_controls |= static_cast<unsigned char>(c) < 0x20 || c == 0x7F;
    if (has_controls) throw Error("a tensor's name has control characters");
}

/// A name without control characters in quotes, as JSON has it. Throws Error where it is not UTF-8.
inline std::string quoted(const std::string& name) {
    bool is_plain = true;
    for (const char c : name) is_plain &= static_cast<unsigned char>(c) < 0x80 && c != '"' && c != '\\';
    if (is_plain) return to_text('"', name, '"');
    try {
        return nlohmann::ordered_json(name).dump();
    } catch (const nlohmann::ordered_json::exception&) {
        throw Error("a tensor's name is not UTF-8");
    }
}

}  // namespace detail

/// The entry as it stands in a header: "name":{"dtype":"BF16","shape":[2,3],"data_offsets":[0,12]}. Throws Error when
/// the name is empty, not UTF-8 or has control characters.
inline std::string entry_text(const Entry& entry) {
    detail::check_name(entry.name);
    std::string extents;
    for (const std::uint64_t extent : entry.shape) {
        if (!extents.empty()) extents += ',';
        extents += std::to_string(extent);
    }
    return to_text(detail::quoted(entry.name), ":{\"dtype\":\"", header_name(entry.dtype), "\",\"shape\":[", extents,
                   "],\"data_offsets\":[", entry.begin, ",", entry.end, "]}");
}

/// A header that surely has room for `tensors` entries of up to `rank` axes, whose names have `name_bytes` in all
/// (quotes and backslashes count twice).
constexpr std::uint64_t header_capacity(std::uint64_t tensors, std::uint64_t name_bytes, std::uint64_t rank = 4) {
    constexpr std::uint64_t frame = 64, number = 21, around_an_entry = 56;  // number: 20 digits and a comma
    return frame + name_bytes + tensors * (around_an_entry + number * (rank + 2));
}

}  // namespace crossdock::safetensors
