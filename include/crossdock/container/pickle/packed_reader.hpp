// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>

#include "crossdock/container/pickle/cursor.hpp"
#include "crossdock/container/pickle/packed.hpp"
#include "crossdock/container/pickle/packed_machine.hpp"
#include "crossdock/core/error.hpp"
#include "crossdock/core/source.hpp"
#include "crossdock/core/text.hpp"

namespace crossdock::pickle {

/// A pickle of protocol 2 to 5 in which floats, bytes and sets do not matter: they are values without content. Nothing
/// in it is imported, called or executed. Values of it are valid as long as it lives and is not moved.
class PackedPickle {
public:
    /// Throws Error, with the byte offset, on anything that is not a well-formed pickle.
    explicit PackedPickle(const Source& file) : arena_(detail::PackedMachine(file.name(), all_of(file)).run()) {}
    PackedPickle(const PackedPickle&) = delete;
    PackedPickle& operator=(const PackedPickle&) = delete;

    PackedValue root() const { return {arena_, arena_.root}; }

private:
    static Cursor all_of(const Source& file) {
        constexpr std::uint64_t most_bytes = std::uint64_t{1} << 29;
        if (file.size() > most_bytes)
            throw Error(to_text(file.name(), ": holds ", file.size(), " bytes, at most ", most_bytes, " are read"));
        const std::shared_ptr<const Source> borrowed(std::shared_ptr<const Source>(), &file);
        return {borrowed, 0, file.size()};
    }

    detail::Arena arena_;
};

}  // namespace crossdock::pickle
