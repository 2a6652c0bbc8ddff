// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "crossdock/container/output_file.hpp"
#include "crossdock/container/output_path.hpp"
#include "crossdock/container/path_kind.hpp"
#include "crossdock/core/error.hpp"
#include "crossdock/core/text.hpp"

namespace crossdock::cli::html {

/// A file that is written from front to back and is there whole or not at all: it is made beside its place, as
/// .NAME.crossdock-PROCESS, and put there by commit(). What was there until then is replaced.
class PageFile {
public:
    /// Throws Error where no file can be made there, or something stands there that is none.
    explicit PageFile(std::filesystem::path place) : place_(checked(std::move(place))), file_(temporary()) {}
    PageFile(const PageFile&) = delete;
    PageFile& operator=(const PageFile&) = delete;
    ~PageFile() {
        std::error_code ignored;
        if (!is_in_place_) std::filesystem::remove(temporary(), ignored);
    }

    void add(std::string_view text) {
        buffer_ += text;
        if (buffer_.size() >= block) flush();
    }

    void commit() {
        flush();
        file_.sync();
        rename_file(temporary(), place_);
        is_in_place_ = true;
    }

private:
    static constexpr std::size_t block = std::size_t{256} << 10;

    static std::filesystem::path checked(std::filesystem::path place) {
        if (!place.has_filename()) throw Error(to_text("'", place.string(), "' is not the name of a file"));
        std::error_code ignored;
        const auto folder = std::filesystem::absolute(place, ignored).parent_path();
        if (!is_directory_at(folder)) throw Error(to_text(folder.string(), ": is not a directory"));
        if (is_anything_at(place) && !is_file_at(place))
            throw Error(to_text(place.string(), ": is not a file, and nothing else is replaced"));
        std::filesystem::remove(temporary(place), ignored);
        return place;
    }

    static std::filesystem::path temporary(const std::filesystem::path& place) {
        return place.parent_path() / to_text('.', place.filename().string(), ".crossdock-", ::getpid());
    }
    std::filesystem::path temporary() const { return temporary(place_); }

    void flush() {
        end_ += file_.write(end_, buffer_);
        buffer_.clear();
    }

    std::filesystem::path place_;
    OutputFile file_;
    std::string buffer_;
    std::uint64_t end_ = 0;
    bool is_in_place_ = false;
};

}  // namespace crossdock::cli::html
