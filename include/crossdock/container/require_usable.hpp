// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <string_view>

#include "crossdock/container/descriptor.hpp"
#include "crossdock/core/error.hpp"
#include "crossdock/core/source.hpp"
#include "crossdock/core/text.hpp"

namespace crossdock::detail {

[[noreturn]] inline void refuse_as_target(const std::filesystem::path& directory, std::string_view what) {
    const int reason = errno;
    throw Error(to_text(directory.string(), ": this file system ", what, " (", std::string_view(std::strerror(reason)),
                        "), so no target can be written to it; write to another one and copy the result"));
}

/// Throws Error where a directory's file system cannot hold a target: tried before the weights are read, since object
/// stores that are mounted look like any other directory until then. Leaves the directory as it was.
inline void require_usable(const std::filesystem::path& directory) {
    const auto file = directory / "probe", from = directory / "probe.from", to = directory / "probe.to";
    {
        const Descriptor probe(
            uninterrupted([&] { return ::open(file.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666); }));
        if (probe.get() < 0) throw file_error(file, "cannot be created", errno);
        for (const off_t at : {1, 0}) {
            if (uninterrupted([&] { return static_cast<int>(::pwrite(probe.get(), "x", 1, at)); }) == 1) continue;
            if (errno == EINVAL || errno == EOPNOTSUPP || errno == ESPIPE)
                refuse_as_target(directory, "takes no writes out of order");
            throw file_error(file, "cannot be written", errno);
        }
    }
    if (::unlink(file.c_str()) != 0) refuse_as_target(directory, "removes no files");
    if (::mkdir(from.c_str(), 0777) != 0 || ::rename(from.c_str(), to.c_str()) != 0 || ::rmdir(to.c_str()) != 0)
        refuse_as_target(directory, "renames no directories");
}

}  // namespace crossdock::detail
