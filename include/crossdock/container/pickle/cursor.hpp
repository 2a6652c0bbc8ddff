// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "crossdock/container/little_endian.hpp"
#include "crossdock/core/error.hpp"
#include "crossdock/core/source.hpp"
#include "crossdock/core/text.hpp"

namespace crossdock::pickle {

/// Reads a source from front to back in small steps, a block at a time. Callers check remaining() first.
class Cursor {
public:
    Cursor(std::shared_ptr<const Source> source, std::uint64_t begin, std::uint64_t end)
        : source_(std::move(source)),
          next_(begin),
          end_(end) {
        if (begin > end || end > source_->size())
            throw Error(
                to_text(source_->name(), ": bytes ", begin, " to ", end, " are asked for, it holds ", source_->size()));
    }

    std::uint64_t offset() const noexcept { return next_ - (block_.size() - at_); }
    std::uint64_t remaining() const noexcept { return end_ - offset(); }

    /// Another one at the same place, to look ahead with: what this one has read of the source already is not read again.
    Cursor ahead() {
        if (at_ == block_.size() && remaining() > 0) fill();
        return *this;
    }

    void take(std::span<std::byte> out) {
        while (!out.empty()) {
            if (at_ == block_.size()) fill();
            const std::size_t part = std::min(out.size(), block_.size() - at_);
            std::copy_n(block_.begin() + static_cast<std::ptrdiff_t>(at_), part, out.begin());
            at_ += part;
            out = out.subspan(part);
        }
    }

    template <std::integral T>
    T take_little() {
        if (block_.size() - at_ >= sizeof(T)) {  // as nearly always
            const std::byte* const here = block_.data() + at_;
            at_ += sizeof(T);
            return load_little<T>(here);
        }
        std::byte bytes[sizeof(T)];
        take(bytes);
        return load_little<T>(bytes);
    }

    /// The same bytes as take_text() gives, valid until something else is taken; `spare` has them where they do not lie
    /// together.
    std::string_view take_view(std::size_t bytes, std::string& spare) {
        if (block_.size() - at_ < bytes) return spare = take_text(bytes);
        const std::byte* const here = block_.data() + at_;
        at_ += bytes;
        return {reinterpret_cast<const char*>(here), bytes};
    }

    std::string take_text(std::size_t bytes) {
        std::string out(bytes, '\0');
        take(std::as_writable_bytes(std::span(out)));
        return out;
    }

    /// What stands in front of the next line feed, which is taken too; empty when it does not come within `limit`.
    std::optional<std::string> take_line(std::size_t limit) {
        std::string out;
        while (remaining() > 0 && out.size() <= limit) {
            const char next = take_little<char>();
            if (next == '\n') return out;
            out += next;
        }
        return std::nullopt;
    }

    /// Passes over bytes without reading them.
    void skip(std::uint64_t bytes) {
        if (bytes <= block_.size() - at_) {
            at_ += static_cast<std::size_t>(bytes);
            return;
        }
        require(bytes <= remaining());
        next_ = offset() + bytes;
        block_.clear();
        at_ = 0;
    }

private:
    void require(bool there) const {
        if (!there) throw Error(to_text(source_->name(), ": ends at byte ", end_, " in the midst of a value"));
    }

    void fill() {
        require(next_ < end_);
        block_.resize(static_cast<std::size_t>(std::min<std::uint64_t>(block_bytes, end_ - next_)));
        at_ = 0;
        source_->read(next_, std::span<std::byte>(block_));
        next_ += block_.size();
    }

    static constexpr std::size_t block_bytes = std::size_t{1} << 16;

    std::shared_ptr<const Source> source_;
    std::uint64_t next_, end_;
    std::vector<std::byte> block_;
    std::size_t at_ = 0;
};

}  // namespace crossdock::pickle
