// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "crossdock/container/little_endian.hpp"
#include "crossdock/container/pickle/format.hpp"
#include "crossdock/container/pickle/text.hpp"
#include "crossdock/container/pickle/value.hpp"
#include "crossdock/core/error.hpp"
#include "crossdock/core/text.hpp"

namespace crossdock::pickle {

/// Writes a pickle of protocol 2, with none but the opcodes that torch/_weights_only_unpickler.py (PyTorch 2.10) reads,
/// and hands it out in pieces. For whoever has too many values to make a tree of them, it also writes what values are
/// made of; what is put together from these must leave one value on the unpickler's stack.
class Writer {
public:
    /// Takes the next piece of the pickle.
    using Sink = std::function<void(std::string_view)>;

    explicit Writer(Sink sink) : sink_(std::move(sink)) {
        op(Opcode::proto);
        append_little<std::uint8_t>(out_, 2);
    }

    /// After the last value.
    void finish() {
        op(Opcode::stop);
        flush();
    }

    /// What is shared within and among the values that are written stays shared. Throws Error for what cannot be said
    /// so: tensors, keywords, huge integers.
    void value(const Value& value);

    void op(Opcode opcode) { out_ += static_cast<char>(opcode); }
    void integer(std::int64_t number);
    void text(std::string_view content);

    /// A class or function. Equal names share one memo entry, whoever mentions them.
    void global(std::string_view module, std::string_view name);

    /// Lets what was written last be mentioned again: its number in the memo.
    std::uint32_t remember();
    void recall(std::uint32_t number);

private:
    void real(double number) {
        op(Opcode::binfloat);
        const auto bits = std::bit_cast<std::uint64_t>(number);
        for (unsigned shift = 64; shift > 0; shift -= 8) out_ += static_cast<char>(bits >> (shift - 8) & 0xFFU);
    }

    /// A value that others refer to is written once and then called by its number in the memo.
    void shared(const std::shared_ptr<Node>& node) {
        if (memo_.contains(node.get())) return known(*node);
        node->visit([&](const auto& content) { write_node(content, node); });
    }

    void known(const Node& node) {
        const auto found = memo_.find(&node);
        if (found == memo_.end())
            throw Error("a tuple or call that contains itself cannot be written; only lists, dicts and objects can");
        recall(found->second);
    }

    void remember(const std::shared_ptr<Node>& node) { memo_.emplace(node.get(), remember()); }

    void remember_if_shared(const std::shared_ptr<Node>& node) {
        if (node.use_count() > 1) remember(node);
    }

    void write_node(const std::string& content, const std::shared_ptr<Node>& node) {
        text(content);
        remember_if_shared(node);
    }

    void write_node(const Bytes& bytes, const std::shared_ptr<Node>& node) {
        if (bytes.data.empty()) {
            global("__builtin__", "bytes");
            op(Opcode::empty_tuple);
        } else {
            global("_codecs", "encode");
            text(detail::latin1_to_utf8(bytes.data));
            text("latin1");
            op(Opcode::tuple2);
        }
        op(Opcode::reduce);
        remember_if_shared(node);
    }

    void write_node(const BigInteger& number, const std::shared_ptr<Node>& node) {
        if (number.bytes.size() > 0xFF)
            throw Error(to_text("an integer of ", number.bytes.size(), " bytes cannot be written, at most 255 can"));
        op(Opcode::long1), append_little(out_, static_cast<std::uint8_t>(number.bytes.size()));
        out_ += number.bytes;
        remember_if_shared(node);
    }

    void write_node(const List& list, const std::shared_ptr<Node>& node) {
        op(Opcode::empty_list);
        remember(node);
        items(list.items);
    }

    void write_node(const Tuple& tuple, const std::shared_ptr<Node>& node) {
        const std::size_t count = tuple.items.size();
        if (count > 3) op(Opcode::mark);
        for (const Value& item : tuple.items) value(item);
        constexpr Opcode short_forms[] = {Opcode::empty_tuple, Opcode::tuple1, Opcode::tuple2, Opcode::tuple3};
        op(count > 3 ? Opcode::tuple : short_forms[count]);
        remember_if_shared(node);
    }

    void write_node(const Dict& dict, const std::shared_ptr<Node>& node) {
        refuse(dict.tensors);
        op(Opcode::empty_dict);
        remember(node);
        entries(dict.entries);
    }

    /// Protocol 2 spells a set as set([items]).
    void write_node(const Set& set, const std::shared_ptr<Node>& node) {
        global("__builtin__", set.frozen ? "frozenset" : "set");
        op(Opcode::empty_list);
        items(set.items);
        op(Opcode::tuple1);
        op(Opcode::reduce);
        remember_if_shared(node);
    }

    void write_node(const Global& named, const std::shared_ptr<Node>& node) {
        global(named.module, named.name);
        remember_if_shared(node);
    }

    void write_node(const Object& object, const std::shared_ptr<Node>& node) {
        refuse(object.tensors);
        if (!object.keywords.is_none())
            throw Error(to_text("an object of ", object.module, ".", object.name,
                                " is made with keywords, which pickle protocol 2 cannot say"));
        if (object.construction == Construction::member) {
            global("__builtin__", "getattr");
            global(object.module, object.name);
            value(object.args.get<Tuple>()->items.at(0));
            op(Opcode::tuple2);
        } else {
            global(object.module, object.name);
            if (object.args.is_none())
                op(Opcode::empty_tuple);
            else
                value(object.args);
        }
        op(object.construction == Construction::new_instance ? Opcode::newobj : Opcode::reduce);
        remember(node);
        items(object.items);
        entries(object.entries);
        if (object.state.is_none()) return;
        value(object.state);
        op(Opcode::build);
    }

    void write_node(const PersistentId& id, const std::shared_ptr<Node>& node) {
        value(id.id);
        op(Opcode::binpersid);
        remember_if_shared(node);
    }

    [[noreturn]] void write_node(const Tensor&, const std::shared_ptr<Node>&) {
        throw Error("a tensor cannot stand inside a value that is written; add it to the file by its own name");
    }

    void refuse(const std::vector<NamedTensor>& tensors) {
        if (!tensors.empty()) write_node(tensors.front().tensor, nullptr);
    }

    void items(const std::vector<Value>& all) {
        if (all.empty()) return;
        op(Opcode::mark);
        for (const Value& item : all) value(item);
        op(Opcode::appends);
    }

    void entries(const std::vector<Entry>& all) {
        if (all.empty()) return;
        op(Opcode::mark);
        for (const Entry& entry : all) value(entry.key), value(entry.value);
        op(Opcode::setitems);
    }

    /// Hands out what has come together, in pieces that are worth it.
    void flush_if_long() {
        constexpr std::size_t long_text = std::size_t{1} << 16;
        if (out_.size() >= long_text) flush();
    }

    void flush() {
        sink_(out_);
        out_.clear();
    }

    Sink sink_;
    std::string out_, line_;
    std::uint32_t remembered_ = 0;
    std::unordered_map<const Node*, std::uint32_t> memo_;
    std::map<std::string, std::uint32_t, std::less<>> globals_;
};

inline void Writer::value(const Value& value) {
    flush_if_long();
    if (value.is_none()) return op(Opcode::none);
    if (const bool* truth = value.get<bool>()) return op(*truth ? Opcode::newtrue : Opcode::newfalse);
    if (const auto* number = value.get<std::int64_t>()) return integer(*number);
    if (const auto* number = value.get<double>()) return real(*number);
    if (const auto target = value.back_reference()) return known(*target);
    if (value.node()) return shared(value.node());
    throw Error("a value refers to a container that is gone, so it cannot be written");
}

inline void Writer::integer(std::int64_t number) {
    if (number >= 0 && number <= 0xFF) {
        op(Opcode::binint1), append_little(out_, static_cast<std::uint8_t>(number));
    } else if (number >= 0 && number <= 0xFFFF) {
        op(Opcode::binint2), append_little(out_, static_cast<std::uint16_t>(number));
    } else if (std::in_range<std::int32_t>(number)) {
        op(Opcode::binint), append_little(out_, static_cast<std::int32_t>(number));
    } else {
        op(Opcode::long1), append_little<std::uint8_t>(out_, 8), append_little(out_, number);
    }
}

inline void Writer::text(std::string_view content) {
    if (content.size() > 0xFFFFFFFF) throw Error("a text of more than 4 GiB cannot be written");
    flush_if_long();
    op(Opcode::binunicode), append_little(out_, static_cast<std::uint32_t>(content.size()));
    out_ += content;
}

/// Protocol 2 wants Python 2's names of two modules.
inline void Writer::global(std::string_view module, std::string_view name) {
    if (module == "builtins") module = "__builtin__";
    if (module == "copyreg") module = "copy_reg";
    if (module.find('\n') != module.npos || name.find('\n') != name.npos)
        throw Error("the name of a class holds a line feed, so it cannot be written");
    line_.assign(module).append(1, '\n').append(name).append(1, '\n');
    const auto found = globals_.find(line_);
    if (found != globals_.end()) return recall(found->second);
    op(Opcode::global);
    out_ += line_;
    globals_.emplace(line_, remember());
}

inline std::uint32_t Writer::remember() {
    const std::uint32_t number = remembered_++;
    if (number <= 0xFF)
        op(Opcode::binput), append_little(out_, static_cast<std::uint8_t>(number));
    else
        op(Opcode::long_binput), append_little(out_, number);
    return number;
}

inline void Writer::recall(std::uint32_t number) {
    if (number <= 0xFF)
        op(Opcode::binget), append_little(out_, static_cast<std::uint8_t>(number));
    else
        op(Opcode::long_binget), append_little(out_, number);
}

/// The value as a pickle of protocol 2, which every PyTorch reads, under weights_only too if its classes are allowed
/// there. Throws Error as Writer::value() does.
inline std::string write(const Value& value) {
    std::string pickle;
    Writer writer([&](std::string_view piece) { pickle += piece; });
    writer.value(value);
    writer.finish();
    return pickle;
}

}  // namespace crossdock::pickle
