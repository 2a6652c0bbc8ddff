// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <concepts>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

namespace crossdock {

/// A text that never changes and that its copies share: a file's path, beside each of its tensors. It takes one word,
/// as there may be a million of them.
class SharedText {
public:
    SharedText() = default;
    SharedText(std::string text) : kept_(new Kept{.owners = 1, .text = std::move(text)}) {}
    SharedText(const char* text) : SharedText(std::string(text)) {}
    SharedText(const SharedText& other) noexcept : kept_(other.kept_) {
        if (kept_) kept_->owners.fetch_add(1, std::memory_order_relaxed);
    }
    SharedText(SharedText&& other) noexcept : kept_(std::exchange(other.kept_, nullptr)) {}
    SharedText& operator=(SharedText other) noexcept {
        std::swap(kept_, other.kept_);
        return *this;
    }
    ~SharedText() {
        if (kept_ && kept_->owners.fetch_sub(1, std::memory_order_acq_rel) == 1) delete kept_;
    }

    const std::string& str() const noexcept {
        static const std::string none;
        return kept_ ? kept_->text : none;
    }
    operator const std::string&() const noexcept { return str(); }

    friend bool operator==(const SharedText& a, const SharedText& b) noexcept { return a.str() == b.str(); }
    template <std::convertible_to<std::string_view> Text>
    friend bool operator==(const SharedText& a, const Text& b) noexcept {
        return std::string_view(a.str()) == std::string_view(b);
    }
    template <class Stream>
    friend Stream& operator<<(Stream& out, const SharedText& text) {
        out << text.str();
        return out;
    }

private:
    struct Kept {
        std::atomic<std::size_t> owners;
        const std::string text;
    };

    Kept* kept_ = nullptr;
};

inline void append_text(std::string& out, const SharedText& text) { out += text.str(); }

}  // namespace crossdock
