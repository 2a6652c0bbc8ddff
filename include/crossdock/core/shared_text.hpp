// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <concepts>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace crossdock {

/// A text that never changes and that its copies share: a file's path, beside each of its tensors.
class SharedText {
public:
    SharedText() = default;
    SharedText(std::string text) : text_(std::make_shared<const std::string>(std::move(text))) {}
    SharedText(const char* text) : SharedText(std::string(text)) {}

    const std::string& str() const noexcept {
        static const std::string none;
        return text_ ? *text_ : none;
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
    std::shared_ptr<const std::string> text_;
};

inline void append_text(std::string& out, const SharedText& text) { out += text.str(); }

}  // namespace crossdock
