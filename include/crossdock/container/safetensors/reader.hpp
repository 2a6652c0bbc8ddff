// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <utility>

#include "crossdock/container/foreign_files.hpp"
#include "crossdock/container/safetensors/header_parser.hpp"
#include "crossdock/container/tensor_dict.hpp"
#include "crossdock/core/recipe.hpp"
#include "crossdock/core/shared_text.hpp"
#include "crossdock/core/source.hpp"

namespace crossdock::safetensors {

namespace detail {

inline std::uint64_t read_header_bytes(const Source& file) {
    if (file.size() == 0) throw Error(foreign_content(file));
    if (file.size() < length_bytes)
        throw Error(
            to_text("holds ", file.size(), " bytes, a safetensors file begins with the 8 of its header's length"));
    std::array<std::byte, length_bytes> raw{};
    file.read(0, raw);
    std::uint64_t bytes = 0;
    for (std::size_t i = length_bytes; i-- > 0;) bytes = bytes << 8 | std::to_integer<std::uint64_t>(raw[i]);
    if (bytes == 0 || bytes > max_header_bytes || bytes > file.size() - length_bytes)
        if (const std::string what = foreign_content(file); !what.empty()) throw Error(what);
    if (bytes > max_header_bytes)
        throw Error(to_text("header claims ", bytes, " bytes, the format allows ", max_header_bytes,
                            "; is it a safetensors file?"));
    if (bytes > file.size() - length_bytes)
        throw Error(
            to_text("header claims ", bytes, " bytes, the file holds ", file.size(), "; it is probably truncated"));
    return bytes;
}

}  // namespace detail

/// Reads and checks a file's header. Throws Error; the caller says which file.
inline Header read_header(const Source& file) {
    std::string json(detail::read_header_bytes(file), '\0');
    file.read(length_bytes, std::as_writable_bytes(std::span(json)));
    return parse_header(json, file.size() - length_bytes - json.size());
}

/// The tensors of a safetensors source, in file order. Reads only the header; the tensors keep the source alive. Throws
/// Error for everything that the format forbids.
inline TensorDict read(const std::shared_ptr<const Source>& file) {
    return in_context(file->name(), [&] {
        Header header = read_header(*file);
        const std::uint64_t data_bytes = header.entries.empty() ? 0 : header.entries.back().end;
        const std::uint64_t data_begin = file->size() - data_bytes;
        const SharedText name = file->name();
        TensorDict tensors;
        tensors.reserve(header.entries.size());
        for (Entry& entry : header.entries)
            tensors.add({std::move(entry.name),
                         region(file, data_begin + entry.begin, entry.dtype, std::move(entry.shape)), name});
        return tensors;
    });
}

/// The tensors of a safetensors file.
inline TensorDict read(const std::filesystem::path& path) { return read(std::make_shared<FileSource>(path)); }

}  // namespace crossdock::safetensors
