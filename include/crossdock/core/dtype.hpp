// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace crossdock {

/// The element types that checkpoints hold. Values are little-endian; f8_e4m3 is torch's float8_e4m3fn.
enum class DType : std::uint8_t { f64, f32, f16, bf16, i64, i32, i16, i8, u8, boolean, f8_e4m3, f8_e5m2 };

/// What is known of one element type.
struct DTypeInfo {
    DType dtype;
    std::string_view name;   ///< short name, also on the command line: "bf16"
    std::string_view torch;  ///< PyTorch's name: "bfloat16"
    std::size_t bytes;       ///< of one element
};

inline constexpr std::array<DTypeInfo, 12> dtype_infos{{
    {DType::f64, "f64", "float64", 8},
    {DType::f32, "f32", "float32", 4},
    {DType::f16, "f16", "float16", 2},
    {DType::bf16, "bf16", "bfloat16", 2},
    {DType::i64, "i64", "int64", 8},
    {DType::i32, "i32", "int32", 4},
    {DType::i16, "i16", "int16", 2},
    {DType::i8, "i8", "int8", 1},
    {DType::u8, "u8", "uint8", 1},
    {DType::boolean, "bool", "bool", 1},
    {DType::f8_e4m3, "f8_e4m3", "float8_e4m3fn", 1},
    {DType::f8_e5m2, "f8_e5m2", "float8_e5m2", 1},
}};

/// `dtype` must be one of the enumerators, here and below.
constexpr const DTypeInfo& info(DType dtype) { return dtype_infos[static_cast<std::size_t>(dtype)]; }
constexpr std::size_t item_size(DType dtype) { return info(dtype).bytes; }
constexpr std::string_view dtype_name(DType dtype) { return info(dtype).name; }
constexpr std::string_view torch_name(DType dtype) { return info(dtype).torch; }

/// Whether cast() reads and writes the type: f64, f32, f16 and bf16. 8-bit floats are carried through as they are.
constexpr bool is_castable(DType dtype) { return dtype <= DType::bf16; }

/// The smallest castable type that holds the values of both; empty where there is none.
constexpr std::optional<DType> common_dtype(DType a, DType b) {
    if (a == b) return a;
    if (!is_castable(a) || !is_castable(b)) return std::nullopt;
    return a == DType::f64 || b == DType::f64 ? DType::f64 : DType::f32;
}

/// "bf16" or "bfloat16" → DType::bf16; empty when no type has that name.
constexpr std::optional<DType> parse_dtype(std::string_view text) {
    for (const DTypeInfo& line : dtype_infos)
        if (line.name == text || line.torch == text) return line.dtype;
    return std::nullopt;
}

}  // namespace crossdock
