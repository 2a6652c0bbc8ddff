// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

#include "crossdock/container/output_file.hpp"
#include "crossdock/container/output_path.hpp"
#include "crossdock/core/error.hpp"
#include "crossdock/core/source.hpp"
#include "crossdock/core/text.hpp"

namespace crossdock {

/// The text of a small file. Throws Error when it cannot be read or is larger than any description of a model.
inline std::string read_text(const std::filesystem::path& path) {
    constexpr std::uint64_t limit = 16U << 20;
    const FileSource file(path);
    if (file.size() > limit)
        throw Error(
            to_text(file.name(), ": holds ", file.size(), " bytes, more than a text file of a checkpoint should"));
    std::string content(file.size(), '\0');
    file.read(0, std::as_writable_bytes(std::span(content)));
    return content;
}

/// A new text file, which is on the disk when this returns. Throws Error where the disk refuses.
inline void write_text(const OutputPath& path, std::string_view content) {
    OutputFile file(path);
    file.write(0, content);
    file.sync();
}

}  // namespace crossdock
