// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "crossdock/container/descriptor.hpp"
#include "crossdock/core/digest.hpp"
#include "crossdock/core/text.hpp"

namespace crossdock {

/// What a run has written, kept beside its files, so that a later run need not do it again. A text:
///
///     crossdock journal 2 <digest of the job>
///     <digest> <offset> <bytes> <file>
///
/// A line says that these bytes of the file were written, and their digest, seeded with the tensor's name. Lines and the
/// bytes that they speak of come in any order, and nobody flushes either, so a line is a claim and no proof: whoever
/// trusts one looks at the bytes. What is no line, as a power cut may leave it, is skipped.
class Journal {
public:
    struct Block {
        std::uint64_t bytes = 0;
        Digest digest{};
    };
    /// By their offsets in a file.
    using Blocks = std::map<std::uint64_t, Block>;

    /// Whether `path` is the journal of this job.
    static bool is_of(const std::filesystem::path& path, std::string_view job) {
        std::ifstream file(path);
        std::string line;
        return std::getline(file, line) && line == head(job);
    }

    /// Begins the journal of a job, or goes on with it when it is there. A journal that cannot be written is none: that
    /// is no reason to fail.
    Journal(const std::filesystem::path& path, std::string_view job) {
        const bool goes_on = is_of(path, job);
        if (goes_on) read(path);
        const int kind = goes_on ? O_APPEND : O_TRUNC;
        file_ = detail::Descriptor(::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW | kind, 0666));
        lines_ = goes_on ? "\n" : head(job) + '\n';  // the last line may be torn
        flush();
    }
    Journal(const Journal&) = delete;
    Journal& operator=(const Journal&) = delete;
    ~Journal() { flush(); }

    /// Whether earlier runs have noted something.
    bool goes_on() const noexcept { return !files_.empty(); }

    /// What earlier runs have noted of a file.
    const Blocks& blocks(std::string_view file) const {
        static const Blocks none;
        const auto found = files_.find(file);
        return found == files_.end() ? none : found->second;
    }

    /// Whether there is anything that a later run could make use of. Any thread.
    bool has_blocks() {
        const std::lock_guard lock(mutex_);
        return has_new_ || !files_.empty();
    }

    /// The bytes stand in the file. Any thread.
    void note(std::string_view file, std::uint64_t offset, const Block& block) {
        const std::string line = to_text(to_string(block.digest), ' ', offset, ' ', block.bytes, ' ', file, '\n');
        const std::lock_guard lock(mutex_);
        has_new_ = true;
        lines_ += line;
        unflushed_bytes_ += block.bytes;
        constexpr std::size_t long_text = 4096;
        constexpr std::uint64_t much = std::uint64_t{1} << 22;  // that would have to be written again
        if (lines_.size() >= long_text || unflushed_bytes_ >= much) flush();
    }

private:
    static std::string head(std::string_view job) { return to_text("crossdock journal 2 ", to_string(digest_of(job))); }

    void read(const std::filesystem::path& path) {
        std::ifstream file(path);
        std::string line;
        while (std::getline(file, line)) {
            std::string_view rest = line;
            const auto digest = parse_digest(next_word(rest));
            const auto offset = parse_count(next_word(rest)), bytes = parse_count(next_word(rest));
            if (digest && offset && bytes && !rest.empty())
                files_[std::string(rest)].insert_or_assign(*offset, Block{*bytes, *digest});
        }
    }

    static std::string_view next_word(std::string_view& rest) {
        const std::size_t end = rest.find(' ');
        const std::string_view word = rest.substr(0, end);
        rest.remove_prefix(end == rest.npos ? rest.size() : end + 1);
        return word;
    }

    static std::optional<std::uint64_t> parse_count(std::string_view text) {
        std::uint64_t number = 0;
        const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
        return error == std::errc() && end == text.data() + text.size() ? std::optional(number) : std::nullopt;
    }

    void flush() noexcept {
        std::string_view rest = lines_;
        while (!rest.empty() && file_.get() >= 0) {
            const ssize_t done = ::write(file_.get(), rest.data(), rest.size());
            if (done < 0 && errno == EINTR) continue;
            if (done <= 0) file_ = detail::Descriptor();
            rest.remove_prefix(done > 0 ? static_cast<std::size_t>(done) : 0);
        }
        lines_.clear();
        unflushed_bytes_ = 0;
    }

    std::map<std::string, Blocks, std::less<>> files_;  // as of the beginning
    std::mutex mutex_;                                  // of what follows
    detail::Descriptor file_;
    std::string lines_;
    std::uint64_t unflushed_bytes_ = 0;
    bool has_new_ = false;
};

}  // namespace crossdock
