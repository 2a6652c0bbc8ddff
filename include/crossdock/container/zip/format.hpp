// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace crossdock::zip {

// The parts of a zip file as PKWARE's APPNOTE.TXT 6.3.9 (section 4) lays them out; all numbers are little-endian.

inline constexpr std::uint32_t local_signature = 0x04034B50;
inline constexpr std::uint32_t central_signature = 0x02014B50;
inline constexpr std::uint32_t end_signature = 0x06054B50;
inline constexpr std::uint32_t zip64_end_signature = 0x06064B50;
inline constexpr std::uint32_t zip64_locator_signature = 0x07064B50;

inline constexpr std::size_t local_bytes = 30;
inline constexpr std::size_t central_bytes = 46;
inline constexpr std::size_t end_bytes = 22;
inline constexpr std::size_t zip64_end_bytes = 56;
inline constexpr std::size_t zip64_locator_bytes = 20;

/// The extra field that holds the 64-bit numbers; a field of the header that reads all ones refers to it.
inline constexpr std::uint16_t zip64_extra = 0x0001;
inline constexpr std::uint16_t in_zip64_16 = 0xFFFF;
inline constexpr std::uint32_t in_zip64_32 = 0xFFFFFFFF;

/// The extra field with which PyTorch pads payloads to 64 bytes, "FB" and then Zs.
inline constexpr std::uint16_t padding_extra = 0x4246;
inline constexpr std::uint64_t payload_alignment = 64;

inline constexpr std::uint16_t flag_encrypted = 0x0001;
inline constexpr std::uint16_t flag_utf8 = 0x0800;
inline constexpr std::uint16_t method_stored = 0;
inline constexpr std::uint16_t method_deflated = 8;

/// One file of an archive, as the central directory describes it.
struct Entry {
    std::string_view name;            ///< its reader keeps it
    std::uint64_t header_offset = 0;  ///< of the local header; the payload begins after it
    std::uint64_t size = 0;           ///< unpacked
    std::uint64_t packed_size = 0;    ///< in the file; equals size when stored
    std::uint32_t crc = 0;
    std::uint16_t method = method_stored;
};

}  // namespace crossdock::zip
