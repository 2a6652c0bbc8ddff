// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <bit>
#include <charconv>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "crossdock/container/pickle/builder.hpp"
#include "crossdock/container/pickle/cursor.hpp"
#include "crossdock/container/pickle/format.hpp"
#include "crossdock/container/pickle/integer.hpp"
#include "crossdock/container/pickle/stack.hpp"
#include "crossdock/container/pickle/text.hpp"
#include "crossdock/container/pickle/value.hpp"
#include "crossdock/core/text.hpp"

namespace crossdock::pickle {

/// Reads one pickle of protocol 0 to 5 into plain values. Nothing is imported, called or executed: what Python would
/// build by a call becomes an Object that says which. Only the calls by which old protocols spell bytes and sets are
/// interpreted.
class Reader : private detail::Builder {
public:
    using Builder::Shortcut;

    /// `where` names the pickle in errors: "model.pt: data.pkl". The cursor ends up after the pickle. `shortcut` sees
    /// each call as it is read, and may give the tensor that it stands for: a checkpoint's calls take ten times the
    /// memory of its tensors. `tensors` says where it puts these.
    Reader(Cursor& cursor, std::string where, Limits limits = {}, Shortcut shortcut = {},
           TensorPlace tensors = TensorPlace::entries)
        : Builder(std::move(where), limits, detail::RecalledEntries(cursor.ahead()), std::move(shortcut), tensors),
          cursor_(cursor) {}

    /// Throws Error, with the byte offset, on anything that is not a well-formed pickle within the limits.
    Value read() {
        while (!step()) {
        }
        return finish();
    }

private:
    // One instruction; true when it was the last one.
    bool step();
    bool step_number(Opcode opcode);
    bool step_text(Opcode opcode);
    bool step_container(Opcode opcode);
    bool step_object(Opcode opcode);
    bool step_memo(Opcode opcode);
    [[noreturn]] void refuse(Opcode opcode) const;

    // The pickle's bytes; everything is checked before it is taken.
    void need(std::uint64_t bytes) const;
    template <std::integral T>
    T take() {
        need(sizeof(T));
        return cursor_.take_little<T>();
    }
    template <std::integral Length>
    std::string take_text() {
        return take_text(take<Length>());
    }
    std::string take_text(std::uint64_t bytes);
    std::string take_line();
    double take_double();
    std::int64_t parse_integer(std::string_view digits) const;
    std::uint64_t parse_index() { return static_cast<std::uint64_t>(parse_integer(take_line())); }
    void take_frame();

    // Numbers and text.
    void push_integer(std::string_view twos_complement);
    void push_int_line();
    void push_long_line();
    void push_float_line();
    void push_long4();
    void push_unicode(std::string bytes);
    void push_string(std::string bytes);
    void push_unicode_line();
    void push_string_line();

    static constexpr std::size_t line_limit = std::size_t{1} << 24;

    Cursor& cursor_;
};

inline bool Reader::step() {
    set_offset(cursor_.offset());
    const auto opcode = static_cast<Opcode>(take<std::uint8_t>());
    if (opcode == Opcode::stop) return true;
    const bool known =
        step_number(opcode) || step_text(opcode) || step_container(opcode) || step_object(opcode) || step_memo(opcode);
    if (!known) refuse(opcode);
    return false;
}

inline bool Reader::step_number(Opcode opcode) {
    switch (opcode) {
        case Opcode::none: push({}); return true;
        case Opcode::newtrue: push(true); return true;
        case Opcode::newfalse: push(false); return true;
        case Opcode::binint: push(take<std::int32_t>()); return true;
        case Opcode::binint1: push(take<std::uint8_t>()); return true;
        case Opcode::binint2: push(take<std::uint16_t>()); return true;
        case Opcode::long1: push_integer(take_text<std::uint8_t>()); return true;
        case Opcode::long4: push_long4(); return true;
        case Opcode::int_text: push_int_line(); return true;
        case Opcode::long_text: push_long_line(); return true;
        case Opcode::float_text: push_float_line(); return true;
        case Opcode::binfloat: push(take_double()); return true;
        default: return false;
    }
}

inline bool Reader::step_text(Opcode opcode) {
    switch (opcode) {
        case Opcode::short_binunicode: push_unicode(take_text<std::uint8_t>()); return true;
        case Opcode::binunicode: push_unicode(take_text<std::uint32_t>()); return true;
        case Opcode::binunicode8: push_unicode(take_text<std::uint64_t>()); return true;
        case Opcode::unicode_text: push_unicode_line(); return true;
        case Opcode::short_binstring: push_string(take_text<std::uint8_t>()); return true;
        case Opcode::binstring: push_string(take_text<std::uint32_t>()); return true;
        case Opcode::string_text: push_string_line(); return true;
        case Opcode::short_binbytes: push_node(Bytes{take_text<std::uint8_t>()}); return true;
        case Opcode::binbytes: push_node(Bytes{take_text<std::uint32_t>()}); return true;
        case Opcode::binbytes8:
        case Opcode::bytearray8: push_node(Bytes{take_text<std::uint64_t>()}); return true;
        default: return false;
    }
}

inline bool Reader::step_container(Opcode opcode) {
    switch (opcode) {
        case Opcode::empty_list: push_node(List{}); return true;
        case Opcode::list: push_node(List{pop_to_mark()}); return true;
        case Opcode::append: append(pop_many(1)); return true;
        case Opcode::appends: append(pop_to_mark()); return true;
        case Opcode::empty_tuple: push_node(Tuple{}); return true;
        case Opcode::tuple1: push_node(Tuple{pop_many(1)}); return true;
        case Opcode::tuple2: push_node(Tuple{pop_many(2)}); return true;
        case Opcode::tuple3: push_node(Tuple{pop_many(3)}); return true;
        case Opcode::tuple: push_node(Tuple{pop_to_mark()}); return true;
        case Opcode::empty_dict: push_node(Dict{}); return true;
        case Opcode::dict: push_marked_dict(); return true;
        case Opcode::setitem: set_items(pop_entries(2)); return true;
        case Opcode::setitems: set_marked_items(); return true;
        case Opcode::empty_set: push_node(Set{}); return true;
        case Opcode::additems: add_to_set(pop_to_mark()); return true;
        case Opcode::frozenset: push_node(Set{pop_to_mark(), true}); return true;
        default: return false;
    }
}

inline bool Reader::step_object(Opcode opcode) {
    switch (opcode) {
        case Opcode::global: {
            std::string module = take_line();
            push_global(std::move(module), take_line());
            return true;
        }
        case Opcode::stack_global: stack_global(); return true;
        case Opcode::reduce: call(); return true;
        case Opcode::newobj: instantiate(false); return true;
        case Opcode::newobj_ex: instantiate(true); return true;
        case Opcode::obj: instantiate_marked(); return true;
        case Opcode::inst: {
            std::string module = take_line();
            instantiate_named(std::move(module), take_line());
            return true;
        }
        case Opcode::build: build(); return true;
        case Opcode::persid:
            push_string(take_line());
            persistent_id(pop());
            return true;
        case Opcode::binpersid: persistent_id(pop()); return true;
        default: return false;
    }
}

inline bool Reader::step_memo(Opcode opcode) {
    switch (opcode) {
        case Opcode::mark: open_mark(); return true;
        case Opcode::pop: drop(); return true;
        case Opcode::pop_mark: pop_to_mark(); return true;
        case Opcode::dup: push(top()); return true;
        case Opcode::put: put(parse_index()); return true;
        case Opcode::binput: put(take<std::uint8_t>()); return true;
        case Opcode::long_binput: put(take<std::uint32_t>()); return true;
        case Opcode::memoize: put_next(); return true;
        case Opcode::get: get(parse_index()); return true;
        case Opcode::binget: get(take<std::uint8_t>()); return true;
        case Opcode::long_binget: get(take<std::uint32_t>()); return true;
        case Opcode::frame: take_frame(); return true;
        case Opcode::proto:
            if (const auto protocol = take<std::uint8_t>(); protocol > 5)
                fail(to_text("pickle protocol ", protocol, " is not known, expected 0 to 5"));
            return true;
        default: return false;
    }
}

inline void Reader::refuse(Opcode opcode) const {
    constexpr std::string_view digits = "0123456789ABCDEF";
    const auto number = static_cast<std::size_t>(opcode);
    const std::string hex{'0', 'x', digits[number / 16], digits[number % 16]};
    switch (opcode) {
        case Opcode::ext1:
        case Opcode::ext2:
        case Opcode::ext4:
            fail(to_text("opcode ", hex,
                         " (EXT) stands for a class by a number of the writing program's registry, "
                         "which the file does not hold"));
        case Opcode::next_buffer:
        case Opcode::readonly_buffer:
            fail(to_text("opcode ", hex, " asks for a buffer outside the pickle, which the file does not hold"));
        default: fail(to_text("opcode ", hex, " is not one of pickle's; the file is damaged or not a pickle"));
    }
}

inline void Reader::need(std::uint64_t bytes) const {
    if (bytes > cursor_.remaining())
        fail(to_text("the pickle goes on for ", bytes, " bytes, ", cursor_.remaining(),
                     " are left; it is probably truncated"));
}

inline std::string Reader::take_text(std::uint64_t bytes) {
    need(bytes);
    charge(bytes);
    return cursor_.take_text(static_cast<std::size_t>(bytes));
}

inline std::string Reader::take_line() {
    auto line = cursor_.take_line(line_limit);
    if (!line) fail("a line does not end; the file is damaged or truncated");
    charge(line->size());
    return std::move(*line);
}

inline double Reader::take_double() {
    const auto bits = take<std::uint64_t>();
    std::uint64_t turned = 0;
    for (unsigned shift = 0; shift < 64; shift += 8) turned = turned << 8 | (bits >> shift & 0xFFU);
    return std::bit_cast<double>(turned);
}

inline std::int64_t Reader::parse_integer(std::string_view digits) const {
    std::int64_t number = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
    if (error != std::errc() || end != digits.data() + digits.size())
        fail("a line does not hold the number that is expected there; the file is damaged");
    return number;
}

/// A frame only announces how much follows.
inline void Reader::take_frame() { need(take<std::uint64_t>()); }

inline void Reader::push_integer(std::string_view twos_complement) {
    const std::string_view bytes = detail::shortest(twos_complement);
    if (bytes.size() > 8)
        push_node(BigInteger{std::string(bytes)});
    else
        push(detail::to_int64(bytes));
}

/// Protocol 0 writes booleans as the integers 00 and 01.
inline void Reader::push_int_line() {
    const std::string line = take_line();
    if (line == "00" || line == "01") return push(line == "01");
    push(parse_integer(line));
}

/// A decimal number of any length, followed by an L.
inline void Reader::push_long_line() {
    const std::string line = take_line();
    std::string_view digits = line;
    if (digits.ends_with('L')) digits.remove_suffix(1);
    const auto integer = detail::from_decimal(digits);
    if (!integer)
        fail(to_text("a line does not hold an integer of at most ", detail::decimal_digit_limit,
                     " digits; the file is damaged"));
    push_integer(*integer);
}

inline void Reader::push_float_line() {
    const std::string line = take_line();
    double number = 0;
    const auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), number);
    if (error != std::errc() || end != line.data() + line.size())
        fail("a line does not hold the number that is expected there; the file is damaged");
    push(number);
}

inline void Reader::push_long4() {
    const auto bytes = take<std::int32_t>();
    if (bytes < 0) fail(to_text("an integer claims ", bytes, " bytes; the file is damaged"));
    push_integer(take_text(static_cast<std::uint64_t>(bytes)));
}

inline void Reader::push_unicode(std::string bytes) {
    if (!detail::is_utf8(bytes)) fail("a text is not UTF-8; the file is damaged");
    set_last_apart();
    push_node(std::move(bytes));
}

/// Python 2's str may be text or bytes: text where it can be.
inline void Reader::push_string(std::string bytes) {
    if (detail::is_utf8(bytes))
        push_node(std::move(bytes));
    else
        push_node(Bytes{std::move(bytes)});
}

inline void Reader::push_unicode_line() {
    auto decoded = detail::decode_raw_unicode_escape(take_line());
    if (!decoded) fail("a text has a broken escape; the file is damaged");
    charge(decoded->size());
    push_unicode(std::move(*decoded));
}

inline void Reader::push_string_line() {
    auto decoded = detail::decode_quoted(take_line());
    if (!decoded) fail("a text is not quoted as Python quotes it; the file is damaged");
    push_string(std::move(*decoded));
}

}  // namespace crossdock::pickle
