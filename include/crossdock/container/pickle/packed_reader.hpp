// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "crossdock/container/little_endian.hpp"
#include "crossdock/container/pickle/format.hpp"
#include "crossdock/container/pickle/integer.hpp"
#include "crossdock/container/pickle/packed.hpp"
#include "crossdock/container/pickle/text.hpp"
#include "crossdock/core/error.hpp"
#include "crossdock/core/source.hpp"
#include "crossdock/core/text.hpp"

namespace crossdock::pickle {

namespace detail {

/// Carries out the instructions of a pickle on packed values. Nothing is imported, called or executed.
class PackedMachine {
public:
    explicit PackedMachine(std::string where, std::string bytes) : where_(std::move(where)) {
        arena_.bytes = std::move(bytes);
        // About what an index of a checkpoint has of each; memory that is not used after all is never touched.
        memo_.reserve(arena_.bytes.size() / 6);
        arena_.items.reserve(arena_.bytes.size() / 10);
        arena_.objects.reserve(arena_.bytes.size() / 24);
        arena_.containers.reserve(arena_.bytes.size() / 40);
    }

    Arena run() {
        // Each instruction makes a value or two, so this bounds the memory as well.
        constexpr std::uint64_t most_steps = std::uint64_t{1} << 26;
        for (std::uint64_t steps = 0; step(); ++steps)
            if (steps == most_steps) fail(to_text("the pickle has more than ", most_steps, " instructions"));
        arena_.root = pop();
        if (!stack_.empty() || !marks_.empty()) fail("the pickle ends with values left over; the file is damaged");
        return std::move(arena_);
    }

private:
    using Kind = PackedKind;

    [[noreturn]] void fail(std::string_view what) const {
        throw Error(to_text(where_, " offset ", offset_, ": ", what));
    }

    // One instruction; false when it was the last one.
    bool step();
    bool step_value(Opcode opcode);
    bool step_container(Opcode opcode);
    bool step_object(Opcode opcode);
    bool step_memo(Opcode opcode);

    // The pickle's bytes.
    std::string_view take(std::uint64_t count) {
        if (count > arena_.bytes.size() - next_)
            fail(to_text("the pickle goes on for ", count, " bytes, ", arena_.bytes.size() - next_,
                         " are left; it is probably truncated"));
        const std::string_view taken = std::string_view(arena_.bytes).substr(next_, static_cast<std::size_t>(count));
        next_ += taken.size();
        return taken;
    }
    template <std::integral T>
    T take() {
        return load_little<T>(reinterpret_cast<const std::byte*>(take(sizeof(T)).data()));
    }
    std::string_view take_line() {
        const std::size_t end = std::string_view(arena_.bytes).find('\n', next_);
        if (end == std::string_view::npos) fail("a line does not end; the file is damaged or truncated");
        const std::string_view line = take(end - next_);
        ++next_;
        return line;
    }

    // The stack.
    void push(Packed value) { stack_.push_back(value); }
    void push(Kind kind, std::uint64_t data = 0) { stack_.push_back({kind, 0, data}); }
    void require(std::size_t count) const {
        if (stack_.size() - (marks_.empty() ? 0 : marks_.back()) < count)
            fail("an instruction lacks its operand; the file is damaged");
    }
    Packed& top() {
        require(1);
        return stack_.back();
    }
    Packed pop() {
        const Packed value = top();
        stack_.pop_back();
        return value;
    }
    /// How many values lie above the last mark, which is taken away.
    std::size_t close_mark() {
        if (marks_.empty()) fail("an instruction lacks its mark; the file is damaged");
        const std::size_t count = stack_.size() - marks_.back();
        marks_.pop_back();
        return count;
    }
    void drop(std::size_t count) { stack_.resize(stack_.size() - count); }

    // Values.
    Packed text(std::string_view bytes) const {
        if (!is_utf8(bytes)) fail("a text is not UTF-8; the file is damaged");
        return {Kind::text, static_cast<std::uint32_t>(bytes.size()),
                static_cast<std::uint64_t>(bytes.data() - arena_.bytes.data())};
    }
    void push_integer(std::string_view twos_complement);
    void push_tuple(std::size_t count);
    void push_container(Kind kind);
    void extend(Kind kind, std::size_t count);
    void push_global(Packed module, Packed name);
    void push_object(std::size_t further_operands);
    void build();
    void put(std::uint64_t index);
    void get(std::uint64_t index);

    std::string where_;
    Arena arena_;
    std::size_t offset_ = 0, next_ = 0;
    std::vector<Packed> stack_;
    std::vector<std::size_t> marks_;
    std::vector<Packed> memo_;
};

inline bool PackedMachine::step() {
    offset_ = next_;
    const auto opcode = static_cast<Opcode>(take<std::uint8_t>());
    if (opcode == Opcode::stop) return false;
    if (!step_memo(opcode) && !step_value(opcode) && !step_container(opcode) && !step_object(opcode))
        fail(to_text("opcode ", static_cast<unsigned>(opcode),
                     " is none that protocols 2 to 5 use here; the file is damaged or not a pickle"));
    return true;
}

inline bool PackedMachine::step_value(Opcode opcode) {
    switch (opcode) {
        case Opcode::none: push(Kind::none); return true;
        case Opcode::newtrue:
        case Opcode::newfalse: push(Kind::truth); return true;
        case Opcode::binint: push_integer(take(4)); return true;
        case Opcode::binint1: push(Kind::integer, take<std::uint8_t>()); return true;
        case Opcode::binint2: push(Kind::integer, take<std::uint16_t>()); return true;
        case Opcode::long1: push_integer(take(take<std::uint8_t>())); return true;
        case Opcode::long4: push_integer(take(take<std::uint32_t>())); return true;
        case Opcode::binfloat: take(8), push(Kind::other); return true;
        case Opcode::short_binunicode: push(text(take(take<std::uint8_t>()))); return true;
        case Opcode::binunicode: push(text(take(take<std::uint32_t>()))); return true;
        case Opcode::binunicode8: push(text(take(take<std::uint64_t>()))); return true;
        case Opcode::short_binbytes:
        case Opcode::short_binstring: take(take<std::uint8_t>()), push(Kind::other); return true;
        case Opcode::binbytes:
        case Opcode::binstring: take(take<std::uint32_t>()), push(Kind::other); return true;
        case Opcode::binbytes8:
        case Opcode::bytearray8: take(take<std::uint64_t>()), push(Kind::other); return true;
        default: return false;
    }
}

inline bool PackedMachine::step_container(Opcode opcode) {
    switch (opcode) {
        case Opcode::empty_tuple: push_tuple(0); return true;
        case Opcode::tuple1: push_tuple(1); return true;
        case Opcode::tuple2: push_tuple(2); return true;
        case Opcode::tuple3: push_tuple(3); return true;
        case Opcode::tuple: push_tuple(close_mark()); return true;
        case Opcode::empty_list: push_container(Kind::list); return true;
        case Opcode::empty_dict: push_container(Kind::dict); return true;
        case Opcode::append: extend(Kind::list, 1); return true;
        case Opcode::appends: extend(Kind::list, close_mark()); return true;
        case Opcode::setitem: extend(Kind::dict, 2); return true;
        case Opcode::setitems: extend(Kind::dict, close_mark()); return true;
        case Opcode::empty_set: push(Kind::other); return true;
        case Opcode::additems: drop(close_mark()); return true;
        case Opcode::frozenset: drop(close_mark()), push(Kind::other); return true;
        default: return false;
    }
}

inline bool PackedMachine::step_object(Opcode opcode) {
    switch (opcode) {
        case Opcode::global: {
            const Packed module = text(take_line());
            push_global(module, text(take_line()));
            return true;
        }
        case Opcode::stack_global: {
            const Packed name = pop();
            push_global(pop(), name);
            return true;
        }
        case Opcode::reduce:
        case Opcode::newobj: push_object(0); return true;
        case Opcode::newobj_ex: push_object(1); return true;
        case Opcode::build: build(); return true;
        default: return false;
    }
}

inline bool PackedMachine::step_memo(Opcode opcode) {
    switch (opcode) {
        case Opcode::memoize: put(memo_.size()); return true;
        case Opcode::binput: put(take<std::uint8_t>()); return true;
        case Opcode::long_binput: put(take<std::uint32_t>()); return true;
        case Opcode::binget: get(take<std::uint8_t>()); return true;
        case Opcode::long_binget: get(take<std::uint32_t>()); return true;
        case Opcode::mark: marks_.push_back(stack_.size()); return true;
        case Opcode::pop: pop(); return true;
        case Opcode::pop_mark: drop(close_mark()); return true;
        case Opcode::dup: push(top()); return true;
        case Opcode::frame: take<std::uint64_t>(); return true;
        case Opcode::proto:
            if (const auto protocol = take<std::uint8_t>(); protocol > 5)
                fail(to_text("pickle protocol ", protocol, " is not known, expected 2 to 5"));
            return true;
        default: return false;
    }
}

/// What 64 bits do not hold is no number that matters here.
inline void PackedMachine::push_integer(std::string_view twos_complement) {
    const std::string_view bytes = shortest(twos_complement);
    if (bytes.size() > sizeof(std::int64_t)) return push(Kind::other);
    push(Kind::integer, static_cast<std::uint64_t>(to_int64(bytes)));
}

inline void PackedMachine::push_tuple(std::size_t count) {
    require(count);
    const std::uint64_t first = arena_.items.size();
    arena_.items.insert(arena_.items.end(), stack_.end() - static_cast<std::ptrdiff_t>(count), stack_.end());
    drop(count);
    push(Packed{Kind::tuple, static_cast<std::uint32_t>(count), first});
}

inline void PackedMachine::push_container(Kind kind) {
    push(kind, arena_.containers.size());
    arena_.containers.emplace_back();
}

/// Items that are given to an object, one of a class of lists say, are not kept.
inline void PackedMachine::extend(Kind kind, std::size_t count) {
    require(count + 1);
    const Packed to = stack_[stack_.size() - count - 1];
    if (to.kind != kind && to.kind != Kind::object)
        fail("items are added to something else than a list or dict; the file is damaged");
    if (kind == Kind::dict && count % 2 != 0) fail("a key of a dict lacks its value; the file is damaged");
    if (to.kind == kind) {
        auto& content = arena_.containers[static_cast<std::size_t>(to.data)];
        content.insert(content.end(), stack_.end() - static_cast<std::ptrdiff_t>(count), stack_.end());
    }
    drop(count);
}

inline void PackedMachine::push_global(Packed module, Packed name) {
    if (module.kind != Kind::text || name.kind != Kind::text)
        fail("a class is named by something else than texts; the file is damaged");
    const std::uint64_t first = arena_.items.size();
    arena_.items.insert(arena_.items.end(), {module, name});
    push(Packed{Kind::global, 2, first});
}

/// From a class or function, and a tuple; keywords may follow, and are not kept.
inline void PackedMachine::push_object(std::size_t further_operands) {
    require(2 + further_operands);
    drop(further_operands);
    const Packed args = pop(), callee = pop();
    if ((callee.kind != Kind::global && callee.kind != Kind::object) || args.kind != Kind::tuple)
        fail("something else than a class or function is called with a tuple; nothing was run");
    push(Kind::object, arena_.objects.size());
    arena_.objects.push_back({callee, args, {}});
}

inline void PackedMachine::build() {
    const Packed state = pop();
    if (top().kind != Kind::object) fail("something else than an object is given a state; the file is damaged");
    arena_.objects[static_cast<std::size_t>(top().data)].state = state;
}

/// Python's pickler numbers the entries in their order.
inline void PackedMachine::put(std::uint64_t index) {
    if (index > memo_.size()) fail(to_text("memo entry ", index, " is made before those in front of it"));
    if (index == memo_.size()) memo_.emplace_back();
    memo_[static_cast<std::size_t>(index)] = top();
}

inline void PackedMachine::get(std::uint64_t index) {
    if (index >= memo_.size()) fail(to_text("memo entry ", index, " is used but was never made; the file is damaged"));
    push(memo_[static_cast<std::size_t>(index)]);
}

}  // namespace detail

/// A pickle of protocol 2 to 5 in which floats, bytes and sets do not matter: they are values without content. Nothing
/// in it is imported, called or executed. Values of it are valid as long as it lives and is not moved.
class PackedPickle {
public:
    /// Throws Error, with the byte offset, on anything that is not a well-formed pickle.
    explicit PackedPickle(const Source& file) : arena_(detail::PackedMachine(file.name(), content(file)).run()) {}
    PackedPickle(const PackedPickle&) = delete;
    PackedPickle& operator=(const PackedPickle&) = delete;

    PackedValue root() const { return {arena_, arena_.root}; }

private:
    static std::string content(const Source& file) {
        constexpr std::uint64_t most_bytes = std::uint64_t{1} << 29;
        if (file.size() > most_bytes)
            throw Error(to_text(file.name(), ": holds ", file.size(), " bytes, at most ", most_bytes, " are read"));
        std::string bytes(static_cast<std::size_t>(file.size()), '\0');
        file.read(0, std::as_writable_bytes(std::span(bytes)));
        return bytes;
    }

    detail::Arena arena_;
};

}  // namespace crossdock::pickle
