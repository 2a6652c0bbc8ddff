// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "crossdock/core/text.hpp"

namespace crossdock::cli::html {

/// SHA-256 (FIPS 180-4). Browsers know a page's own script by it.
class Sha256 {
public:
    static std::array<unsigned char, 32> of(std::string_view text) {
        std::string padded(text);
        padded += '\x80';
        padded.append((119 - text.size() % 64) % 64, '\0');
        for (int shift = 56; shift >= 0; shift -= 8)
            padded += static_cast<char>((std::uint64_t{text.size()} * 8) >> shift & 0xFF);
        Sha256 state;
        for (std::size_t at = 0; at < padded.size(); at += 64) state.add(padded.data() + at);
        return state.value();
    }

private:
    /// The first 32 bits of the fractional parts of the square roots of the first primes.
    std::array<std::uint32_t, 8> state_{0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                        0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    /// Those of the cube roots.
    static constexpr std::array<std::uint32_t, 64> rounds{
        0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
        0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
        0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
        0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
        0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
        0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
        0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
        0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

    void add(const char* block) {
        std::array<std::uint32_t, 64> words{};
        for (std::size_t i = 0; i < 64; ++i) words[i / 4] = words[i / 4] << 8 | static_cast<unsigned char>(block[i]);
        for (std::size_t i = 16; i < 64; ++i) {
            const std::uint32_t a = words[i - 15], b = words[i - 2];
            words[i] = words[i - 16] + (std::rotr(a, 7) ^ std::rotr(a, 18) ^ a >> 3) + words[i - 7] +
                       (std::rotr(b, 17) ^ std::rotr(b, 19) ^ b >> 10);
        }
        auto [a, b, c, d, e, f, g, h] = state_;
        for (std::size_t i = 0; i < 64; ++i) {
            const std::uint32_t from_e = h + (std::rotr(e, 6) ^ std::rotr(e, 11) ^ std::rotr(e, 25)) +
                                         ((e & f) ^ (~e & g)) + rounds[i] + words[i];
            const std::uint32_t from_a =
                (std::rotr(a, 2) ^ std::rotr(a, 13) ^ std::rotr(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
            h = g, g = f, f = e, e = d + from_e, d = c, c = b, b = a, a = from_e + from_a;
        }
        const std::array added{a, b, c, d, e, f, g, h};
        for (std::size_t i = 0; i < state_.size(); ++i) state_[i] += added[i];
    }

    std::array<unsigned char, 32> value() const {
        std::array<unsigned char, 32> bytes{};
        for (std::size_t i = 0; i < bytes.size(); ++i)
            bytes[i] = static_cast<unsigned char>(state_[i / 4] >> (24 - i % 4 * 8) & 0xFF);
        return bytes;
    }
};

/// "'sha256-…'": how a content security policy allows the script or style element that holds this text, and no other.
inline std::string allowed_by_hash(std::string_view text) {
    constexpr std::string_view digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const auto digest = Sha256::of(text);
    std::string base64;
    for (std::size_t at = 0; at < digest.size(); at += 3) {
        std::uint32_t bits = 0;
        for (std::size_t i = at; i < at + 3; ++i) bits = bits << 8 | (i < digest.size() ? digest[i] : 0U);
        for (int shift = 18; shift >= 0; shift -= 6) base64 += digits[bits >> shift & 63];
    }
    base64.back() = '=';  // 32 bytes leave one of three
    return to_text("'sha256-", base64, "'");
}

}  // namespace crossdock::cli::html
