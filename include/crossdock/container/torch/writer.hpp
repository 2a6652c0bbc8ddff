// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "crossdock/container/output_path.hpp"
#include "crossdock/container/pickle/value.hpp"
#include "crossdock/container/pickle/writer.hpp"
#include "crossdock/container/tensor_writer.hpp"
#include "crossdock/container/torch/format.hpp"
#include "crossdock/container/zip/writer.hpp"
#include "crossdock/core/checked.hpp"
#include "crossdock/core/error.hpp"
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

inline pickle::Value tuple_of(const std::vector<std::uint64_t>& numbers) {
    pickle::Tuple tuple;
    for (const std::uint64_t number : numbers) tuple.items.emplace_back(number);
    return tuple;
}

/// Strides of a tensor in C order; PyTorch counts an empty axis as one element.
inline std::vector<std::uint64_t> packed_strides(const Shape& shape) {
    std::vector<std::uint64_t> strides(shape.rank());
    std::uint64_t stride = 1;
    for (std::size_t axis = shape.rank(); axis-- > 0;) {
        strides[axis] = stride;
        stride *= shape[axis] == 0 ? 1 : shape[axis];
    }
    return strides;
}

/// What torch/_utils.py rebuilds a dense CPU tensor from. Types that came after torch 2.1 have no storage class: their
/// storage is bytes, and the type stands beside it.
class TensorValue {
public:
    /// `key` is the storage's record: "data/<key>".
    pickle::Value operator()(const std::string& key, DType dtype, const Shape& shape) const {
        const auto typed = storage_name(dtype);
        const pickle::Global storage_class{typed ? "torch" : "torch.storage",
                                           std::string(typed.value_or("UntypedStorage"))};
        const std::uint64_t count = shape.element_count() * (typed ? 1 : item_size(dtype));
        const pickle::PersistentId storage{pickle::Tuple{{storage_word_, storage_class, key, location_word_, count}}};
        pickle::Object hooks;
        hooks.module = "collections";
        hooks.name = "OrderedDict";
        pickle::Tuple args{
            {storage, 0, tuple_of({shape.begin(), shape.end()}), tuple_of(packed_strides(shape)), false, hooks}};
        if (!typed) args.items.push_back(pickle::Global{"torch", std::string(torch_name(dtype))});
        pickle::Object call;
        call.module = "torch._utils";
        call.name = typed ? "_rebuild_tensor_v2" : "_rebuild_tensor_v3";
        call.args = std::move(args);
        return call;
    }

private:
    // Said once in a file and referred to by all its tensors.
    pickle::Value storage_word_ = "storage", location_word_ = "cpu";
};

/// Adds the records that stand beside the storages.
inline void add_records(zip::Writer& zip, const std::string& prefix, const pickle::Value& root) {
    const auto add = [&](std::string_view name, std::string_view content) {
        zip.add(to_text(prefix, name), content.size()).write_whole(std::as_bytes(std::span(content)));
    };
    add("data.pkl", in_context(zip.name(), [&] { return pickle::write(root); }));
    add("version", "3\n");
    add("byteorder", "little");
}

}  // namespace detail

/// Writes a file that torch.load reads, weights_only too when it holds nothing but tensors and plain values: dicts of
/// dicts, one storage per tensor. In the names that add() and put() take, "/" separates the levels and anything else is
/// part of a key: "model/encoder/layers.0.weight" is {"model": {"encoder": {"layers.0.weight": …}}}. Entries keep the
/// order in which they came.
class Writer final : public TensorWriter {
public:
    /// Creates the file; throws Error when that fails or it exists.
    explicit Writer(const OutputPath& path) : zip_(path), prefix_(path.path().stem().string() + "/") {}

    /// Throws Error when the name is taken, or one of its levels is a value.
    std::shared_ptr<TensorSlot> add(const std::string& name, DType dtype, const Shape& shape) override;

    /// Puts any value without tensors: numbers, texts, None, a Namespace. Throws Error as add() does.
    void put(const std::string& name, pickle::Value value) { place(name, std::move(value)); }

    /// Gives a tensor that was added a further name: torch.load returns one tensor under both. Throws Error when
    /// `existing` was not added.
    void share(const std::string& name, const std::string& existing);

    void finish() override;

private:
    [[noreturn]] void fail(std::string_view what) const { throw Error(to_text(zip_.name(), ": ", what)); }
    void place(const std::string& name, pickle::Value value);
    pickle::Value& level(std::string_view name);

    zip::Writer zip_;
    std::string prefix_;
    std::uint64_t storage_count_ = 0;
    std::unordered_map<std::string, pickle::Value> levels_{{"", pickle::Dict{}}};
    std::unordered_map<std::string, pickle::Value> leaves_;
    detail::TensorValue tensor_;
};

inline std::shared_ptr<TensorSlot> Writer::add(const std::string& name, DType dtype, const Shape& shape) {
    const std::string key = std::to_string(storage_count_);
    place(name, tensor_(key, dtype, shape));
    ++storage_count_;
    const std::uint64_t bytes = checked_multiply(shape.element_count(), item_size(dtype), "tensor bytes");
    return std::make_shared<detail::StorageSlot>(zip_.add(to_text(prefix_, "data/", key), bytes));
}

inline void Writer::share(const std::string& name, const std::string& existing) {
    const auto found = leaves_.find(existing);
    if (found == leaves_.end()) fail(to_text("tensor '", name, "' should share '", existing, "', which was not added"));
    place(name, found->second);
}

inline void Writer::finish() {
    detail::add_records(zip_, prefix_, level(""));
    zip_.finish();
}

inline void Writer::place(const std::string& name, pickle::Value value) {
    const std::size_t slash = name.rfind('/');
    const std::string parent = slash == name.npos ? "" : name.substr(0, slash);
    pickle::Value& dict = level(parent);
    if (levels_.contains(name) || !leaves_.emplace(name, value).second) fail(to_text("'", name, "' is written twice"));
    dict.edit<pickle::Dict>()->entries.push_back({name.substr(slash + 1), std::move(value)});
}

/// The dict at a path, made with its parents when it is not there.
inline pickle::Value& Writer::level(std::string_view name) {
    const auto found = levels_.find(std::string(name));
    if (found != levels_.end()) return found->second;
    if (leaves_.contains(std::string(name))) fail(to_text("'", name, "' is a value, so nothing can be put into it"));
    const std::size_t slash = name.rfind('/');
    pickle::Value& parent = level(slash == name.npos ? "" : name.substr(0, slash));
    const pickle::Value made = pickle::Dict{};
    parent.edit<pickle::Dict>()->entries.push_back({name.substr(slash + 1), made});
    return levels_.emplace(name, made).first->second;
}

}  // namespace crossdock::torch
