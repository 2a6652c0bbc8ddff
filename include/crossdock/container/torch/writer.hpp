// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <filesystem>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "crossdock/container/output_path.hpp"
#include "crossdock/container/pickle/format.hpp"
#include "crossdock/container/pickle/value.hpp"
#include "crossdock/container/pickle/writer.hpp"
#include "crossdock/container/tensor_writer.hpp"
#include "crossdock/container/torch/format.hpp"
#include "crossdock/container/torch/tensor_pickler.hpp"
#include "crossdock/container/zip/writer.hpp"
#include "crossdock/core/checked.hpp"
#include "crossdock/core/error.hpp"
#include "crossdock/core/name_table.hpp"
#include "crossdock/core/text.hpp"

namespace crossdock::torch {

namespace detail {

/// One storage being written.
class StorageSlot final : public TensorSlot {
public:
    explicit StorageSlot(zip::EntryWriter entry) : entry_(std::move(entry)) {}

    void write(std::uint64_t at, std::span<const std::byte> bytes) override { entry_.write(at, bytes); }
    FilePlace place(std::uint64_t at) const override { return {entry_.file(), entry_.offset() + at}; }

private:
    zip::EntryWriter entry_;
};

/// Adds the records that stand beside the storages. `write_content` pickles the file's content; a long one twice, since
/// the record's length is asked for before its bytes.
template <class Content>
void add_records(zip::Writer& zip, const std::string& prefix, Content&& write_content) {
    const auto pickled = [&](const pickle::Writer::Sink& sink) {
        in_context(zip.name(), [&] {
            pickle::Writer out(sink);
            write_content(out);
            out.finish();
        });
    };
    std::string first;
    std::uint64_t length = 0, at = 0;
    pickled([&](std::string_view piece) {
        if (length == 0) first = piece;
        length += piece.size();
    });
    const std::string name = to_text(prefix, pickle_record);
    if (length == first.size()) {
        zip.put(name, std::move(first));
    } else {
        const zip::EntryWriter content = zip.add(name, length);
        content.mark_whole();
        pickled([&](std::string_view piece) {
            content.write(at, std::as_bytes(std::span(piece)));
            at += piece.size();
        });
    }
    for (const FixedRecord& record : fixed_records) zip.put(to_text(prefix, record.name), std::string(record.content));
}

}  // namespace detail

/// Writes a file that torch.load reads, weights_only too when it holds nothing but tensors and plain values: dicts of
/// dicts, one storage per tensor. In the names that add() and put() take, "/" separates the levels and anything else is
/// part of a key: "model/encoder/layers.0.weight" is {"model": {"encoder": {"layers.0.weight": …}}}. Entries keep the
/// order in which they came. Of a tensor it keeps the name and some 85 bytes.
class Writer final : public TensorWriter {
public:
    /// Creates the file; throws Error when that fails or it exists.
    explicit Writer(const OutputPath& path)
        : prefix_(path.path().stem().string() + "/"),
          zip_(path, to_text(prefix_, storage_records)) {
        names_.add("");
        items_.push_back({.kind = Kind::level});
        levels_.emplace_back();
    }

    /// Throws Error when the name is taken, or one of its levels is a value.
    std::shared_ptr<TensorSlot> add(const std::string& name, DType dtype, const Shape& shape) override;

    /// Puts any value without tensors: numbers, texts, None, a Namespace. Throws Error as add() does.
    void put(const std::string& name, pickle::Value value);

    /// Gives a tensor that was added a further name: torch.load returns one tensor under both. Throws Error when
    /// `existing` was not added.
    void share(const std::string& name, const std::string& existing);

    void finish() override;

private:
    enum class Kind : std::uint8_t { level, tensor, value, none };  // of values, None is none that need be kept

    /// What a name stands for; several may stand for one tensor.
    struct Item {
        Kind kind;
        std::uint32_t index = 0;  ///< in the list of its kind
        std::uint32_t next = 0;   ///< the item after it on its level; 0: none
    };
    /// A dict, by its first and last item; 0: none.
    struct Level {
        std::uint32_t first = 0, last = 0;
    };
    /// Few for many tensors.
    struct TensorKind {
        DType dtype;
        Shape shape;

        bool operator<(const TensorKind& other) const {
            if (dtype != other.dtype) return dtype < other.dtype;
            return std::lexicographical_compare(shape.begin(), shape.end(), other.shape.begin(), other.shape.end());
        }
    };
    /// The numbers in a pickle's memo of the tensors that have several names.
    using Shared = std::unordered_map<std::uint32_t, std::optional<std::uint32_t>>;

    [[noreturn]] void fail(std::string_view what) const { throw Error(to_text(zip_.name(), ": ", what)); }
    std::uint32_t place(std::string_view name, Kind kind, std::size_t index);
    std::uint32_t level(std::string_view name);
    void write_level(pickle::Writer& out, TensorPickler& tensors, Shared& shared, const Level& level) const;
    void write_item(pickle::Writer& out, TensorPickler& tensors, Shared& shared, const Item& item) const;

    std::string prefix_;
    zip::Writer zip_;
    NameTable names_;
    std::deque<Item> items_;  ///< one for each name; the first is the root
    std::deque<Level> levels_;
    std::set<TensorKind> kinds_;
    std::deque<const TensorKind*> tensors_;  ///< tensor i is the record "data/i"
    std::deque<pickle::Value> values_;
    Shared shared_;  ///< without numbers
};

inline std::shared_ptr<TensorSlot> Writer::add(const std::string& name, DType dtype, const Shape& shape) {
    place(name, Kind::tensor, tensors_.size());
    const std::uint64_t bytes = checked_multiply(shape.element_count(), item_size(dtype), "tensor bytes");
    zip::EntryWriter storage = zip_.add_numbered(bytes);
    tensors_.push_back(&*kinds_.insert({dtype, shape}).first);
    return std::make_shared<detail::StorageSlot>(std::move(storage));
}

inline void Writer::put(const std::string& name, pickle::Value value) {
    if (value.is_none()) {
        place(name, Kind::none, 0);
        return;
    }
    place(name, Kind::value, values_.size());
    values_.push_back(std::move(value));
}

inline void Writer::share(const std::string& name, const std::string& existing) {
    const auto found = names_.find(existing);
    if (!found || items_[*found].kind == Kind::level)
        fail(to_text("tensor '", name, "' should share '", existing, "', which was not added"));
    const Item original = items_[*found];
    place(name, original.kind, original.index);
    if (original.kind == Kind::tensor) shared_[original.index];
}

inline void Writer::finish() {
    detail::add_records(zip_, prefix_, [&](pickle::Writer& out) {
        TensorPickler tensors(out);
        Shared shared = shared_;
        write_level(out, tensors, shared, levels_.front());
    });
    zip_.finish();
}

/// Makes an item of the list of its kind, at the end of its level. Returns its number.
inline std::uint32_t Writer::place(std::string_view name, Kind kind, std::size_t index) {
    const std::size_t slash = name.rfind('/');
    Level& parent = levels_[level(slash == name.npos ? "" : name.substr(0, slash))];
    const auto [number, is_new] = names_.add(name);
    if (!is_new) fail(to_text("'", name, "' is written twice"));
    const auto item = static_cast<std::uint32_t>(number);
    items_.push_back({.kind = kind, .index = static_cast<std::uint32_t>(index)});
    (parent.first == 0 ? parent.first : items_[parent.last].next) = item;
    parent.last = item;
    return item;
}

/// The dict at a path, made with its parents when it is not there; its index.
inline std::uint32_t Writer::level(std::string_view name) {
    const auto found = names_.find(name);
    if (found && items_[*found].kind != Kind::level)
        fail(to_text("'", name, "' is a value, so nothing can be put into it"));
    if (found) return items_[*found].index;
    const std::uint32_t made = place(name, Kind::level, 0);
    items_[made].index = static_cast<std::uint32_t>(levels_.size());
    levels_.emplace_back();
    return items_[made].index;
}

inline void Writer::write_level(pickle::Writer& out, TensorPickler& tensors, Shared& shared, const Level& level) const {
    out.op(pickle::Opcode::empty_dict);
    out.remember();
    if (level.first == 0) return;
    out.op(pickle::Opcode::mark);
    for (std::uint32_t number = level.first; number != 0; number = items_[number].next) {
        const std::string_view name = names_[number];
        out.text(name.substr(name.rfind('/') + 1));
        write_item(out, tensors, shared, items_[number]);
    }
    out.op(pickle::Opcode::setitems);
}

inline void Writer::write_item(pickle::Writer& out, TensorPickler& tensors, Shared& shared, const Item& item) const {
    if (item.kind == Kind::level) return write_level(out, tensors, shared, levels_[item.index]);
    if (item.kind == Kind::none) return out.value({});
    if (item.kind == Kind::value) {
        const pickle::Value value = values_[item.index];  // with a second owner: it goes to the memo, as it has a name
        return out.value(value);
    }
    const auto sharing = shared.find(item.index);
    if (sharing != shared.end() && sharing->second) return out.recall(*sharing->second);
    const TensorKind& tensor = *tensors_[item.index];
    const std::uint32_t number = tensors.write(std::to_string(item.index), tensor.dtype, tensor.shape);
    if (sharing != shared.end()) sharing->second = number;
}

}  // namespace crossdock::torch
