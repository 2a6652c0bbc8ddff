// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "crossdock/core/dtype.hpp"
#include "crossdock/core/error.hpp"
#include "crossdock/core/f16_blocks.hpp"
#include "crossdock/core/float_formats.hpp"
#include "crossdock/core/text.hpp"

namespace crossdock {

namespace detail {

/// What an element is held in: the value itself, or the bits of a 16-bit float.
template <DType dtype>
using FloatItem =
    std::conditional_t<dtype == DType::f64, double, std::conditional_t<dtype == DType::f32, float, std::uint16_t>>;

/// f64 goes to bf16 by way of f32, rounding twice, as in PyTorch.
template <DType from, DType to>
FloatItem<to> cast_one(FloatItem<from> value) {
    if constexpr (from == to)
        return value;
    else if constexpr (to == DType::f16)
        return f32_to_f16(cast_one<from, DType::f32>(value));
    else if constexpr (from == DType::bf16)
        return bf16_to_f32(value);
    else if constexpr (to == DType::bf16)
        return f32_to_bf16(static_cast<float>(value));
    else
        return static_cast<FloatItem<to>>(value);
}

/// What is or becomes f16 goes by way of f32, which processors convert faster than what is written out for one element.
template <DType from, DType to, std::size_t count>
void cast_block(const FloatItem<from> (&in)[count], FloatItem<to> (&out)[count]) {
    float singles[count];
    if constexpr (from == DType::f16 && to == DType::bf16) {
        widen_f16(in, singles);
        for (std::size_t i = 0; i < count; ++i) out[i] = f32_to_bf16(singles[i], bf16_nan_of_f16);
    } else if constexpr (from == DType::f16 && to != DType::f16) {
        widen_f16(in, singles);
        for (std::size_t i = 0; i < count; ++i) out[i] = cast_one<DType::f32, to>(singles[i]);
    } else if constexpr (from != DType::f16 && to == DType::f16) {
        for (std::size_t i = 0; i < count; ++i) singles[i] = cast_one<from, DType::f32>(in[i]);
        narrow_to_f16(singles, out);
    } else {
        for (std::size_t i = 0; i < count; ++i) out[i] = cast_one<from, to>(in[i]);
    }
}

/// Casts by way of local arrays of a fixed length: a loop of known length over arrays that cannot overlap is one that
/// GCC vectorises at -O2 already. `in` and `out` need no alignment.
template <DType from, DType to>
void cast_all(const std::byte* in, std::byte* out, std::uint64_t count) {
    constexpr std::size_t block = 256;
    FloatItem<from> values[block] = {};
    FloatItem<to> results[block];
    for (std::uint64_t done = 0; done < count; done += block) {
        const auto part = static_cast<std::size_t>(std::min<std::uint64_t>(block, count - done));
        std::memcpy(values, in + done * sizeof(values[0]), part * sizeof(values[0]));
        cast_block<from, to>(values, results);
        std::memcpy(out + done * sizeof(results[0]), results, part * sizeof(results[0]));
    }
}

/// Calls use.operator()<dtype>() for a castable dtype.
template <class Use>
void with_float_type(DType dtype, Use&& use) {
    switch (dtype) {
        case DType::f64: return use.template operator()<DType::f64>();
        case DType::f32: return use.template operator()<DType::f32>();
        case DType::f16: return use.template operator()<DType::f16>();
        case DType::bf16: return use.template operator()<DType::bf16>();
        default:
            throw Error(
                to_text("elements of ", dtype_name(dtype), " are not cast; only those of f64, f32, f16 and bf16"));
    }
}

}  // namespace detail

/// Casts `count` elements between castable float types; throws Error for other types. The ranges do not overlap and
/// need no alignment.
inline void cast_elements(DType from, const std::byte* in, DType to, std::byte* out, std::uint64_t count) {
    detail::with_float_type(from, [&]<DType f>() {
        detail::with_float_type(to, [&]<DType t>() { detail::cast_all<f, t>(in, out, count); });
    });
}

}  // namespace crossdock
