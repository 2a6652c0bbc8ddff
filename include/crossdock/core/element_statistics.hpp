// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <optional>
#include <span>
#include <type_traits>
#include <vector>

#include "crossdock/core/dtype.hpp"
#include "crossdock/core/exact_sum.hpp"
#include "crossdock/core/float_formats.hpp"

namespace crossdock {

/// What the elements of a tensor come to. Of those that are neither NaN nor infinite, which would hide all others, as
/// doubles: exact for every type but i64, whose largest numbers are rounded.
struct Statistics {
    std::uint64_t nans = 0, infinities = 0;
    std::optional<double> min{}, max{}, mean{};  ///< empty where no element is finite
};

namespace detail {

/// The bits of a float, and how an ExactSum has them.
template <class Float>
struct FloatBits;
template <>
struct FloatBits<float> {
    using Bits = std::uint32_t;
    static constexpr unsigned mantissa = 23, exponents = 256;
    static constexpr unsigned lowest = 1074 - 149;  ///< the position of the last bit of the smallest one
};
template <>
struct FloatBits<double> {
    using Bits = std::uint64_t;
    static constexpr unsigned mantissa = 52, exponents = 2048;
    static constexpr unsigned lowest = 0;
};

/// What is found in a block of floats.
template <class Float>
class FloatBlock {
public:
    using Bits = typename FloatBits<Float>::Bits;

    /// As many as cannot overflow a sum.
    static constexpr std::size_t most = std::size_t{1} << std::min(62 - FloatBits<Float>::mantissa, 20U);

    /// `sums` are zeros, one for each exponent; what is added there counts in units of the exponent's last bit.
    explicit FloatBlock(std::span<std::int64_t> sums) : sums_(sums) {}

    void add(Float value) {
        constexpr unsigned width = FloatBits<Float>::mantissa;
        constexpr Bits hidden = Bits{1} << width, exponents = FloatBits<Float>::exponents - 1;
        const auto bits = std::bit_cast<Bits>(value);
        const Bits exponent = bits >> width & exponents, fraction = bits & (hidden - 1);
        if (exponent == exponents) {
            ++(fraction == 0 ? infinities : nans);
            return;
        }
        const auto mantissa = static_cast<std::int64_t>(exponent == 0 ? fraction : fraction | hidden);
        const Key signed_bits = static_cast<Key>(bits);
        sums_[exponent] += signed_bits < 0 ? -mantissa : mantissa;
        const Key key = ordered(signed_bits);
        least_ = std::min(least_, key);
        greatest_ = std::max(greatest_, key);
        ++finite;
    }

    // Of a block with finite numbers.
    double min() const { return std::bit_cast<Float>(static_cast<Bits>(ordered(least_))); }
    double max() const { return std::bit_cast<Float>(static_cast<Bits>(ordered(greatest_))); }

    std::uint64_t finite = 0, nans = 0, infinities = 0;

private:
    using Key = std::make_signed_t<Bits>;

    /// Floats are in the order of their bits, negative ones from behind, and -0 is less than 0: so their least does not
    /// depend on which comes first. Its own inverse.
    static Key ordered(Key bits) { return bits < 0 ? static_cast<Key>(bits ^ std::numeric_limits<Key>::max()) : bits; }

    std::span<std::int64_t> sums_;
    Key least_ = std::numeric_limits<Key>::max(), greatest_ = std::numeric_limits<Key>::min();
};

/// The lesser by the same order.
inline double lesser(double a, double b) { return b < a || (b == a && std::signbit(b)) ? b : a; }

}  // namespace detail

/// Takes in elements, block by block in any order, and tells their Statistics, which do not depend on the blocks: the
/// mean is the sum without any rounding, rounded once, over the count.
class ElementStatistics {
public:
    /// The bytes of elements of a type, which need no alignment.
    void add(DType dtype, std::span<const std::byte> bytes) {
        switch (dtype) {
            case DType::f64: return add_as<double>(bytes, [](double value) { return value; });
            case DType::f32: return add_as<float>(bytes, [](float value) { return value; });
            case DType::f16: return add_as<std::uint16_t>(bytes, f16_to_f32);
            case DType::bf16: return add_as<std::uint16_t>(bytes, bf16_to_f32);
            case DType::i64: return add_as<std::int64_t>(bytes, [](auto value) { return static_cast<double>(value); });
            case DType::i32: return add_as<std::int32_t>(bytes, [](auto value) { return static_cast<double>(value); });
            case DType::i16: return add_as<std::int16_t>(bytes, [](auto value) { return static_cast<float>(value); });
            case DType::i8: return add_as<std::int8_t>(bytes, [](auto value) { return static_cast<float>(value); });
            case DType::u8: return add_as<std::uint8_t>(bytes, [](auto value) { return static_cast<float>(value); });
            case DType::boolean:
                return add_as<std::uint8_t>(bytes, [](auto value) { return value == 0 ? 0.0F : 1.0F; });
            case DType::f8_e4m3: return add_as<std::uint8_t>(bytes, f8_e4m3_to_f32);
            case DType::f8_e5m2: return add_as<std::uint8_t>(bytes, f8_e5m2_to_f32);
        }
    }

    void add(const ElementStatistics& other) {
        nans_ += other.nans_;
        infinities_ += other.infinities_;
        add_range(other.finite_, other.min_, other.max_);
        sum_.add(other.sum_);
    }

    /// How many were taken in.
    std::uint64_t count() const noexcept { return finite_ + nans_ + infinities_; }

    Statistics result() const {
        Statistics found{.nans = nans_, .infinities = infinities_};
        if (finite_ == 0) return found;
        found.min = min_;
        found.max = max_;
        found.mean = sum_.value() / static_cast<double>(finite_);
        return found;
    }

private:
    /// `convert` makes an element a float or a double.
    template <class Element, class Convert>
    void add_as(std::span<const std::byte> bytes, Convert convert) {
        using Float = decltype(convert(Element()));
        using Block = detail::FloatBlock<Float>;
        thread_local std::vector<std::int64_t> sums(detail::FloatBits<Float>::exponents);
        while (!bytes.empty()) {
            const auto part = bytes.first(std::min(bytes.size(), Block::most * sizeof(Element)));
            std::fill(sums.begin(), sums.end(), 0);
            Block block(sums);
            for (std::size_t at = 0; at < part.size(); at += sizeof(Element)) {
                Element element;
                std::memcpy(&element, part.data() + at, sizeof(Element));
                block.add(convert(element));
            }
            take(block, sums);
            bytes = bytes.subspan(part.size());
        }
    }

    template <class Float>
    void take(const detail::FloatBlock<Float>& block, const std::vector<std::int64_t>& sums) {
        nans_ += block.nans;
        infinities_ += block.infinities;
        if (block.finite == 0) return;
        add_range(block.finite, block.min(), block.max());
        for (unsigned exponent = 0; exponent < sums.size(); ++exponent)  // 0 and 1 count in the same units
            if (sums[exponent] != 0)
                sum_.add(sums[exponent], detail::FloatBits<Float>::lowest + std::max(exponent, 1U) - 1);
    }

    void add_range(std::uint64_t finite, double min, double max) {
        if (finite == 0) return;
        min_ = finite_ == 0 ? min : detail::lesser(min_, min);
        max_ = finite_ == 0 ? max : -detail::lesser(-max_, -max);
        finite_ += finite;
    }

    std::uint64_t finite_ = 0, nans_ = 0, infinities_ = 0;
    double min_ = 0, max_ = 0;
    ExactSum sum_;
};

}  // namespace crossdock
