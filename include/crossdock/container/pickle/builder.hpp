// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <iterator>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "crossdock/container/pickle/stack.hpp"
#include "crossdock/container/pickle/text.hpp"
#include "crossdock/container/pickle/value.hpp"
#include "crossdock/container/tensor_dict.hpp"
#include "crossdock/core/text.hpp"

namespace crossdock::pickle::detail {

/// Puts containers and objects together on the stack. Nothing is imported, called or executed: what Python would build
/// by a call becomes an Object that says which.
class Builder : public Stack {
public:
    /// `shortcut` sees each call, and may give what it stands for: the call is then not kept, nor its arguments.
    using Shortcut = std::function<std::optional<Tensor>(const Object&)>;

    Builder(std::string where, Limits limits, RecalledEntries recalled, Shortcut shortcut, TensorPlace tensors)
        : Stack(std::move(where), limits, std::move(recalled)),
          shortcut_(std::move(shortcut)),
          tensors_(tensors) {}

    // Containers.
    void push_marked_dict();
    void append(std::vector<Value> values);
    void set_items(std::vector<Entry> entries, std::vector<NamedTensor> tensors = {});
    void set_marked_items();
    /// Before a text comes: a parameter that is on top, of a dict that is being filled, need not wait there.
    void set_last_apart();
    /// Takes the last `count` values as key, value, key, value, …
    std::vector<Entry> pop_entries(std::size_t count);
    void add_to_set(std::vector<Value> values);

    // Classes and their instances.
    void push_global(std::string module, std::string name);
    void stack_global();
    void call();
    void instantiate(bool with_keywords);
    void instantiate_marked();
    void instantiate_named(std::string module, std::string name);
    void build();
    void persistent_id(Value id);

private:
    void require_name(std::size_t bytes) const {
        constexpr std::size_t limit = 1024;
        if (bytes > limit) fail(to_text("a class has a name of more than ", limit, " bytes; the file is damaged"));
    }
    static constexpr std::uint64_t recipe_bytes = 128;  ///< of a tensor, roughly

    Global callee(const Value& value);
    Object object(Global global, Construction construction, Value args) const;
    std::optional<Value> builtin_call(const Global& global, const std::vector<Value>& args);
    std::optional<Value> encoded_bytes(const std::vector<Value>& args);
    Value enum_member(const std::vector<Value>& args);
    void push_call(Global global, Value args);
    void push_object(Object object);
    void set_apart(std::vector<Entry>& entries, std::vector<NamedTensor>& tensors);

    Shortcut shortcut_;
    TensorPlace tensors_;
};

template <class T>
void append_all(std::vector<T>& to, std::vector<T> from) {
    if (to.empty()) return to.swap(from);
    to.insert(to.end(), std::make_move_iterator(from.begin()), std::make_move_iterator(from.end()));
}

inline std::vector<Entry> Builder::pop_entries(std::size_t count) {
    if (count % 2 != 0) fail("a key of a dict lacks its value; the file is damaged");
    std::vector<Entry> entries;
    entries.reserve(count / 2);
    Value key;
    bool is_key = true;
    take_many(count, [&](Value&& value) {
        if (is_key)
            key = std::move(value);
        else
            entries.push_back({std::move(key), std::move(value)});
        is_key = !is_key;
    });
    return entries;
}

inline void Builder::push_marked_dict() {
    std::vector<NamedTensor> tensors = take_waiting();
    std::vector<Entry> entries = pop_entries(close_mark());
    push_node(Dict{});
    set_items(std::move(entries), std::move(tensors));
}

inline void Builder::set_marked_items() {
    std::vector<NamedTensor> tensors = take_waiting();
    set_items(pop_entries(close_mark()), std::move(tensors));
}

inline void Builder::append(std::vector<Value> values) {
    pin();
    if (auto* list = top().edit<List>()) return append_all(list->items, std::move(values));
    if (auto* object = top().edit<Object>()) return append_all(object->items, std::move(values));
    fail(to_text("items are appended to ", top().describe(), ", expected a list; the file is damaged"));
}

inline void Builder::set_items(std::vector<Entry> entries, std::vector<NamedTensor> tensors) {
    auto* dict = top().edit<Dict>();
    auto* object = top().edit<Object>();
    if (!dict && !object)
        fail(to_text("entries are added to ", top().describe(), ", expected a dict; the file is damaged"));
    if (tensors_ == TensorPlace::apart) set_apart(entries, tensors);
    charge(entries.size() * sizeof(Entry));
    pin();
    append_all(dict ? dict->entries : object->entries, std::move(entries));
    append_all(dict ? dict->tensors : object->tensors, std::move(tensors));
}

/// Whether a name and what it names are a parameter's, and nobody else refers to them. Beside tensors, Megatron-Core says
/// of many names that there is None.
inline bool is_parameter(const Value& key, const Value& value, bool is_beside_tensors) {
    const std::string* name = key.as_string();
    const bool is_own = value.is_none() ? is_beside_tensors : value.get<Tensor>() && value.node().use_count() == 1;
    return name && is_own && name->find('.') != name->npos && key.node().use_count() == 1;
}

inline void Builder::set_last_apart() {
    const auto values = above_mark();
    const Value* filled = tensors_ == TensorPlace::apart && !values.empty() ? below_mark() : nullptr;
    if (!filled || !(filled->get<Dict>() || filled->get<Object>()) || values.size() % 2 != 0) return;
    if (!is_parameter(values[values.size() - 2], values.back(), has_waiting())) return;
    std::vector<Entry> last = pop_entries(2);
    set_apart(last, waiting());
    pin();
}

/// A name, and room for what others put in front of it: to move a million names later would leave as many holes.
inline std::string with_room(const std::string& name) {
    constexpr std::size_t room = 8;
    std::string out;
    out.reserve(name.size() + room);
    return out += name;
}

/// Moves the parameters among the entries to `tensors`: a name and a tensor take a third of what they take as values.
inline void Builder::set_apart(std::vector<Entry>& entries, std::vector<NamedTensor>& tensors) {
    constexpr std::uint64_t tensor_bytes = sizeof(NamedTensor) + recipe_bytes;
    std::vector<Entry> others;
    std::uint64_t bytes = 0;
    for (Entry& entry : entries) {
        if (!is_parameter(entry.key, entry.value, !tensors.empty())) {
            others.push_back(std::move(entry));
            continue;
        }
        if (entry.value.is_none()) continue;
        const auto& name = *entry.key.as_string();
        bytes += tensor_bytes + name.size();
        tensors.push_back({with_room(name), std::move(*entry.value.edit<Tensor>()), {}});
    }
    if (others.empty()) refund();
    charge(bytes);
    entries = std::move(others);
}

inline void Builder::add_to_set(std::vector<Value> values) {
    pin();
    auto* set = top().edit<Set>();
    if (!set) fail(to_text("items are added to ", top().describe(), ", expected a set; the file is damaged"));
    append_all(set->items, std::move(values));
}

inline void Builder::push_global(std::string module, std::string name) {
    require_name(std::max(module.size(), name.size()));
    if (!is_utf8(module) || !is_utf8(name)) fail("a class has a name that is not UTF-8");
    if (module == "__builtin__") module = "builtins";
    if (module == "copy_reg") module = "copyreg";
    push_node(Global{std::move(module), std::move(name)});
}

inline void Builder::stack_global() {
    const std::vector<Value> names = pop_many(2);
    const std::string* module = names[0].as_string();
    const std::string* name = names[1].as_string();
    if (!module || !name) fail("a class is named by something else than texts; the file is damaged");
    require_name(std::max(module->size(), name->size()));
    charge(module->size() + name->size());
    push_global(*module, *name);
}

/// The class or function of a call; nested classes come as getattr(outer, "Inner") under old protocols.
inline Global Builder::callee(const Value& value) {
    Global callee;
    if (const auto* global = value.get<Global>()) {
        callee = *global;
    } else if (const auto* outer = value.get<Object>(); outer && outer->construction == Construction::member) {
        const Value& member = outer->args.get<Tuple>()->items[0];
        callee = {outer->module, to_text(outer->name, ".", *member.as_string())};
    } else {
        fail(to_text(value.describe(), " is called, expected the name of a class or function; nothing was run"));
    }
    charge(callee.module.size() + callee.name.size());
    return callee;
}

inline Object Builder::object(Global global, Construction construction, Value args) const {
    Object made;
    made.module = std::move(global.module);
    made.name = std::move(global.name);
    made.construction = construction;
    made.args = std::move(args);
    made.offset = offset();
    return made;
}

inline void Builder::call() {
    std::vector<Value> operands = pop_many(2);
    Global global = callee(operands[0]);
    if (!operands[1].get<Tuple>())
        fail(to_text(global.module, ".", global.name, " is called with ", operands[1].describe(),
                     ", expected a tuple; the file is damaged"));
    Value tuple = std::move(operands[1]);
    operands.clear();
    push_call(std::move(global), std::move(tuple));
}

/// However a protocol spells it.
inline void Builder::push_call(Global global, Value args) {
    if (auto value = builtin_call(global, args.get<Tuple>()->items)) return push(std::move(*value));
    push_object(object(std::move(global), Construction::call, std::move(args)));
}

inline void Builder::push_object(Object object) {
    std::optional<Tensor> meant = shortcut_ ? shortcut_(object) : std::nullopt;
    if (!meant) return push_node(std::move(object));
    object = {};
    drop_unused();
    refund();
    charge(recipe_bytes);
    push_node(std::move(*meant));
}

/// What is not a class of its own but the way in which old protocols spell a plain value.
inline std::optional<Value> Builder::builtin_call(const Global& global, const std::vector<Value>& args) {
    if (global.module == "_codecs" && global.name == "encode") return encoded_bytes(args);
    if (global.module == "copyreg" && global.name == "_reconstructor" && args.size() == 3) {
        // (class, object, None), or (class, int, 5) for an instance of a class that extends int.
        Tuple given;
        if (!args[2].is_none()) given.items.push_back(args[2]);
        return make(object(callee(args[0]), Construction::new_instance, make(std::move(given))));
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

inline std::optional<Value> Builder::encoded_bytes(const std::vector<Value>& args) {
    const std::string* characters = args.empty() ? nullptr : args[0].as_string();
    const std::string* encoding = args.size() == 2 ? args[1].as_string() : nullptr;
    if (!characters || !encoding || (*encoding != "latin1" && *encoding != "latin-1")) return std::nullopt;
    charge(characters->size());
    auto bytes = utf8_to_latin1(*characters);
    if (!bytes) fail("bytes are spelled by characters beyond latin-1; the file is damaged");
    return make(Bytes{std::move(*bytes)});
}

/// Python 3.11 to 3.11.6 pickles an enum's member as getattr(Class, "member"); nothing else may ask for an attribute.
inline Value Builder::enum_member(const std::vector<Value>& args) {
    if (args.size() != 2 || !args[1].as_string())
        fail("getattr is called with something else than a class and a name; nothing was run");
    Global global = callee(args[0]);
    require_name(global.name.size() + args[1].as_string()->size());
    return make(object(std::move(global), Construction::member, make(Tuple{{args[1]}})));
}

inline void Builder::instantiate(bool with_keywords) {
    Value keywords = with_keywords ? pop() : Value();
    std::vector<Value> operands = pop_many(2);
    Global global = callee(operands[0]);
    if (!operands[1].get<Tuple>() || (with_keywords && !keywords.get<Dict>()))
        fail(to_text(global.module, ".", global.name, " is made of ", operands[1].describe(),
                     ", expected a tuple and perhaps a dict; the file is damaged"));
    Object made = object(std::move(global), Construction::new_instance, operands[1]);
    made.keywords = std::move(keywords);
    push_node(std::move(made));
}

/// Protocol 1's instance: class and arguments after a mark.
inline void Builder::instantiate_marked() {
    std::vector<Value> operands = pop_to_mark();
    if (operands.empty()) fail("an instance lacks its class; the file is damaged");
    Global global = callee(operands.front());
    operands.erase(operands.begin());
    push_call(std::move(global), make(Tuple{std::move(operands)}));
}

/// Protocol 0's instance: the class in two lines, arguments after a mark.
inline void Builder::instantiate_named(std::string module, std::string name) {
    push_global(std::move(module), std::move(name));
    Global global = callee(pop());
    push_call(std::move(global), make(Tuple{pop_to_mark()}));
}

inline void Builder::build() {
    Value state = pop();
    pin();
    if (top().get<Tensor>()) return;  // its attributes, which nobody asks for
    auto* object = top().edit<Object>();
    if (!object) fail(to_text(top().describe(), " is given a state, expected an object; the file is damaged"));
    if (!object->state.is_none())
        fail(to_text("an object of ", object->module, ".", object->name, " is given two states"));
    object->state = std::move(state);
}

/// Early PyTorch saved a class together with its source as ("module", class, file, source); only the class counts.
inline void Builder::persistent_id(Value id) {
    const auto* parts = id.get<Tuple>();
    if (parts && parts->items.size() > 1) {
        const std::string* kind = parts->items[0].as_string();
        if (kind && *kind == "module") return push(parts->items[1]);
    }
    push_node(PersistentId{std::move(id), offset()});
}

}  // namespace crossdock::pickle::detail
