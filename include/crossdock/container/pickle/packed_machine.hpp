// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "crossdock/container/pickle/cursor.hpp"
#include "crossdock/container/pickle/format.hpp"
#include "crossdock/container/pickle/integer.hpp"
#include "crossdock/container/pickle/packed.hpp"
#include "crossdock/container/pickle/recalled.hpp"
#include "crossdock/container/pickle/text.hpp"
#include "crossdock/core/error.hpp"
#include "crossdock/core/text.hpp"

namespace crossdock::pickle::detail {

/// Carries out the instructions of a pickle on packed values. Nothing is imported, called or executed.
class PackedMachine {
public:
    PackedMachine(std::string where, Cursor cursor)
        : where_(std::move(where)),
          cursor_(std::move(cursor)),
          recalled_(cursor_.ahead()) {
        arena_.reserve(static_cast<std::size_t>(cursor_.remaining()));
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
    void need(std::uint64_t count) const {
        if (count > cursor_.remaining())
            fail(to_text("the pickle goes on for ", count, " bytes, ", cursor_.remaining(),
                         " are left; it is probably truncated"));
    }
    void skip(std::uint64_t count) {
        need(count);
        cursor_.skip(count);
    }
    /// Valid until something else is taken.
    std::string_view take(std::uint64_t count) {
        need(count);
        return cursor_.take_view(static_cast<std::size_t>(count), spare_);
    }
    template <std::integral T>
    T take() {
        need(sizeof(T));
        return cursor_.take_little<T>();
    }
    std::string take_line() {
        constexpr std::size_t longest = std::size_t{1} << 16;
        auto line = cursor_.take_line(longest);
        if (!line) fail("a line does not end; the file is damaged or truncated");
        return std::move(*line);
    }

    // The stack.
    void push(Packed value) { stack_.push_back(value); }
    void push(Kind kind, std::uint64_t data = 0) { push(Packed(kind, 0, data)); }
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
    Packed text(std::string_view bytes) {
        if (!is_utf8(bytes)) fail("a text is not UTF-8; the file is damaged");
        const Packed kept(Kind::text, bytes.size(), arena_.texts.size());
        arena_.texts += bytes;
        return kept;
    }
    bool is_text(Packed value, std::string_view text) const {
        return value.kind() == Kind::text && PackedValue(arena_, value).as_text() == text;
    }
    void push_integer(std::string_view twos_complement);
    void push_tuple(std::size_t count);
    void push_container(Kind kind);
    void extend(Kind kind, std::size_t count);
    void push_global(Packed module, Packed name);
    void push_object(std::size_t further_operands);
    void build();
    bool push_size(Packed callee, Packed args);
    Packed as_fields(Packed state);
    std::uint32_t names_of(const std::vector<Packed>& content);
    void put(std::uint64_t index);
    void get(std::uint64_t index);

    /// The value may be mentioned again, beside the mention on the stack, and with it what it is made of.
    void pin(Packed value) {
        const bool is_plain = value.kind() == Kind::none || value.kind() == Kind::truth ||
                              value.kind() == Kind::integer || value.kind() == Kind::number ||
                              value.kind() == Kind::text || value.kind() == Kind::numbers ||
                              value.kind() == Kind::other;
        if (!is_plain) pinned_items_ = arena_.items.size();
        if (!is_plain && value.kind() != Kind::global) pinned_containers_ = arena_.containers.size();
    }

    static constexpr std::uint32_t no_names = 0xFFFFFFFF;

    std::string where_;
    Cursor cursor_;
    std::string spare_;  ///< what take() gives, where the cursor has it in two blocks
    RecalledEntries recalled_;
    Arena arena_;
    std::uint64_t offset_ = 0;
    std::vector<Packed> stack_;
    std::vector<std::size_t> marks_;
    std::uint64_t memo_size_ = 0;
    std::unordered_map<std::uint64_t, Packed> memo_;  ///< what of it is recalled
    std::size_t pinned_items_ = 0, pinned_containers_ = 0;
};

inline bool PackedMachine::step() {
    offset_ = cursor_.offset();
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
        case Opcode::binint1: push(arena_.integer(take<std::uint8_t>())); return true;
        case Opcode::binint2: push(arena_.integer(take<std::uint16_t>())); return true;
        case Opcode::long1: push_integer(take(take<std::uint8_t>())); return true;
        case Opcode::long4: push_integer(take(take<std::uint32_t>())); return true;
        case Opcode::binfloat: skip(8), push(Kind::other); return true;
        case Opcode::short_binunicode: push(text(take(take<std::uint8_t>()))); return true;
        case Opcode::binunicode: push(text(take(take<std::uint32_t>()))); return true;
        case Opcode::binunicode8: push(text(take(take<std::uint64_t>()))); return true;
        case Opcode::short_binbytes:
        case Opcode::short_binstring: skip(take<std::uint8_t>()), push(Kind::other); return true;
        case Opcode::binbytes:
        case Opcode::binstring: skip(take<std::uint32_t>()), push(Kind::other); return true;
        case Opcode::binbytes8:
        case Opcode::bytearray8: skip(take<std::uint64_t>()), push(Kind::other); return true;
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
        case Opcode::memoize: put(memo_size_); return true;
        case Opcode::binput: put(take<std::uint8_t>()); return true;
        case Opcode::long_binput: put(take<std::uint32_t>()); return true;
        case Opcode::binget: get(take<std::uint8_t>()); return true;
        case Opcode::long_binget: get(take<std::uint32_t>()); return true;
        case Opcode::mark: marks_.push_back(stack_.size()); return true;
        case Opcode::pop: pop(); return true;
        case Opcode::pop_mark: drop(close_mark()); return true;
        case Opcode::dup: pin(top()), push(top()); return true;
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
    push(arena_.integer(to_int64(bytes)));
}

inline void PackedMachine::push_tuple(std::size_t count) {
    require(count);
    if (count == 0) return push(Kind::tuple);  // all empty ones are equal
    const auto first = stack_.end() - static_cast<std::ptrdiff_t>(count);
    const bool is_numbers =
        std::all_of(first, stack_.end(), [&](Packed each) { return arena_.as_integer(each).has_value(); });
    const Packed tuple(is_numbers ? Kind::numbers : Kind::tuple, count,
                       is_numbers ? arena_.numbers.size() : arena_.items.size());
    if (is_numbers)
        std::transform(first, stack_.end(), std::back_inserter(arena_.numbers),
                       [&](Packed each) { return *arena_.as_integer(each); });
    else
        arena_.items.insert(arena_.items.end(), first, stack_.end());
    drop(count);
    push(tuple);
}

inline void PackedMachine::push_container(Kind kind) {
    push(kind, arena_.containers.size());
    arena_.containers.emplace_back();
}

/// Items that are given to an object, one of a class of lists say, are not kept.
inline void PackedMachine::extend(Kind kind, std::size_t count) {
    require(count + 1);
    const Packed to = stack_[stack_.size() - count - 1];
    if (to.kind() != kind && to.kind() != Kind::object)
        fail("items are added to something else than a list or dict; the file is damaged");
    if (kind == Kind::dict && count % 2 != 0) fail("a key of a dict lacks its value; the file is damaged");
    if (to.kind() == kind) {
        auto& content = arena_.containers[to.data()];
        content.insert(content.end(), stack_.end() - static_cast<std::ptrdiff_t>(count), stack_.end());
    }
    drop(count);
}

inline void PackedMachine::push_global(Packed module, Packed name) {
    if (module.kind() != Kind::text || name.kind() != Kind::text)
        fail("a class is named by something else than texts; the file is damaged");
    const std::uint64_t first = arena_.items.size();
    arena_.items.insert(arena_.items.end(), {module, name});
    push(Packed(Kind::global, 2, first));
}

/// From a class or function, and a tuple; keywords may follow, and are not kept.
inline void PackedMachine::push_object(std::size_t further_operands) {
    require(2 + further_operands);
    drop(further_operands);
    const Packed args = pop(), callee = pop();
    if ((callee.kind() != Kind::global && callee.kind() != Kind::object) ||
        (args.kind() != Kind::tuple && args.kind() != Kind::numbers))
        fail("something else than a class or function is called with a tuple; nothing was run");
    if (push_size(callee, args)) return;
    push(Kind::object, arena_.objects.size());
    arena_.objects.push_back({arena_.number_of({callee, args}), {}});
}

inline void PackedMachine::build() {
    const Packed state = as_fields(pop());
    if (top().kind() != Kind::object) fail("something else than an object is given a state; the file is damaged");
    arena_.objects[top().data()].state = state;
}

/// A torch.Size of numbers is a tuple of these, and there are several for each chunk of a checkpoint.
inline bool PackedMachine::push_size(Packed callee, Packed args) {
    if (callee.kind() != Kind::global || args.kind() != Kind::tuple || args.count() != 1) return false;
    const Packed* names = arena_.items.data() + callee.data();
    const Packed numbers = arena_.items[args.data()];
    if (numbers.kind() != Kind::numbers || !is_text(names[1], "Size") || !is_text(names[0], "torch")) return false;
    if (args.data() + 1 == arena_.items.size() && args.data() >= pinned_items_) arena_.items.pop_back();
    push(numbers);
    return true;
}

/// The attributes of an object, without names of its own where others have the same ones; `state` itself where it is
/// something else, or mentioned elsewhere too.
inline Packed PackedMachine::as_fields(Packed state) {
    if (state.kind() != Kind::dict || state.data() + 1 != arena_.containers.size() || state.data() < pinned_containers_)
        return state;
    const std::vector<Packed>& content = arena_.containers.back();
    const std::uint32_t names = names_of(content);
    if (names == no_names) return state;
    const Packed fields(Kind::fields, names, arena_.items.size());
    for (std::size_t index = 1; index < content.size(); index += 2) arena_.items.push_back(content[index]);
    arena_.containers.pop_back();
    return fields;
}

/// The number of a dict's keys in Arena::names. Programs spell a name once and recall it.
inline std::uint32_t PackedMachine::names_of(const std::vector<Packed>& content) {
    constexpr std::size_t most_lists = 32, most_names = 16;
    std::vector<Packed> names;
    for (std::size_t index = 0; index < content.size(); index += 2) names.push_back(content[index]);
    const bool are_texts =
        std::all_of(names.begin(), names.end(), [](const Packed& name) { return name.kind() == Kind::text; });
    if (!are_texts || names.size() > most_names) return no_names;
    const auto found = std::find(arena_.names.begin(), arena_.names.end(), names);
    if (found != arena_.names.end()) return static_cast<std::uint32_t>(found - arena_.names.begin());
    if (arena_.names.size() == most_lists) return no_names;
    arena_.names.push_back(std::move(names));
    return static_cast<std::uint32_t>(arena_.names.size() - 1);
}

/// Python's pickler numbers the entries in their order.
inline void PackedMachine::put(std::uint64_t index) {
    if (index > memo_size_) fail(to_text("memo entry ", index, " is made before those in front of it"));
    if (index == memo_size_) ++memo_size_;
    const Packed value = top();
    if (!recalled_.contains(index)) return;
    memo_[index] = value;
    pin(value);
}

inline void PackedMachine::get(std::uint64_t index) {
    const auto found = memo_.find(index);
    if (found == memo_.end()) fail(to_text("memo entry ", index, " is used but was never made; the file is damaged"));
    push(found->second);
}

}  // namespace crossdock::pickle::detail
