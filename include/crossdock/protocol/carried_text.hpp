// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <any>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

namespace crossdock {

/// A text that travels with a model ("config.json"), and what its first reader made of it: copies share both, so that
/// nothing is parsed twice. May be read from several threads at once.
class CarriedText {
public:
    CarriedText() : CarriedText(std::string()) {}
    CarriedText(std::string text) : content_(std::make_shared<Content>(std::move(text))) {}
    /// A text whose value is known already.
    template <class T>
    CarriedText(std::string text, T value) : CarriedText(std::move(text)) {
        content_->value.emplace<T>(std::move(value));
    }

    const std::string& text() const noexcept { return content_->text; }

    /// What `parse` makes of the text, called at most once; lives as long as any copy. All readers of a text want the
    /// same T. What `parse` throws goes through.
    template <class T, class Parse>
    const T& as(Parse&& parse) const {
        const std::lock_guard lock(content_->mutex);
        if (!content_->value.has_value()) content_->value.emplace<T>(parse(content_->text));
        return *std::any_cast<T>(&content_->value);
    }

private:
    struct Content {
        explicit Content(std::string given) : text(std::move(given)) {}
        const std::string text;
        std::mutex mutex{};
        std::any value{};
    };

    std::shared_ptr<Content> content_;
};

}  // namespace crossdock
