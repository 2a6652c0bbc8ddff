// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "crossdock/core/error.hpp"
#include "crossdock/core/text.hpp"

// A pickle's values packed together: for pickles of millions of small ones, which take a sixth of the time and a tenth
// of the memory that Values take. packed_reader.hpp makes them.

namespace crossdock::pickle {

namespace detail {

enum class PackedKind : std::uint8_t {
    none,
    truth,
    integer,
    number,  ///< an integer that is kept in Arena::numbers
    text,
    tuple,
    numbers,  ///< a tuple of integers
    list,
    dict,
    fields,  ///< a dict of attributes, as many others have them
    global,
    object,
    other
};

/// One value: an integer, or where in the Arena its content lies. Of 8 bytes, as there are millions.
class Packed {
public:
    Packed() = default;
    /// Throws Error where a number is larger than those of any file that is read.
    explicit Packed(PackedKind kind, std::uint64_t count = 0, std::uint64_t data = 0)
        : bits_(static_cast<std::uint64_t>(kind) | count << kind_bits | data << (kind_bits + count_bits)) {
        if (count >> count_bits != 0 || data >> count_bits != 0) throw Error("a pickle has more values than are read");
    }

    /// Of an integer that fits.
    static std::optional<Packed> integer(std::int64_t number) {
        Packed packed(PackedKind::integer);
        packed.bits_ |= static_cast<std::uint64_t>(number) << kind_bits;
        return packed.integer() == number ? std::optional(packed) : std::nullopt;
    }
    /// What it was made of.
    std::int64_t integer() const noexcept { return static_cast<std::int64_t>(bits_) >> kind_bits; }

    PackedKind kind() const noexcept { return static_cast<PackedKind>(bits_ & ((1U << kind_bits) - 1)); }
    /// Of a text's bytes, or of a tuple's items; the number of fields' names.
    std::uint32_t count() const noexcept {
        return static_cast<std::uint32_t>(bits_ >> kind_bits & ((1U << count_bits) - 1));
    }
    /// An index into one of Arena's lists.
    std::size_t data() const noexcept { return static_cast<std::size_t>(bits_ >> (kind_bits + count_bits)); }

    bool operator==(const Packed&) const = default;

private:
    static constexpr unsigned kind_bits = 4, count_bits = 30;

    std::uint64_t bits_ = 0;  ///< from the lowest on: kind, count, data; or kind, integer
};

/// What is called with what.
struct PackedCall {
    Packed callee, args;

    bool operator==(const PackedCall&) const = default;
};

struct PackedObject {
    std::uint32_t call = 0;  ///< its number: objects of a class mostly have it in common
    Packed state;
};

struct Arena {
    std::string texts;
    std::vector<Packed> items;                    ///< those of tuples; module and name of globals; values of fields
    std::vector<std::int64_t> numbers;            ///< those of tuples that have no other items; large ones
    std::vector<std::vector<Packed>> names;       ///< of fields
    std::vector<std::vector<Packed>> containers;  ///< of lists; of dicts key, value, key, value, …
    std::vector<PackedCall> calls;
    std::vector<PackedObject> objects;
    Packed root;

    /// Makes about the room that an index of chunks needs, of a pickle of so many bytes: what is not used of it is never
    /// touched, and to grow would be to copy.
    void reserve(std::size_t bytes) {
        texts.reserve(bytes / 8);
        items.reserve(bytes / 24);
        numbers.reserve(bytes / 32);
        objects.reserve(bytes / 96);
    }

    Packed integer(std::int64_t number) {
        if (const auto packed = Packed::integer(number)) return *packed;
        numbers.push_back(number);
        return Packed(PackedKind::number, 0, numbers.size() - 1);
    }
    std::optional<std::int64_t> as_integer(Packed value) const noexcept {
        if (value.kind() == PackedKind::number) return numbers[value.data()];
        return value.kind() == PackedKind::integer ? std::optional(value.integer()) : std::nullopt;
    }

    /// The number of a call, which is kept unless one of the first ones is the same.
    std::uint32_t number_of(const PackedCall& call) {
        constexpr std::size_t most_looked_at = 16;
        const auto last = calls.begin() + static_cast<std::ptrdiff_t>(std::min(calls.size(), most_looked_at));
        const auto found = std::find(calls.begin(), last, call);
        if (found != last) return static_cast<std::uint32_t>(found - calls.begin());
        calls.push_back(call);
        return static_cast<std::uint32_t>(calls.size() - 1);
    }
};

}  // namespace detail

/// A value of a packed pickle, which must outlive it. As with Value, nothing in it runs: a call is an object that says
/// what would be called.
class PackedValue {
public:
    PackedValue(const detail::Arena& arena, detail::Packed value) : arena_(&arena), value_(value) {}

    bool is_none() const noexcept { return value_.kind() == Kind::none; }
    bool is_object() const noexcept { return value_.kind() == Kind::object; }

    std::optional<std::int64_t> as_integer() const noexcept { return arena_->as_integer(value_); }

    /// UTF-8, valid as long as the pickle.
    std::optional<std::string_view> as_text() const noexcept {
        if (value_.kind() != Kind::text) return std::nullopt;
        return std::string_view(arena_->texts).substr(value_.data(), value_.count());
    }

    /// How many items a tuple or list has; nothing for anything else.
    std::optional<std::size_t> size() const noexcept {
        if (value_.kind() == Kind::tuple || value_.kind() == Kind::numbers) return value_.count();
        return value_.kind() == Kind::list ? std::optional(content().size()) : std::nullopt;
    }

    /// Item `index` < size() of a tuple or list.
    PackedValue item(std::size_t index) const {
        if (value_.kind() != Kind::numbers) return {*arena_, sequence()[index]};
        return {*arena_, detail::Packed(Kind::number, 0, value_.data() + index)};
    }

    /// How many entries a dict has; nothing for anything else.
    std::optional<std::size_t> entry_count() const noexcept {
        if (value_.kind() == Kind::fields) return names().size();
        return value_.kind() == Kind::dict ? std::optional(content().size() / 2) : std::nullopt;
    }

    /// Entry `index` < entry_count() of a dict: key and value.
    std::pair<PackedValue, PackedValue> entry(std::size_t index) const {
        if (value_.kind() == Kind::fields)
            return {{*arena_, names()[index]}, {*arena_, arena_->items[value_.data() + index]}};
        return {{*arena_, content()[2 * index]}, {*arena_, content()[2 * index + 1]}};
    }

    /// The dict's value under a text key, the last where there are several, as in Python.
    std::optional<PackedValue> find(std::string_view key) const {
        if (value_.kind() == Kind::fields) return field(key);
        for (std::size_t index = entry_count().value_or(0); index-- > 0;)
            if (const auto [name, found] = entry(index); name.as_text() == key) return found;
        return std::nullopt;
    }

    /// An object's attribute; nothing when this is not an object or lacks it. Nor where it has more than any class would:
    /// a hostile pickle may mention one such object often.
    std::optional<PackedValue> attribute(std::string_view name) const {
        constexpr std::size_t most_attributes = 256;
        if (!is_object() || state().entry_count().value_or(0) > most_attributes) return std::nullopt;
        return state().find(name);
    }

    /// Of an object: what __setstate__ would get, None where there is nothing; and the arguments of its call.
    PackedValue state() const { return {*arena_, object().state}; }
    PackedValue arguments() const { return {*arena_, call().args}; }

    /// Module and name of a class, function or constant, or of the class of an object; empty for anything else.
    std::pair<std::string_view, std::string_view> global() const {
        const detail::Packed named = is_object() ? call().callee : value_;
        if (named.kind() != Kind::global) return {};
        const detail::Packed* names = arena_->items.data() + named.data();
        return {*PackedValue(*arena_, names[0]).as_text(), *PackedValue(*arena_, names[1]).as_text()};
    }

    /// Its type in words, for errors.
    std::string describe() const {
        switch (value_.kind()) {
            case Kind::none: return "None";
            case Kind::truth: return "a bool";
            case Kind::integer:
            case Kind::number: return "an int";
            case Kind::text: return "a str";
            case Kind::tuple:
            case Kind::numbers: return "a tuple";
            case Kind::list: return "a list";
            case Kind::dict:
            case Kind::fields: return "a dict";
            case Kind::global: return to_text("the name ", shortened(global().first), ".", shortened(global().second));
            case Kind::object:
                return to_text("an object of ", shortened(global().first), ".", shortened(global().second));
            case Kind::other: break;
        }
        return "a value of another kind";
    }

private:
    using Kind = detail::PackedKind;

    const std::vector<detail::Packed>& content() const { return arena_->containers[value_.data()]; }
    const std::vector<detail::Packed>& names() const { return arena_->names[value_.count()]; }
    const detail::PackedObject& object() const { return arena_->objects[value_.data()]; }
    const detail::PackedCall& call() const { return arena_->calls[object().call]; }
    /// As find(), of fields: their names are texts.
    std::optional<PackedValue> field(std::string_view key) const {
        const std::vector<detail::Packed>& all = names();
        for (std::size_t index = all.size(); index-- > 0;) {
            const char* const name = arena_->texts.data() + all[index].data();
            if (std::string_view(name, all[index].count()) == key)
                return PackedValue(*arena_, arena_->items[value_.data() + index]);
        }
        return std::nullopt;
    }
    const detail::Packed* sequence() const {
        return value_.kind() == Kind::tuple ? arena_->items.data() + value_.data() : content().data();
    }

    const detail::Arena* arena_;
    detail::Packed value_;
};

}  // namespace crossdock::pickle
