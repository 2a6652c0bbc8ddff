// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <libdeflate.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "crossdock/container/zip/crc32.hpp"
#include "crossdock/container/zip/format.hpp"
#include "crossdock/container/zip/reader.hpp"
#include "inputs.hpp"
#include "mutate_pickle.hpp"

namespace crossdock::test {

/// An entry of a zip, unpacked.
struct ZipPart {
    std::string name, content;
    bool deflated = false;
};

/// Throws Error as zip::Reader does, and where an entry holds more than a test has the time for.
inline std::vector<ZipPart> zip_parts(std::string_view zip) {
    const zip::Reader reader(source_of(zip));
    std::vector<ZipPart> parts;
    for (const zip::Entry& entry : reader.entries()) {
        const auto bytes = reader.read(entry, std::uint64_t{1} << 20);
        parts.push_back({std::string(entry.name),
                         std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size()),
                         entry.method == zip::method_deflated});
    }
    return parts;
}

namespace detail {

inline std::string little(std::uint64_t number, std::size_t bytes) {
    std::string out;
    for (; bytes > 0; --bytes, number >>= 8) out += static_cast<char>(number & 0xFF);
    return out;
}

inline std::string deflated(std::string_view content) {
    const std::unique_ptr<libdeflate_compressor, void (*)(libdeflate_compressor*)> compressor(
        libdeflate_alloc_compressor(1), libdeflate_free_compressor);
    std::string out(libdeflate_deflate_compress_bound(compressor.get(), content.size()), '\0');
    out.resize(libdeflate_deflate_compress(compressor.get(), content.data(), content.size(), out.data(), out.size()));
    return out;
}

}  // namespace detail

/// A zip whose sizes and checksums are right, whatever it holds.
inline std::string zip_of(const std::vector<ZipPart>& parts) {
    using detail::little;
    std::string out, directory;
    for (const ZipPart& part : parts) {
        const std::string packed = part.deflated ? detail::deflated(part.content) : part.content;
        const std::string name = part.name.substr(0, 0xFFFF);
        const std::string middle = little(20, 2) + little(zip::flag_utf8, 2) +
                                   little(part.deflated ? zip::method_deflated : zip::method_stored, 2) + little(0, 4) +
                                   little(zip::crc32(bytes_of(part.content)), 4) + little(packed.size(), 4) +
                                   little(part.content.size(), 4) + little(name.size(), 2) + little(0, 2);
        directory +=
            little(zip::central_signature, 4) + little(20, 2) + middle + little(0, 10) + little(out.size(), 4) + name;
        out += little(zip::local_signature, 4) + middle + name + packed;
    }
    const std::size_t offset = out.size();
    return out + directory + little(zip::end_signature, 4) + little(0, 4) + little(parts.size(), 2) +
           little(parts.size(), 2) + little(directory.size(), 4) + little(offset, 4) + little(0, 2);
}

/// A zip in which an entry is changed: a pickle instruction by instruction. Throws Error when it is none.
inline std::string mutate_zip(const std::string& text, std::size_t most, Random& random) {
    std::vector<ZipPart> parts = zip_parts(text);
    if (parts.empty()) throw Error("no entries");
    for (ZipPart& part : parts)
        if (part.name.ends_with(".pkl") && below(4, random) > 0) {
            part.content = mutate_pickle(part.content, most, random);
            return zip_of(parts);
        }
    const std::size_t at = below(parts.size(), random);
    ZipPart& part = parts[at];
    switch (below(5, random)) {
        case 0: part.name = mutate_bytes(part.name, part.name.size() + 4); break;
        case 1: part.content = mutate_bytes(part.content, part.content.size() + 16); break;
        case 2: part.deflated = !part.deflated; break;
        case 3: parts.push_back(ZipPart(parts[below(parts.size(), random)])); break;
        default: parts.erase(parts.begin() + static_cast<std::ptrdiff_t>(at));
    }
    return zip_of(parts);
}

}  // namespace crossdock::test
