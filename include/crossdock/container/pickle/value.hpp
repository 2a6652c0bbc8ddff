// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "crossdock/container/tensor_dict.hpp"
#include "crossdock/core/error.hpp"
#include "crossdock/core/tensor.hpp"
#include "crossdock/core/text.hpp"

namespace crossdock::pickle {

struct Node;
struct Bytes;
struct BigInteger;
struct List;
struct Tuple;
struct Dict;
struct Set;
struct Global;
struct Object;
struct PersistentId;
struct Entry;

/// What a Value refers to and shares with its copies, unlike numbers, which it holds itself.
template <class T>
concept Shared = std::same_as<T, std::string> || std::same_as<T, Bytes> || std::same_as<T, BigInteger> ||
    std::same_as<T, List> || std::same_as<T, Tuple> || std::same_as<T, Dict> || std::same_as<T, Set> ||
    std::same_as<T, Global> || std::same_as<T, Object> || std::same_as<T, PersistentId> || std::same_as<T, Tensor>;

/// A Python value as plain data: None, bool, std::int64_t, double, or one of the Shared types. Nothing in it runs.
///
/// Copies refer to the same list, dict or object, as in Python. Where the pickle makes a container contain itself, the
/// inner mention is a back reference: it has no type here, so walking along get() always ends. Through shared parts a
/// walk may still meet the same node often; walkers that do not want that remember node().
class Value {
public:
    Value() = default;  ///< None
    Value(std::same_as<bool> auto truth) : content_(truth) {}
    template <std::integral I>
    requires(!std::same_as<I, bool>) Value(I number) : content_(static_cast<std::int64_t>(number)) {
        if (!std::in_range<std::int64_t>(number))
            throw Error(to_text(number, " is beyond what a pickle's integers hold"));
    }
    Value(double number) : content_(number) {}
    Value(const char* text) : Value(std::string(text)) {}
    Value(std::string_view text) : Value(std::string(text)) {}
    template <Shared T>
    Value(T content);

    bool is_none() const noexcept { return std::holds_alternative<std::monostate>(content_); }

    /// The content if it is a T (bool, std::int64_t, double or a Shared type), else null.
    template <class T>
    const T* get() const noexcept;

    /// The same, to be changed; all copies of this value see the change.
    template <Shared T>
    T* edit() const noexcept;

    std::optional<bool> as_bool() const noexcept;
    std::optional<std::int64_t> as_integer() const noexcept;  ///< not of a bool
    std::optional<double> as_float() const noexcept;          ///< of an int too
    const std::string* as_string() const noexcept;            ///< null when it is not one

    /// The entries of a dict, OrderedDict, defaultdict, Counter or another mapping class; null for what is not a
    /// mapping.
    const std::vector<Entry>* entries() const noexcept;

    /// The tensors of a mapping that a reader has set apart; null for what is not a mapping.
    std::vector<NamedTensor>* tensors_apart() const noexcept;

    /// The items of a list, tuple or set; null for anything else.
    const std::vector<Value>* items() const noexcept;

    /// The mapping's value under a text key; null when this is not a mapping or has no such key.
    const Value* find(std::string_view key) const noexcept;

    /// An object's attribute, of an argparse.Namespace say; null when this is not an object or lacks it.
    const Value* attribute(std::string_view name) const noexcept;

    /// Its type in words, for errors: "a dict", "an argparse.Namespace".
    std::string describe() const;

    /// The shared content; null for None, bool, numbers and back references.
    const std::shared_ptr<Node>& node() const noexcept;

    /// What a back reference refers to; null for anything else.
    std::shared_ptr<Node> back_reference() const noexcept;

    /// Refers to a node without keeping it alive.
    static Value back_reference_to(const std::shared_ptr<Node>& node);

private:
    struct BackReference {
        std::weak_ptr<Node> target;
    };

    std::variant<std::monostate, bool, std::int64_t, double, std::shared_ptr<Node>, BackReference> content_;
};

/// One key and its value.
struct Entry {
    Value key, value;
};

struct Bytes {
    std::string data;
};

/// An integer that 64 bits do not hold: two's complement, least significant byte first, without needless bytes.
struct BigInteger {
    std::string bytes;
};

struct List {
    std::vector<Value> items;
};

struct Tuple {
    std::vector<Value> items;
};

/// Where a reader puts the tensors of dicts.
enum class TensorPlace : std::uint8_t {
    entries,  ///< with all others
    apart,    ///< those that have a name with a dot, as parameters have, and are mentioned once: into Dict::tensors;
              ///< where such a name has None beside them, there is nothing to keep
};

/// In the order in which the keys came; of equal keys the last one counts, as in Python.
struct Dict {
    std::vector<Entry> entries;
    std::vector<NamedTensor> tensors{};  ///< entries that a reader was asked to set apart
};

struct Set {
    std::vector<Value> items;
    bool frozen = false;
};

/// A class, function or constant that the pickle names; Python 2's module names are given as Python 3's.
struct Global {
    std::string module, name;
};

/// How an Object would come to be in Python.
enum class Construction : std::uint8_t {
    call,          ///< name(*args)
    new_instance,  ///< name.__new__(name, *args, **keywords)
    member,        ///< getattr(name, args[0]): an enum's member
};

/// An instance of any class, kept as the recipe that the pickle gives: nothing is looked up, let alone called.
struct Object {
    std::string module, name;
    Construction construction = Construction::call;
    Value args;                  ///< a tuple
    Value keywords;              ///< a dict, or None
    Value state;                 ///< what __setstate__ would get; mostly a dict of attributes; None when there is none
    std::vector<Value> items;    ///< of a list-like class
    std::vector<Entry> entries;  ///< of a dict-like class
    std::vector<NamedTensor> tensors{};  ///< of a dict-like class, set apart
    std::uint64_t offset = 0;            ///< where the pickle makes it, for errors
};

/// What the program that wrote the pickle stored elsewhere, by the name that it gave it.
struct PersistentId {
    Value id;
    std::uint64_t offset = 0;  ///< where it stands in the pickle, for errors
};

/// A shared value's content. A checkpoint has a few of them for each tensor, so what is large lies apart, unless it is
/// the tensor.
struct Node {
    template <class T>
    static constexpr bool lies_apart = std::same_as<T, Object> || std::same_as<T, Global>;

    template <Shared T>
    explicit Node(T value) {
        set(std::move(value));
    }

    /// The content if it is a T, else null.
    template <Shared T>
    T* get() noexcept {
        if constexpr (lies_apart<T>) {
            auto* apart = std::get_if<std::unique_ptr<T>>(&content);
            return apart ? apart->get() : nullptr;
        } else {
            return std::get_if<T>(&content);
        }
    }

    template <Shared T>
    void set(T value) {
        if constexpr (lies_apart<T>)
            content = std::make_unique<T>(std::move(value));
        else
            content = std::move(value);
    }

    /// Calls visit(content).
    template <class Visit>
    decltype(auto) visit(Visit&& visit) const {
        return std::visit(
            [&]<class T>(const T& value) -> decltype(auto) {
                if constexpr (std::same_as<T, std::unique_ptr<Object>> || std::same_as<T, std::unique_ptr<Global>>)
                    return visit(std::as_const(*value));
                else
                    return visit(value);
            },
            content);
    }

    std::variant<std::string, Bytes, BigInteger, List, Tuple, Dict, Set, std::unique_ptr<Global>,
                 std::unique_ptr<Object>, PersistentId, Tensor>
        content;

    // How deep others nest in a container that a Reader made.
    static constexpr std::uint32_t not_visited = 0xFFFFFFFF, in_progress = 0xFFFFFFFE;
    std::uint32_t height = not_visited;
};

template <Shared T>
Value::Value(T content) : content_(std::make_shared<Node>(std::move(content))) {}

template <class T>
const T* Value::get() const noexcept {
    if constexpr (Shared<T>) {
        const auto* node = std::get_if<std::shared_ptr<Node>>(&content_);
        return node ? (*node)->get<T>() : nullptr;
    } else {
        return std::get_if<T>(&content_);
    }
}

template <Shared T>
T* Value::edit() const noexcept {
    const auto* node = std::get_if<std::shared_ptr<Node>>(&content_);
    return node ? (*node)->get<T>() : nullptr;
}

inline std::optional<bool> Value::as_bool() const noexcept {
    const bool* truth = get<bool>();
    return truth ? std::optional(*truth) : std::nullopt;
}

inline std::optional<std::int64_t> Value::as_integer() const noexcept {
    const auto* number = get<std::int64_t>();
    return number ? std::optional(*number) : std::nullopt;
}

inline std::optional<double> Value::as_float() const noexcept {
    if (const auto* number = get<double>()) return *number;
    if (const auto* number = get<std::int64_t>()) return static_cast<double>(*number);
    return std::nullopt;
}

inline const std::string* Value::as_string() const noexcept { return get<std::string>(); }

inline const std::vector<Entry>* Value::entries() const noexcept {
    if (const auto* dict = get<Dict>()) return &dict->entries;
    const auto* object = get<Object>();
    if (!object) return nullptr;
    const bool known = object->module == "collections" &&
                       (object->name == "OrderedDict" || object->name == "defaultdict" || object->name == "Counter");
    return known || !object->entries.empty() || !object->tensors.empty() ? &object->entries : nullptr;
}

inline std::vector<NamedTensor>* Value::tensors_apart() const noexcept {
    if (auto* dict = edit<Dict>()) return &dict->tensors;
    return entries() ? &edit<Object>()->tensors : nullptr;
}

inline const std::vector<Value>* Value::items() const noexcept {
    if (const auto* list = get<List>()) return &list->items;
    if (const auto* tuple = get<Tuple>()) return &tuple->items;
    if (const auto* set = get<Set>()) return &set->items;
    return nullptr;
}

inline const Value* Value::find(std::string_view key) const noexcept {
    const auto* all = entries();
    if (!all) return nullptr;
    for (auto entry = all->rbegin(); entry != all->rend(); ++entry)
        if (const std::string* text = entry->key.as_string(); text && *text == key) return &entry->value;
    return nullptr;
}

/// The state is the instance's __dict__, or, for classes with __slots__, a pair of __dict__ and a dict of the slots.
inline const Value* Value::attribute(std::string_view name) const noexcept {
    const auto* object = get<Object>();
    if (!object) return nullptr;
    const auto* pair = object->state.get<Tuple>();
    if (!pair) return object->state.find(name);
    for (const Value& part : pair->items)
        if (const Value* found = part.find(name)) return found;
    return nullptr;
}

inline const std::shared_ptr<Node>& Value::node() const noexcept {
    static const std::shared_ptr<Node> none;
    const auto* node = std::get_if<std::shared_ptr<Node>>(&content_);
    return node ? *node : none;
}

inline std::shared_ptr<Node> Value::back_reference() const noexcept {
    const auto* reference = std::get_if<BackReference>(&content_);
    return reference ? reference->target.lock() : nullptr;
}

inline Value Value::back_reference_to(const std::shared_ptr<Node>& node) {
    Value value;
    value.content_ = BackReference{node};
    return value;
}

namespace detail {

struct Describe {
    std::string operator()(const std::string&) const { return "a str"; }
    std::string operator()(const Bytes&) const { return "bytes"; }
    std::string operator()(const BigInteger&) const { return "an int beyond 64 bits"; }
    std::string operator()(const List&) const { return "a list"; }
    std::string operator()(const Tuple&) const { return "a tuple"; }
    std::string operator()(const Dict&) const { return "a dict"; }
    std::string operator()(const Set&) const { return "a set"; }
    std::string operator()(const Global& global) const { return to_text("the name ", global.module, ".", global.name); }
    std::string operator()(const Object& object) const {
        return to_text("an object of ", object.module, ".", object.name);
    }
    std::string operator()(const PersistentId&) const { return "a persistent id"; }
    std::string operator()(const Tensor&) const { return "a tensor"; }
};

}  // namespace detail

inline std::string Value::describe() const {
    if (is_none()) return "None";
    if (get<bool>()) return "a bool";
    if (get<std::int64_t>()) return "an int";
    if (get<double>()) return "a float";
    return node() ? node()->visit(detail::Describe{}) : "a reference to what contains it";
}

}  // namespace crossdock::pickle
