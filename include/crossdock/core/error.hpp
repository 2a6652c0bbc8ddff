// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <exception>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace crossdock {

/// What stops a conversion. The text says where, what was found, what was expected and what to do;
/// it is part of the interface.
class Error : public std::exception {
public:
    [[gnu::cold, gnu::noinline]] explicit Error(std::string text) : text_(std::move(text)) {}

    const char* what() const noexcept override { return text_.c_str(); }

    /// Puts the place in front of the text: an outer floor says where an inner one failed.
    [[gnu::cold, gnu::noinline]] void within(std::string_view place) { text_.insert(0, std::string(place) + ": "); }

private:
    std::string text_;
};

/// The caller asked for something that does not exist: an unknown plugin, option or value.
class UsageError : public Error {
public:
    using Error::Error;
};

/// The caller's std::stop_token asked a conversion to end.
class Cancelled : public Error {
public:
    Cancelled() : Error("cancelled") {}
};

/// Runs `work`; an Error that leaves it says `place` first: a text, or what makes one, which is asked only then.
template <class Place, class Work>
decltype(auto) in_context(const Place& place, Work&& work) {
    try {
        return std::forward<Work>(work)();
    } catch (Error& error) {
        if constexpr (std::is_invocable_v<const Place&>)
            error.within(place());
        else
            error.within(place);
        throw;
    }
}

}  // namespace crossdock
