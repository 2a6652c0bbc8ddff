// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>

#include "crossdock/container/little_endian.hpp"
#include "crossdock/container/zip/format.hpp"

namespace crossdock::zip {

namespace detail {

/// A stored entry as its headers describe it.
struct Described {
    std::string name;
    std::uint64_t header_offset = 0, size = 0;
    std::uint32_t crc = 0;
};

inline std::uint32_t low_or_zip64(std::uint64_t number) {
    return number >= in_zip64_32 ? in_zip64_32 : static_cast<std::uint32_t>(number);
}

/// How many bytes an extra field takes with the 64-bit numbers in it; none where there are no such numbers.
constexpr std::size_t extra_bytes(std::size_t numbers) { return numbers == 0 ? 0 : 4 + 8 * numbers; }

/// Which 64-bit numbers the headers need: the sizes, and in the directory the place of the header.
inline std::size_t local_numbers(const Described& entry) { return entry.size >= in_zip64_32 ? 2 : 0; }
inline std::size_t central_numbers(const Described& entry) {
    return local_numbers(entry) + (entry.header_offset >= in_zip64_32 ? 1 : 0);
}

/// Zs that make the payload's place in the file a multiple of 64, for a zip that begins at byte `begin`.
inline std::uint64_t padding_of(const Described& entry, std::uint64_t begin) {
    const std::uint64_t unpadded =
        begin + entry.header_offset + local_bytes + entry.name.size() + extra_bytes(local_numbers(entry)) + 4;
    return (payload_alignment - unpadded % payload_alignment) % payload_alignment;
}

inline std::uint64_t local_header_bytes(const Described& entry, std::uint64_t begin = 0) {
    return local_bytes + entry.name.size() + extra_bytes(local_numbers(entry)) + 4 + padding_of(entry, begin);
}

inline std::uint64_t central_header_bytes(const Described& entry) {
    return central_bytes + entry.name.size() + extra_bytes(central_numbers(entry));
}

/// Where the checksum stands in the headers.
inline constexpr std::size_t crc_in_local_header = 14, crc_in_central_header = 16;

/// What local and central header have in common, from "version needed" to the length of the extra fields.
inline void append_common(std::string& out, const Described& entry, bool zip64, std::uint64_t extra) {
    append_little<std::uint16_t>(out, zip64 ? 45 : 20);
    append_little(out, flag_utf8);
    append_little(out, method_stored);
    append_little<std::uint16_t>(out, 0);       // time
    append_little<std::uint16_t>(out, 0x0021);  // date: 1980-01-01, so that equal content gives equal files
    append_little(out, entry.crc);
    append_little(out, low_or_zip64(entry.size));
    append_little(out, low_or_zip64(entry.size));
    append_little(out, static_cast<std::uint16_t>(entry.name.size()));
    append_little(out, static_cast<std::uint16_t>(extra));
}

/// The beginning of an extra field of the 64-bit numbers, with the sizes where they are among them.
inline void append_numbers(std::string& out, const Described& entry, std::size_t numbers) {
    if (numbers == 0) return;
    append_little(out, zip64_extra);
    append_little(out, static_cast<std::uint16_t>(8 * numbers));
    if (local_numbers(entry) > 0) append_little(out, entry.size), append_little(out, entry.size);
}

inline void append_local_header(std::string& out, const Described& entry, std::uint64_t begin = 0) {
    const std::size_t numbers = local_numbers(entry);
    const std::uint64_t padding = padding_of(entry, begin);
    append_little(out, local_signature);
    append_common(out, entry, numbers > 0, extra_bytes(numbers) + 4 + padding);
    out += entry.name;
    append_numbers(out, entry, numbers);
    append_little(out, padding_extra);
    append_little(out, static_cast<std::uint16_t>(padding));
    out.append(padding, 'Z');
}

inline void append_central_header(std::string& out, const Described& entry) {
    const std::size_t numbers = central_numbers(entry);
    append_little(out, central_signature);
    append_little<std::uint16_t>(out, 45);  // made by
    append_common(out, entry, numbers > 0, extra_bytes(numbers));
    append_little<std::uint16_t>(out, 0);  // comment
    append_little<std::uint16_t>(out, 0);  // disk
    append_little<std::uint16_t>(out, 0);  // internal attributes
    append_little<std::uint32_t>(out, 0);  // external attributes
    append_little(out, low_or_zip64(entry.header_offset));
    out += entry.name;
    append_numbers(out, entry, numbers);
    if (entry.header_offset >= in_zip64_32) append_little(out, entry.header_offset);
}

/// What stands at the end of a zip whose directory has `count` entries, and `bytes` bytes at `offset`.
inline std::string end_of_directory(std::uint64_t offset, std::uint64_t bytes, std::uint64_t count) {
    std::string out;
    if (offset >= in_zip64_32 || bytes >= in_zip64_32 || count >= in_zip64_16) {
        append_little(out, zip64_end_signature);
        append_little<std::uint64_t>(out, zip64_end_bytes - 12);  // of what follows
        append_little<std::uint16_t>(out, 45);                    // made by
        append_little<std::uint16_t>(out, 45);                    // needed
        append_little<std::uint64_t>(out, 0);                     // disks
        append_little(out, count);
        append_little(out, count);
        append_little(out, bytes);
        append_little(out, offset);
        append_little(out, zip64_locator_signature);
        append_little<std::uint32_t>(out, 0);  // disk
        append_little(out, offset + bytes);
        append_little<std::uint32_t>(out, 1);  // disks
    }
    append_little(out, end_signature);
    append_little<std::uint32_t>(out, 0);  // disks
    const auto short_count = static_cast<std::uint16_t>(std::min<std::uint64_t>(count, in_zip64_16));
    append_little(out, short_count);
    append_little(out, short_count);
    append_little(out, low_or_zip64(bytes));
    append_little(out, low_or_zip64(offset));
    append_little<std::uint16_t>(out, 0);  // comment
    return out;
}

}  // namespace detail

}  // namespace crossdock::zip
