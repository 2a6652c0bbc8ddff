// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string_view>

namespace crossdock {

/// A number by which processes see whether they mean the same: FNV-1a over what is added. It finds mistakes and keeps
/// no one out.
class Fingerprint {
public:
    void add(std::string_view text) {
        add(text.size());
        for (const char letter : text) add_byte(static_cast<unsigned char>(letter));
    }
    void add(std::uint64_t number) {
        for (unsigned shift = 0; shift < 64; shift += 8) add_byte(number >> shift & 0xFF);
    }

    std::uint64_t value() const noexcept { return value_; }

private:
    void add_byte(std::uint64_t byte) { value_ = (value_ ^ byte) * 0x100000001B3; }

    std::uint64_t value_ = 0xCBF29CE484222325;
};

}  // namespace crossdock
