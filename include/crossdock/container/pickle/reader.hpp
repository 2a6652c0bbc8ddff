// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "crossdock/container/pickle/cursor.hpp"
#include "crossdock/container/pickle/format.hpp"
#include "crossdock/container/pickle/text.hpp"
#include "crossdock/container/pickle/value.hpp"
#include "crossdock/core/error.hpp"
#include "crossdock/core/text.hpp"

namespace crossdock::pickle {

/// What a pickle may cost, so that a hostile one cannot cost more.
struct Limits {
    std::size_t depth = 1000;                             ///< containers inside containers
    std::uint64_t memory_bytes = std::uint64_t{1} << 31;  ///< of the values, roughly
};

namespace detail {

/// All nodes that a reader makes and that hold others, so that it can undo deep nests and cycles without recursion.
class NodePool {
public:
    NodePool() = default;
    NodePool(const NodePool&) = delete;
    NodePool& operator=(const NodePool&) = delete;

    /// Whatever is still here loses its content; as every node is held here, that never cascades.
    ~NodePool() {
        for (const auto& node : nodes_) node->content = std::string();
    }

    void add(const std::shared_ptr<Node>& node) { nodes_.push_back(node); }

    /// Lets go of the nodes that `root` reaches, making it a tree of values that own each other without a cycle.
    /// Returns the depth; or nothing, with nothing changed for the pool, when it is beyond `limit`.
    std::optional<std::size_t> release(Value& root, std::size_t limit) {
        height_.reserve(nodes_.size());
        const auto depth = untangle(root, limit);
        if (depth) std::erase_if(nodes_, [&](const auto& node) { return height_.contains(node.get()); });
        return depth;
    }

private:
    /// Turns mentions of a container inside itself into back references; returns the height of what hangs at `value`.
    std::optional<std::size_t> untangle(Value& value, std::size_t limit) {
        const std::shared_ptr<Node> node = value.node();
        if (!node || is_leaf(*node)) return 0;
        const auto [at, inserted] = height_.try_emplace(node.get(), in_progress);
        if (!inserted && at->second == in_progress) {
            value = Value::back_reference_to(node);
            return 0;
        }
        if (!inserted) return at->second <= limit ? std::optional(at->second) : std::nullopt;
        if (limit == 0) return std::nullopt;
        std::optional<std::size_t> height = 0;
        for_each_child(*node, [&](Value& child) {
            if (!height) return;
            const auto below = untangle(child, limit - 1);
            height = below ? std::optional(std::max(*height, *below + 1)) : std::nullopt;
        });
        if (height) height_[node.get()] = *height;
        return height;
    }

    static constexpr std::size_t in_progress = static_cast<std::size_t>(-1);

    std::vector<std::shared_ptr<Node>> nodes_;
    std::unordered_map<const Node*, std::size_t> height_;
};

}  // namespace detail

/// Reads one pickle of protocol 0 to 5 into plain values. Nothing is imported, called or executed: what Python would
/// build by a call becomes an Object that says which. Only the calls by which old protocols spell bytes and sets are
/// interpreted.
class Reader {
public:
    /// `where` names the pickle in errors: "model.pt: data.pkl". The cursor ends up behind the pickle.
    Reader(Cursor& cursor, std::string where, Limits limits = {})
        : cursor_(cursor),
          where_(std::move(where)),
          limits_(limits) {}

    /// Throws Error, with the byte offset, on anything that is not a well-formed pickle within the limits.
    Value read();

private:
    [[noreturn]] void fail(std::string_view what) const {
        throw Error(text(where_, " offset ", opcode_offset_, ": ", what));
    }

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

    // The stack.
    void push(Value value);
    template <Shared T>
    void push_node(T content);
    Value pop();
    Value& top();
    void open_mark();
    std::vector<Value> pop_to_mark();
    std::vector<Value> pop_many(std::size_t count);

    // Numbers and text.
    Value integer(std::string_view twos_complement);
    void push_integer(std::string_view twos_complement) { push(integer(twos_complement)); }
    void push_int_line();
    void push_long_line();
    void push_float_line();
    void push_long4();
    void push_unicode(std::string bytes);
    void push_string(std::string bytes);
    void push_unicode_line();
    void push_string_line();

    // Containers.
    void push_dict(std::vector<Value> flat);
    void append(std::vector<Value> values);
    void set_items(std::vector<Value> flat);
    void add_to_set(std::vector<Value> values);
    void take_frame();

    // Classes and their instances.
    void push_global(std::string module, std::string name);
    void stack_global();
    void call();
    void instantiate(bool with_keywords);
    void instantiate_marked();
    void instantiate_named();
    void build();
    void persistent_id(Value id);
    Global callee(const Value& value) const;
    Object object(Global global, Construction construction, Value args) const;
    std::optional<Value> builtin_call(const Global& global, const std::vector<Value>& args);
    Value enum_member(const std::vector<Value>& args);
    std::optional<Value> encoded_bytes(const std::vector<Value>& args);

    // The memo.
    void put(std::uint64_t index);
    void get(std::uint64_t index);

    void charge(std::uint64_t bytes);
    template <Shared T>
    Value make(T content) {
        charge(node_bytes);
        Value value(std::move(content));
        if constexpr (detail::holds_values<T>) pool_.add(value.node());
        return value;
    }

    static constexpr std::uint64_t node_bytes = sizeof(Node) + 4 * sizeof(void*);
    static constexpr std::size_t line_limit = std::size_t{1} << 24;
    static constexpr std::size_t name_limit = 1024;
    static constexpr std::size_t digit_limit = 4300;  // Python's own, as the conversion is quadratic

    Cursor& cursor_;
    std::string where_;
    Limits limits_;
    std::uint64_t opcode_offset_ = 0;
    std::uint64_t charged_ = 0;
    detail::NodePool pool_;  // outlives the values below, which then fall without recursion
    std::vector<Value> stack_;
    std::vector<std::size_t> marks_;
    std::unordered_map<std::uint64_t, Value> memo_;
};

inline Value Reader::read() {
    while (!step()) {
    }
    Value root = pop();
    if (!stack_.empty() || !marks_.empty()) fail("the pickle ends with values left over; the file is damaged");
    memo_.clear();
    if (!pool_.release(root, limits_.depth))
        fail(text("the pickle nests containers more than ", limits_.depth, " deep"));
    return root;
}

inline bool Reader::step() {
    opcode_offset_ = cursor_.offset();
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
        case Opcode::dict: push_dict(pop_to_mark()); return true;
        case Opcode::setitem: set_items(pop_many(2)); return true;
        case Opcode::setitems: set_items(pop_to_mark()); return true;
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
        case Opcode::inst: instantiate_named(); return true;
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
        case Opcode::pop:
            // Python lets it undo a mark as well.
            if (!marks_.empty() && marks_.back() == stack_.size())
                marks_.pop_back();
            else
                pop();
            return true;
        case Opcode::pop_mark: pop_to_mark(); return true;
        case Opcode::dup: push(top()); return true;
        case Opcode::put: put(parse_index()); return true;
        case Opcode::binput: put(take<std::uint8_t>()); return true;
        case Opcode::long_binput: put(take<std::uint32_t>()); return true;
        case Opcode::memoize: put(memo_.size()); return true;
        case Opcode::get: get(parse_index()); return true;
        case Opcode::binget: get(take<std::uint8_t>()); return true;
        case Opcode::long_binget: get(take<std::uint32_t>()); return true;
        case Opcode::frame: take_frame(); return true;
        case Opcode::proto:
            if (const auto protocol = take<std::uint8_t>(); protocol > 5)
                fail(text("pickle protocol ", protocol, " is not known, expected 0 to 5"));
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
            fail(text("opcode ", hex,
                      " (EXT) stands for a class by a number of the writing program's registry, "
                      "which the file does not hold"));
        case Opcode::next_buffer:
        case Opcode::readonly_buffer:
            fail(text("opcode ", hex, " asks for a buffer outside the pickle, which the file does not hold"));
        default: fail(text("opcode ", hex, " is not one of pickle's; the file is damaged or no pickle"));
    }
}

inline void Reader::need(std::uint64_t bytes) const {
    if (bytes > cursor_.remaining())
        fail(text("the pickle goes on for ", bytes, " bytes, ", cursor_.remaining(),
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

inline void Reader::push(Value value) {
    charge(sizeof(Value));
    stack_.push_back(std::move(value));
}

template <Shared T>
void Reader::push_node(T content) {
    push(make(std::move(content)));
}

inline Value& Reader::top() {
    const std::size_t floor = marks_.empty() ? 0 : marks_.back();
    if (stack_.size() == floor) fail("an instruction lacks its operand; the file is damaged");
    return stack_.back();
}

inline Value Reader::pop() {
    Value value = std::move(top());
    stack_.pop_back();
    return value;
}

inline void Reader::open_mark() {
    charge(sizeof(std::size_t));
    marks_.push_back(stack_.size());
}

inline std::vector<Value> Reader::pop_to_mark() {
    if (marks_.empty()) fail("an instruction lacks its mark; the file is damaged");
    const std::size_t count = stack_.size() - marks_.back();
    std::vector<Value> values = pop_many(count);
    marks_.pop_back();
    return values;
}

inline std::vector<Value> Reader::pop_many(std::size_t count) {
    const std::size_t floor = marks_.empty() ? 0 : marks_.back();
    if (stack_.size() - floor < count) fail("an instruction lacks its operand; the file is damaged");
    const auto first = stack_.end() - static_cast<std::ptrdiff_t>(count);
    std::vector<Value> values(std::make_move_iterator(first), std::make_move_iterator(stack_.end()));
    stack_.erase(first, stack_.end());
    return values;
}

inline Value Reader::integer(std::string_view bytes) {
    const auto sign_of = [](char byte) { return (static_cast<unsigned char>(byte) & 0x80U) != 0 ? '\xFF' : '\0'; };
    while (bytes.size() > 1 && bytes.back() == sign_of(bytes[bytes.size() - 2])) bytes.remove_suffix(1);
    if (bytes.size() > 8) return make(BigInteger{std::string(bytes)});
    std::uint64_t number = 0;
    for (std::size_t at = 0; at < 8; ++at) {
        const char byte = at < bytes.size() ? bytes[at] : bytes.empty() ? '\0' : sign_of(bytes.back());
        number |= std::uint64_t{static_cast<unsigned char>(byte)} << (8 * at);
    }
    return static_cast<std::int64_t>(number);
}

/// Protocol 0 writes booleans as the integers 00 and 01.
inline void Reader::push_int_line() {
    const std::string line = take_line();
    if (line == "00" || line == "01") return push(line == "01");
    push(parse_integer(line));
}

/// A decimal number of any length, with an L behind it.
inline void Reader::push_long_line() {
    const std::string line = take_line();
    std::string_view digits = line;
    if (digits.ends_with('L')) digits.remove_suffix(1);
    const bool negative = digits.starts_with('-');
    if (negative) digits.remove_prefix(1);
    if (digits.empty() || digits.size() > digit_limit || digits.find_first_not_of("0123456789") != digits.npos)
        fail(text("a line does not hold an integer of at most ", digit_limit, " digits; the file is damaged"));
    std::string bytes(digits.size() / 2 + 2, '\0');  // less than four bits a digit, and the sign
    for (const char digit : digits) {
        unsigned carry = static_cast<unsigned>(digit - '0');
        for (char& byte : bytes) {
            carry += 10U * static_cast<unsigned char>(byte);
            byte = static_cast<char>(carry & 0xFFU);
            carry >>= 8;
        }
    }
    unsigned carry = 1;
    for (char& byte : bytes) {
        if (!negative) break;
        carry += static_cast<unsigned char>(~static_cast<unsigned char>(byte));
        byte = static_cast<char>(carry & 0xFFU);
        carry >>= 8;
    }
    push_integer(bytes);
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
    if (bytes < 0) fail(text("an integer claims ", bytes, " bytes; the file is damaged"));
    push_integer(take_text(static_cast<std::uint64_t>(bytes)));
}

inline void Reader::push_unicode(std::string bytes) {
    if (!detail::is_utf8(bytes)) fail("a text is not UTF-8; the file is damaged");
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

namespace detail {

/// key, value, key, value, … as entries; empty when one lacks its value.
inline std::optional<std::vector<Entry>> pair_up(std::vector<Value> flat) {
    if (flat.size() % 2 != 0) return std::nullopt;
    std::vector<Entry> entries;
    entries.reserve(flat.size() / 2);
    for (std::size_t at = 0; at < flat.size(); at += 2)
        entries.push_back({std::move(flat[at]), std::move(flat[at + 1])});
    return entries;
}

template <class T>
void append_all(std::vector<T>& to, std::vector<T> from) {
    to.insert(to.end(), std::make_move_iterator(from.begin()), std::make_move_iterator(from.end()));
}

}  // namespace detail

inline void Reader::push_dict(std::vector<Value> flat) {
    push_node(Dict{});
    set_items(std::move(flat));
}

inline void Reader::append(std::vector<Value> values) {
    charge(values.size() * sizeof(Value));
    if (auto* list = top().edit<List>()) return detail::append_all(list->items, std::move(values));
    if (auto* object = top().edit<Object>()) return detail::append_all(object->items, std::move(values));
    fail(text("items are appended to ", top().describe(), ", expected a list; the file is damaged"));
}

inline void Reader::set_items(std::vector<Value> flat) {
    charge(flat.size() * sizeof(Value));
    auto entries = detail::pair_up(std::move(flat));
    if (!entries) fail("a key of a dict lacks its value; the file is damaged");
    if (auto* dict = top().edit<Dict>()) return detail::append_all(dict->entries, std::move(*entries));
    if (auto* object = top().edit<Object>()) return detail::append_all(object->entries, std::move(*entries));
    fail(text("entries are added to ", top().describe(), ", expected a dict; the file is damaged"));
}

inline void Reader::add_to_set(std::vector<Value> values) {
    charge(values.size() * sizeof(Value));
    auto* set = top().edit<Set>();
    if (!set) fail(text("items are added to ", top().describe(), ", expected a set; the file is damaged"));
    detail::append_all(set->items, std::move(values));
}

/// A frame only announces how much follows.
inline void Reader::take_frame() { need(take<std::uint64_t>()); }

inline void Reader::push_global(std::string module, std::string name) {
    if (module.size() > name_limit || name.size() > name_limit)
        fail(text("a class has a name of more than ", name_limit, " bytes; the file is damaged"));
    if (!detail::is_utf8(module) || !detail::is_utf8(name)) fail("a class has a name that is not UTF-8");
    if (module == "__builtin__") module = "builtins";
    if (module == "copy_reg") module = "copyreg";
    push_node(Global{std::move(module), std::move(name)});
}

inline void Reader::stack_global() {
    const std::vector<Value> names = pop_many(2);
    const std::string* module = names[0].as_string();
    const std::string* name = names[1].as_string();
    if (!module || !name) fail("a class is named by something else than texts; the file is damaged");
    if (module->size() > name_limit || name->size() > name_limit)
        fail(text("a class has a name of more than ", name_limit, " bytes; the file is damaged"));
    charge(module->size() + name->size());
    push_global(*module, *name);
}

/// The class or function of a call; nested classes come as getattr(outer, "Inner") under old protocols.
inline Global Reader::callee(const Value& value) const {
    if (const auto* global = value.get<Global>()) return *global;
    const auto* object = value.get<Object>();
    if (object && object->construction == Construction::member) {
        const Value& member = object->args.get<Tuple>()->items[0];
        return {object->module, text(object->name, ".", *member.as_string())};
    }
    fail(text(value.describe(), " is called, expected the name of a class or function; nothing was run"));
}

inline Object Reader::object(Global global, Construction construction, Value args) const {
    Object made;
    made.module = std::move(global.module);
    made.name = std::move(global.name);
    made.construction = construction;
    made.args = std::move(args);
    made.offset = opcode_offset_;
    return made;
}

inline void Reader::call() {
    std::vector<Value> operands = pop_many(2);
    Global global = callee(operands[0]);
    charge(global.module.size() + global.name.size());
    const auto* args = operands[1].get<Tuple>();
    if (!args)
        fail(text(global.module, ".", global.name, " is called with ", operands[1].describe(),
                  ", expected a tuple; the file is damaged"));
    if (auto value = builtin_call(global, args->items)) return push(std::move(*value));
    push_node(object(std::move(global), Construction::call, operands[1]));
}

/// What is not a class of its own but the way in which old protocols spell a plain value.
inline std::optional<Value> Reader::builtin_call(const Global& global, const std::vector<Value>& args) {
    if (global.module == "_codecs" && global.name == "encode") return encoded_bytes(args);
    if (global.module == "copyreg" && global.name == "_reconstructor" && args.size() == 3) {
        Global made = callee(args[0]);
        charge(made.module.size() + made.name.size());
        return make(object(std::move(made), Construction::new_instance, make(Tuple{})));
    }
    if (global.module != "builtins") return std::nullopt;
    if (global.name == "getattr") return enum_member(args);
    if (global.name == "bytes" && args.empty()) return make(Bytes{});
    const bool set = global.name == "set", frozen = global.name == "frozenset";
    if ((!set && !frozen) || args.size() > 1) return std::nullopt;
    if (args.empty()) return make(Set{{}, frozen});
    const auto* items = args[0].items();
    if (!items) return std::nullopt;
    charge(items->size() * sizeof(Value));
    return make(Set{*items, frozen});
}

inline std::optional<Value> Reader::encoded_bytes(const std::vector<Value>& args) {
    const std::string* characters = args.empty() ? nullptr : args[0].as_string();
    const std::string* encoding = args.size() == 2 ? args[1].as_string() : nullptr;
    if (!characters || !encoding || (*encoding != "latin1" && *encoding != "latin-1")) return std::nullopt;
    charge(characters->size());
    auto bytes = detail::utf8_to_latin1(*characters);
    if (!bytes) fail("bytes are spelled by characters beyond latin-1; the file is damaged");
    return make(Bytes{std::move(*bytes)});
}

/// Python 3.11 to 3.11.6 pickles an enum's member as getattr(Class, "member"); nothing else may ask for an attribute.
inline Value Reader::enum_member(const std::vector<Value>& args) {
    if (args.size() != 2 || !args[1].as_string())
        fail("getattr is called with something else than a class and a name; nothing was run");
    Global global = callee(args[0]);
    if (global.name.size() + args[1].as_string()->size() > name_limit)
        fail(text("a class has a name of more than ", name_limit, " bytes; the file is damaged"));
    charge(global.module.size() + global.name.size());
    return make(object(std::move(global), Construction::member, make(Tuple{{args[1]}})));
}

inline void Reader::instantiate(bool with_keywords) {
    Value keywords = with_keywords ? pop() : Value();
    std::vector<Value> operands = pop_many(2);
    Global global = callee(operands[0]);
    charge(global.module.size() + global.name.size());
    if (!operands[1].get<Tuple>() || (with_keywords && !keywords.get<Dict>()))
        fail(text(global.module, ".", global.name, " is made of ", operands[1].describe(),
                  ", expected a tuple and perhaps a dict; the file is damaged"));
    Object made = object(std::move(global), Construction::new_instance, operands[1]);
    made.keywords = std::move(keywords);
    push_node(std::move(made));
}

/// Protocol 1's instance: class and arguments behind a mark.
inline void Reader::instantiate_marked() {
    std::vector<Value> operands = pop_to_mark();
    if (operands.empty()) fail("an instance lacks its class; the file is damaged");
    Global global = callee(operands.front());
    charge(global.module.size() + global.name.size());
    operands.erase(operands.begin());
    push_node(object(std::move(global), Construction::call, make(Tuple{std::move(operands)})));
}

/// Protocol 0's instance: the class in two lines, arguments behind a mark.
inline void Reader::instantiate_named() {
    std::string module = take_line();
    push_global(std::move(module), take_line());
    Global global = callee(pop());
    push_node(object(std::move(global), Construction::call, make(Tuple{pop_to_mark()})));
}

inline void Reader::build() {
    Value state = pop();
    auto* object = top().edit<Object>();
    if (!object) fail(text(top().describe(), " is given a state, expected an object; the file is damaged"));
    if (!object->state.is_none())
        fail(text("an object of ", object->module, ".", object->name, " is given two states"));
    object->state = std::move(state);
}

/// Early PyTorch saved a class together with its source as ("module", class, file, source); only the class counts.
inline void Reader::persistent_id(Value id) {
    const auto* parts = id.get<Tuple>();
    if (parts && parts->items.size() > 1) {
        const std::string* kind = parts->items[0].as_string();
        if (kind && *kind == "module") return push(parts->items[1]);
    }
    push_node(PersistentId{std::move(id), opcode_offset_});
}

inline void Reader::put(std::uint64_t index) {
    charge(sizeof(Value) + 4 * sizeof(void*));
    memo_.insert_or_assign(index, top());
}

inline void Reader::get(std::uint64_t index) {
    const auto found = memo_.find(index);
    if (found == memo_.end()) fail(text("memo entry ", index, " is used but was never made; the file is damaged"));
    push(found->second);
}

inline void Reader::charge(std::uint64_t bytes) {
    if (bytes > limits_.memory_bytes - charged_)
        fail(text("the pickle's values need more than ", limits_.memory_bytes, " bytes of memory"));
    charged_ += bytes;
}

}  // namespace crossdock::pickle
