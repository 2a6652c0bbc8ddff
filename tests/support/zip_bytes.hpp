// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "crossdock/container/little_endian.hpp"
#include "crossdock/container/zip/crc32.hpp"

namespace crossdock::test {

/// One entry of a zip put together by hand.
struct ZipPart {
    std::string name, data;
    std::uint16_t method = 0;
    std::uint32_t unpacked_bytes = 0;  ///< where `data` is compressed
    std::uint32_t crc = 0;             ///< of the unpacked bytes, where `data` is compressed
};

/// The fields that local and central header share, from the flags to the length of the name.
inline std::string zip_header_fields(const ZipPart& part) {
    std::string out;
    const bool packed = part.method != 0;
    append_little<std::uint16_t>(out, 0);  // flags
    append_little<std::uint16_t>(out, part.method);
    append_little<std::uint32_t>(out, 0);  // time
    append_little(out, packed ? part.crc : zip::crc32(std::as_bytes(std::span(part.data))));
    append_little(out, static_cast<std::uint32_t>(part.data.size()));
    append_little(out, packed ? part.unpacked_bytes : static_cast<std::uint32_t>(part.data.size()));
    append_little(out, static_cast<std::uint16_t>(part.name.size()));
    return out;
}

/// The extra field that makes a payload begin at a multiple of 64, for one that would begin at byte `begin`.
inline std::string zip_padding(std::size_t begin) {
    const auto bytes = static_cast<std::uint16_t>((64 - (begin + 4) % 64) % 64);
    std::string out = "FB";
    append_little(out, bytes);
    return out + std::string(bytes, 'Z');
}

/// A zip of these entries, without comments; its payloads padded as PyTorch does where that is asked.
inline std::string zip_bytes(const std::vector<ZipPart>& parts, bool padded = false) {
    std::string out, directory;
    for (const ZipPart& part : parts) {
        directory += std::string("PK\x01\x02\0\0\0\0", 8) + zip_header_fields(part) + std::string(12, '\0');
        append_little(directory, static_cast<std::uint32_t>(out.size()));
        directory += part.name;
        const std::string extra = padded ? zip_padding(out.size() + 30 + part.name.size()) : std::string();
        out += std::string("PK\x03\x04\0\0", 6) + zip_header_fields(part);
        append_little(out, static_cast<std::uint16_t>(extra.size()));
        out += part.name + extra + part.data;
    }
    const auto offset = static_cast<std::uint32_t>(out.size()), bytes = static_cast<std::uint32_t>(directory.size());
    out += directory + std::string("PK\x05\x06\0\0\0\0", 8);
    append_little(out, static_cast<std::uint16_t>(parts.size()));
    append_little(out, static_cast<std::uint16_t>(parts.size()));
    append_little(out, bytes);
    append_little(out, offset);
    return out + std::string(2, '\0');
}

/// The bytes with the ones from `at` on replaced by a little-endian number.
template <std::integral T>
std::string patched(std::string bytes, std::size_t at, T number) {
    std::string encoded;
    append_little(encoded, number);
    return bytes.replace(at, encoded.size(), encoded);
}

}  // namespace crossdock::test
