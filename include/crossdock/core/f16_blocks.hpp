// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "crossdock/core/float_formats.hpp"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

// f16 needs many instructions an element where the processor has none for it, and x86-64 has not; nearly all processors
// of its kind have (F16C), which is seen at run time. They give the bits that float_formats.hpp gives. They are written
// as assembly since <immintrin.h> takes half a second to compile, and Clang has changed the builtins behind it.

namespace crossdock::detail {

#if defined(__x86_64__)

using EightFloats = float __attribute__((vector_size(32)));
using EightHalves = short __attribute__((vector_size(16)));

/// Whether processor and system can do what the two functions below do.
inline bool converts_f16() {
    static const bool answer = [] {
        unsigned int a = 0, b = 0, c = 0, d = 0;
        return __builtin_cpu_supports("avx") && __get_cpuid(1, &a, &b, &c, &d) != 0 && (c & bit_F16C) != 0;
    }();
    return answer;
}

/// `count` is a multiple of eight.
__attribute__((target("avx,f16c"))) inline void f32_to_f16_by_eights(const float* in, std::uint16_t* out,
                                                                     std::size_t count) {
    for (std::size_t i = 0; i < count; i += 8) {
        EightFloats values;
        EightHalves results;
        std::memcpy(&values, in + i, sizeof(values));
        asm("vcvtps2ph {$0, %1, %0|%0, %1, 0}" : "=x"(results) : "x"(values));  // 0: to nearest, ties to even
        std::memcpy(out + i, &results, sizeof(results));
    }
}

/// `count` is a multiple of eight.
__attribute__((target("avx,f16c"))) inline void f16_to_f32_by_eights(const std::uint16_t* in, float* out,
                                                                     std::size_t count) {
    for (std::size_t i = 0; i < count; i += 8) {
        EightHalves values;
        EightFloats results;
        std::memcpy(&values, in + i, sizeof(values));
        asm("vcvtph2ps {%1, %0|%0, %1}" : "=x"(results) : "x"(values));
        std::memcpy(out + i, &results, sizeof(results));
    }
}

#else

inline bool converts_f16() { return false; }
inline void f32_to_f16_by_eights(const float*, std::uint16_t*, std::size_t) {}
inline void f16_to_f32_by_eights(const std::uint16_t*, float*, std::size_t) {}

#endif

/// Converts an array whose length is a multiple of eight.
template <std::size_t count>
void narrow_to_f16(const float (&in)[count], std::uint16_t (&out)[count]) {
    static_assert(count % 8 == 0);
    if (converts_f16()) return f32_to_f16_by_eights(in, out, count);
    for (std::size_t i = 0; i < count; ++i) out[i] = f32_to_f16(in[i]);
}

/// Converts an array whose length is a multiple of eight.
template <std::size_t count>
void widen_f16(const std::uint16_t (&in)[count], float (&out)[count]) {
    static_assert(count % 8 == 0);
    if (converts_f16()) return f16_to_f32_by_eights(in, out, count);
    for (std::size_t i = 0; i < count; ++i) out[i] = f16_to_f32(in[i]);
}

}  // namespace crossdock::detail
