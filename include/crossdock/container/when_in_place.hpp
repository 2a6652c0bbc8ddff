// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <new>
#include <string_view>
#include <utility>

#include "crossdock/core/error.hpp"
#include "crossdock/core/text.hpp"

namespace crossdock {

/// Does what is left to do when a target is in its place, and stays there. Where that fails, for want of memory even,
/// the Error says so first; `but` is what the failure means.
template <class Work>
decltype(auto) when_in_place(std::string_view but, Work&& work) {
    const auto place = [&] { return to_text("the target is complete and in its place, but ", but); };
    return in_context(place, [&]() -> decltype(auto) {
        try {
            return std::forward<Work>(work)();
        } catch (const std::bad_alloc&) {
            throw Error("out of memory");
        }
    });
}

}  // namespace crossdock
