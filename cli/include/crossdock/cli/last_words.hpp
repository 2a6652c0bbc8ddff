// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <unistd.h>

#include <cstring>
#include <exception>
#include <initializer_list>
#include <new>

#include "crossdock/container/under_way.hpp"

namespace crossdock::cli {

/// Says in one line why the program ends where an exception finds no handler: before main() (memory may lack for the
/// regular expressions of the command line's parser), or in what must not throw: nlohmann's JSON takes memory to destroy
/// its values. Removes what was written before. Include this before all that makes something then.
class LastWords {
public:
    LastWords() noexcept { std::set_terminate(end); }

    /// Takes no memory.
    static void print(const char* reason) noexcept {
        const char* const but = UnderWay::is_complete ? "the target is complete and in its place, but " : "";
        for (const char* part : {"crossdock: ", but, reason, "\n"})
            if (::write(STDERR_FILENO, part, std::strlen(part)) < 0) return;
    }

private:
    [[noreturn]] static void end() noexcept {
        UnderWay::remove_all();
        try {
            if (std::current_exception()) std::rethrow_exception(std::current_exception());
            print("a promise of the program does not hold");
        } catch (const std::bad_alloc&) {
            print("out of memory");
        } catch (const std::exception& error) {
            print(error.what());
        } catch (...) {
            print("an unknown error");
        }
        ::_exit(1);
    }
};

namespace detail {

inline const LastWords last_words;

}  // namespace detail

}  // namespace crossdock::cli
