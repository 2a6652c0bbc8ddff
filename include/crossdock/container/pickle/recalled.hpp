// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <charconv>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <string>
#include <system_error>
#include <unordered_set>
#include <vector>

#include "crossdock/container/pickle/cursor.hpp"
#include "crossdock/container/pickle/format.hpp"

namespace crossdock::pickle::detail {

/// Which entries of its memo a pickle recalls. Python notes down whatever it pickles, some six values a tensor, and
/// recalls a dozen of them: the others need not be kept.
class RecalledEntries {
public:
    /// Any that there may be.
    RecalledEntries() = default;

    /// Those of the pickle at the cursor. Looks through its instructions up to where a reader would stop.
    explicit RecalledEntries(Cursor cursor) : is_known_(true), bytes_(cursor.remaining()) {
        while (is_known_ && step(cursor)) {
        }
    }

    bool contains(std::uint64_t index) const {
        return !is_known_ || (index < near_.size() && near_[static_cast<std::size_t>(index)]) || far_.contains(index);
    }

private:
    /// One instruction; false when it is the last one, or none that a reader would accept.
    bool step(Cursor& cursor) {
        if (cursor.remaining() == 0) return false;
        switch (static_cast<Opcode>(cursor.take_little<std::uint8_t>())) {
            case Opcode::stop: return false;
            case Opcode::binget: return note<std::uint8_t>(cursor);
            case Opcode::long_binget: return note<std::uint32_t>(cursor);
            case Opcode::get: return note_line(cursor);
            case Opcode::proto:
            case Opcode::binint1:
            case Opcode::binput: return pass(cursor, 1);
            case Opcode::binint2: return pass(cursor, 2);
            case Opcode::binint:
            case Opcode::long_binput: return pass(cursor, 4);
            case Opcode::binfloat:
            case Opcode::frame: return pass(cursor, 8);
            case Opcode::long1:
            case Opcode::short_binunicode:
            case Opcode::short_binstring:
            case Opcode::short_binbytes: return pass_counted<std::uint8_t>(cursor);
            case Opcode::long4:
            case Opcode::binunicode:
            case Opcode::binstring:
            case Opcode::binbytes: return pass_counted<std::uint32_t>(cursor);
            case Opcode::binunicode8:
            case Opcode::binbytes8:
            case Opcode::bytearray8: return pass_counted<std::uint64_t>(cursor);
            case Opcode::int_text:
            case Opcode::long_text:
            case Opcode::float_text:
            case Opcode::string_text:
            case Opcode::unicode_text:
            case Opcode::persid:
            case Opcode::put: return pass_line(cursor);
            case Opcode::global:
            case Opcode::inst: return pass_line(cursor) && pass_line(cursor);
            default: return true;  // without an operand
        }
    }

    static bool pass(Cursor& cursor, std::uint64_t bytes) {
        if (bytes > cursor.remaining()) return false;
        cursor.skip(bytes);
        return true;
    }

    template <std::unsigned_integral Length>
    static bool pass_counted(Cursor& cursor) {
        return sizeof(Length) <= cursor.remaining() && pass(cursor, cursor.take_little<Length>());
    }

    static bool pass_line(Cursor& cursor) { return cursor.take_line(line_limit).has_value(); }

    template <std::unsigned_integral Index>
    bool note(Cursor& cursor) {
        if (sizeof(Index) > cursor.remaining()) return false;
        note(cursor.take_little<Index>());
        return true;
    }

    bool note_line(Cursor& cursor) {
        const auto line = cursor.take_line(line_limit);
        std::int64_t index = 0;
        if (!line || std::from_chars(line->data(), line->data() + line->size(), index).ec != std::errc()) return false;
        note(static_cast<std::uint64_t>(index));
        return true;
    }

    /// Programs number entries in their order, so that an index is less than the pickle's bytes. Of a pickle with very
    /// many others, all are kept.
    void note(std::uint64_t index) {
        constexpr std::size_t most_far = std::size_t{1} << 16;
        if (index < bytes_) {
            if (index >= near_.size()) near_.resize(static_cast<std::size_t>(index) + 1);
            near_[static_cast<std::size_t>(index)] = true;
        } else if (far_.insert(index); far_.size() == most_far) {
            is_known_ = false;
        }
    }

    static constexpr std::size_t line_limit = std::size_t{1} << 24;

    bool is_known_ = false;
    std::uint64_t bytes_ = 0;
    std::vector<bool> near_;
    std::unordered_set<std::uint64_t> far_;
};

}  // namespace crossdock::pickle::detail
