// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "crossdock/container/json.hpp"
#include "crossdock/container/little_endian.hpp"
#include "crossdock/container/pickle/value.hpp"
#include "crossdock/core/dtype.hpp"
#include "crossdock/core/float_formats.hpp"
#include "crossdock/core/tensor.hpp"

namespace crossdock::detail {

/// A float of 32 bits as the number that people wrote: 1e-3, not 0.0010000000474974513.
inline double shortest_double(float value) {
    std::array<char, 32> digits{};
    const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr;
    double number = 0;
    std::from_chars(digits.data(), end, number);
    return number;
}

/// Numbers of a few elements, as an argument may hold: one, or a list of them.
inline constexpr std::uint64_t most_numbers = 64;

/// One element of numpy's kind ('b', 'i', 'u', 'f', 'U', 'S'), little-endian; empty when it is not one of these.
inline std::optional<Json> numpy_element(char kind, std::string_view bytes) {
    const auto* data = reinterpret_cast<const std::byte*>(bytes.data());
    const std::size_t size = bytes.size();
    if (kind == 'b' && size == 1) return Json(bytes[0] != 0);
    if (kind == 'i' && size == 1) return Json(load_little<std::int8_t>(data));
    if (kind == 'i' && size == 2) return Json(load_little<std::int16_t>(data));
    if (kind == 'i' && size == 4) return Json(load_little<std::int32_t>(data));
    if (kind == 'i' && size == 8) return Json(load_little<std::int64_t>(data));
    if (kind == 'u' && size == 1) return Json(load_little<std::uint8_t>(data));
    if (kind == 'u' && size == 2) return Json(load_little<std::uint16_t>(data));
    if (kind == 'u' && size == 4) return Json(load_little<std::uint32_t>(data));
    if (kind == 'u' && size == 8) return Json(load_little<std::uint64_t>(data));
    if (kind == 'f' && size == 2) return Json(static_cast<double>(f16_to_f32(load_little<std::uint16_t>(data))));
    if (kind == 'f' && size == 4) return Json(shortest_double(std::bit_cast<float>(load_little<std::uint32_t>(data))));
    if (kind == 'f' && size == 8) return Json(std::bit_cast<double>(load_little<std::uint64_t>(data)));
    return std::nullopt;
}

/// numpy's text: characters of four bytes ('U'), or of one ('S'), padded with zeros.
inline std::optional<Json> numpy_text(char kind, std::string_view bytes) {
    std::string out;
    const std::size_t width = kind == 'U' ? 4 : 1;
    for (std::size_t at = 0; at + width <= bytes.size(); at += width) {
        const auto* data = reinterpret_cast<const std::byte*>(bytes.data() + at);
        const std::uint32_t code =
            kind == 'U' ? load_little<std::uint32_t>(data) : static_cast<unsigned char>(bytes[at]);
        if (code == 0 || code > 0x7F) break;  // what people name models and settings by is ASCII
        out += static_cast<char>(code);
    }
    const std::size_t rest = out.size() * width;
    if (bytes.find_first_not_of('\0', rest) != std::string_view::npos) return std::nullopt;
    return Json(std::move(out));
}

/// An element type of numpy as its pickles give it: numpy.dtype("f4", …) with a state whose second part is the order of
/// bytes.
struct NumpyType {
    char kind = 0;
    std::size_t bytes = 0;
    bool big_endian = false;
};

inline std::optional<NumpyType> numpy_type(const pickle::Value& value) {
    const auto* object = value.get<pickle::Object>();
    const auto* args = object && object->module == "numpy" && object->name == "dtype" ? object->args.items() : nullptr;
    const std::string* code = args && !args->empty() ? args->front().as_string() : nullptr;
    if (!code || code->size() < 2) return std::nullopt;
    NumpyType type{.kind = code->front()};
    const auto [end, error] = std::from_chars(code->data() + 1, code->data() + code->size(), type.bytes);
    if (error != std::errc() || end != code->data() + code->size() || type.bytes == 0) return std::nullopt;
    if (type.bytes > 4096) return std::nullopt;
    if (type.kind == 'U') type.bytes *= 4;
    const auto* state = object->state.items();
    const std::string* order = state && state->size() > 1 ? (*state)[1].as_string() : nullptr;
    type.big_endian = order && *order == ">";
    return type;
}

inline std::optional<Json> numpy_item(const NumpyType& type, std::string_view bytes) {
    std::string item(bytes);
    const std::size_t width = type.kind == 'U' ? 4 : type.kind == 'S' ? 1 : type.bytes;
    if (type.big_endian)
        for (std::size_t at = 0; at + width <= item.size(); at += width)
            std::reverse(item.begin() + static_cast<std::ptrdiff_t>(at),
                         item.begin() + static_cast<std::ptrdiff_t>(at + width));
    return type.kind == 'U' || type.kind == 'S' ? numpy_text(type.kind, item) : numpy_element(type.kind, item);
}

/// One item without a shape, or a list of one axis; empty for more, and for elements that are no plain values.
inline std::optional<Json> numpy_array(const NumpyType& type, const pickle::Value& shape, std::string_view bytes) {
    const auto* extents = shape.items();
    if (!extents || extents->size() > 1) return std::nullopt;
    if (extents->empty()) return bytes.size() == type.bytes ? numpy_item(type, bytes) : std::nullopt;
    const auto count = extents->front().as_integer();
    if (!count || *count < 0 || static_cast<std::uint64_t>(*count) > most_numbers ||
        bytes.size() != static_cast<std::size_t>(*count) * type.bytes)
        return std::nullopt;
    Json array = Json::array();
    for (std::size_t at = 0; at < bytes.size(); at += type.bytes) {
        auto item = numpy_item(type, bytes.substr(at, type.bytes));
        if (!item) return std::nullopt;
        array.push_back(std::move(*item));
    }
    return array;
}

/// numpy's scalars and small arrays, as each of its releases pickles them; empty when the object is none.
inline std::optional<Json> numpy_value(const pickle::Object& object) {
    const auto is_in = [&](std::string_view module) {
        return object.module == std::string("numpy.core.").append(module) ||
               object.module == std::string("numpy._core.").append(module);
    };
    const auto* args = object.args.items();
    if (!args) return std::nullopt;
    const auto bytes_of = [](const pickle::Value& value) -> const std::string* {
        const auto* bytes = value.get<pickle::Bytes>();
        return bytes ? &bytes->data : value.as_string();  // Python 2's str, where it is UTF-8
    };
    if (is_in("multiarray") && object.name == "scalar" && args->size() == 2) {
        const auto type = numpy_type((*args)[0]);
        const std::string* bytes = bytes_of((*args)[1]);
        return type && bytes && bytes->size() == type->bytes ? numpy_item(*type, *bytes) : std::nullopt;
    }
    if (is_in("multiarray") && object.name == "_reconstruct") {
        const auto* state = object.state.items();
        if (!state || state->size() != 5) return std::nullopt;
        const auto type = numpy_type((*state)[2]);
        const std::string* bytes = bytes_of((*state)[4]);
        return type && bytes ? numpy_array(*type, (*state)[1], *bytes) : std::nullopt;
    }
    if (is_in("numeric") && object.name == "_frombuffer" && args->size() >= 3) {
        const auto type = numpy_type((*args)[1]);
        const auto* buffer = (*args)[0].get<pickle::Object>();  // bytearray(bytes), before protocol 5
        const auto* inner = buffer && buffer->name == "bytearray" ? buffer->args.items() : nullptr;
        const std::string* bytes = bytes_of(inner && inner->size() == 1 ? inner->front() : (*args)[0]);
        return type && bytes ? numpy_array(*type, (*args)[2], *bytes) : std::nullopt;
    }
    return std::nullopt;
}

/// A tensor without axes as its number, one of one axis as a list; empty for more, for many elements, and for floats of
/// 8 bits.
inline std::optional<Json> tensor_value(const Tensor& tensor) {
    constexpr std::array<char, 12> kinds{'f', 'f', 'f', 'B', 'i', 'i', 'i', 'i', 'u', 'b', 0, 0};
    if (tensor.shape().rank() > 1 || tensor.element_count() > most_numbers) return std::nullopt;
    const std::size_t item = item_size(tensor.dtype());
    const char kind = kinds[static_cast<std::size_t>(tensor.dtype())];
    const std::vector<std::byte> bytes = tensor.bytes();
    Json array = Json::array();
    for (std::size_t at = 0; at < bytes.size(); at += item) {
        std::optional<Json> number;
        if (kind == 'B')
            number = Json(static_cast<double>(bf16_to_f32(load_little<std::uint16_t>(bytes.data() + at))));
        else
            number = numpy_element(kind, {reinterpret_cast<const char*>(bytes.data() + at), item});
        if (!number) return std::nullopt;
        array.push_back(std::move(*number));
    }
    return tensor.shape().rank() == 0 ? array.front() : array;
}

}  // namespace crossdock::detail
