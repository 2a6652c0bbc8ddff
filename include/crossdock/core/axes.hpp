// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <utility>
#include <vector>

namespace crossdock {

/// A number for each axis of a tensor, outermost first. Copies of up to three, as nearly all tensors have, take no memory
/// of their own.
class Axes {
public:
    Axes() = default;
    Axes(std::initializer_list<std::uint64_t> numbers) : Axes(std::span(numbers.begin(), numbers.size())) {}
    Axes(const std::vector<std::uint64_t>& numbers) : Axes(std::span(numbers)) {}
    explicit Axes(std::span<const std::uint64_t> numbers) {
        if (numbers.size() > few) numbers_.many = new std::uint64_t[numbers.size()];
        count_ = static_cast<std::uint32_t>(numbers.size());
        std::copy(numbers.begin(), numbers.end(), begin());
    }
    Axes(const Axes& other) : Axes(std::span(other)) {}
    Axes(Axes&& other) noexcept { swap(other); }
    Axes& operator=(Axes other) noexcept {
        swap(other);
        return *this;
    }
    ~Axes() {
        if (count_ > few) delete[] numbers_.many;
    }

    std::size_t size() const noexcept { return count_; }
    bool empty() const noexcept { return count_ == 0; }
    /// The number of an axis below size().
    std::uint64_t operator[](std::size_t axis) const noexcept { return begin()[axis]; }
    std::uint64_t& operator[](std::size_t axis) noexcept { return begin()[axis]; }

    const std::uint64_t* begin() const noexcept { return count_ > few ? numbers_.many : numbers_.few; }
    const std::uint64_t* end() const noexcept { return begin() + count_; }
    std::uint64_t* begin() noexcept { return count_ > few ? numbers_.many : numbers_.few; }
    std::uint64_t* end() noexcept { return begin() + count_; }

    bool operator==(const Axes& other) const noexcept { return std::equal(begin(), end(), other.begin(), other.end()); }

private:
    static constexpr std::size_t few = 3;  ///< that lie in the object itself

    void swap(Axes& other) noexcept {
        std::swap(count_, other.count_);
        std::swap(numbers_, other.numbers_);
    }

    union Numbers {
        std::uint64_t few[Axes::few];
        std::uint64_t* many;
    };

    Numbers numbers_{};
    std::uint32_t count_ = 0;  ///< behind them, so that a small member of whoever has this one may follow at once
};

}  // namespace crossdock
