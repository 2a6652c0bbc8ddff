// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "crossdock/container/foreign_files.hpp"
#include "crossdock/container/little_endian.hpp"
#include "crossdock/container/pickle/children.hpp"
#include "crossdock/container/pickle/reader.hpp"
#include "crossdock/container/pickle/value.hpp"
#include "crossdock/container/tensor_dict.hpp"
#include "crossdock/container/torch/format.hpp"
#include "crossdock/container/torch/last_pickle.hpp"
#include "crossdock/container/torch/nested_tensors.hpp"
#include "crossdock/container/torch/rebuild.hpp"
#include "crossdock/container/zip/checked_source.hpp"
#include "crossdock/container/zip/reader.hpp"
#include "crossdock/core/error.hpp"
#include "crossdock/core/recipe.hpp"
#include "crossdock/core/source.hpp"
#include "crossdock/core/text.hpp"

namespace crossdock::torch {

namespace detail {

/// The limits for a pickle that takes this much of its file: honest ones need some forty times of it, so that a small
/// file never takes much memory, not even where it is deflated.
inline pickle::Limits bounded_by(std::uint64_t bytes, pickle::Limits limits) {
    constexpr std::uint64_t least = std::uint64_t{1} << 26, factor = 64;
    if (bytes < (limits.memory_bytes - std::min(least, limits.memory_bytes)) / factor)
        limits.memory_bytes = least + factor * bytes;
    return limits;
}

/// A file of torch 1.6 and later: a zip of one pickle and one entry per storage (torch/serialization.py, _load;
/// caffe2/serialize/inline_container.cc).
class ZipFile {
public:
    explicit ZipFile(std::shared_ptr<const Source> source)
        : source_(std::make_shared<zip::CheckedSource>(std::move(source))),
          zip_(source_) {
        if (zip_.entries().empty()) fail("is an empty zip; it is no file of torch.save");
        // The archive's name at saving time; files are renamed later.
        const std::string_view first = zip_.entries().front().name;
        prefix_ = first.substr(0, first.find('/') + 1);
        if (zip_.find(prefix_ + "constants.pkl"))
            fail("is a TorchScript program, expected a file of torch.save; save the model's state_dict() instead");
        check_version();
    }

    pickle::Value read(pickle::Limits limits, pickle::TensorPlace tensors) {
        const zip::Entry& record = entry(pickle_record);
        limits = bounded_by(record.packed_size, limits);
        const std::shared_ptr<const Source> bytes = zip_.open(record, limits.memory_bytes);
        pickle::Cursor cursor(bytes, 0, bytes->size());
        Rebuild rebuild(source_, is_big_endian(), [this](const StorageReference& storage) { return place(storage); });
        const auto attempt = [&](const pickle::Object& call) { return rebuild.attempt(call); };
        pickle::Reader reader(cursor, to_text(source_->name(), ": ", pickle_record), limits, attempt, tensors);
        pickle::Value root = reader.read();
        rebuild.run(root);
        source_->start();
        return root;
    }

    /// The tensor that the file holds, if its pickle is this one. Nothing where it is another, and where the file does
    /// not have what the pickle speaks of: read() says what is wrong.
    std::optional<Tensor> tensor_of(const OneTensor& known) {
        const zip::Entry &record = entry(pickle_record), *bytes = storage_entry(known.storage);
        if (record.packed_size != known.pickle.size() || record.size != record.packed_size || is_big_endian() ||
            !bytes || bytes->size != known.shape.element_count() * item_size(known.dtype) ||
            zip_.read(record, record.size) != known.pickle)
            return std::nullopt;
        const StoragePlace place = this->place(*bytes);
        source_->start();
        return region(source_, place.offset, known.dtype, known.shape);
    }

    /// What the pickle says, from which read() has made `root`; null where that is not a tensor of all of one storage.
    std::shared_ptr<const OneTensor> learn(const pickle::Value& root) const {
        const auto* tensor = root.get<Tensor>();
        const bool is_one = tensor && storages_ == 1 && !is_big_endian() &&
                            dynamic_cast<const crossdock::detail::Region*>(tensor->recipe().get()) &&
                            tensor->byte_count() == storage_entry(last_storage_)->size;
        if (!is_one) return nullptr;
        const zip::Entry& record = entry(pickle_record);
        return std::make_shared<const OneTensor>(OneTensor{zip_.read(record, std::max(record.size, record.packed_size)),
                                                           last_storage_, tensor->dtype(), tensor->shape()});
    }

private:
    [[noreturn]] void fail(std::string_view what) const { throw Error(to_text(source_->name(), ": ", what)); }

    const zip::Entry& entry(std::string_view record) const {
        const zip::Entry* found = zip_.find(to_text(prefix_, record));
        if (!found)
            fail(to_text("zip entry '", prefix_, record, "' is missing; it is no file of torch.save or damaged"));
        return *found;
    }

    std::string small_record(const zip::Entry& record) const {
        const auto bytes = zip_.read(record, 64);
        return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
    }

    /// torch writes 3 and reads 1 to 10.
    void check_version() const {
        const zip::Entry* hidden = zip_.find(to_text(prefix_, hidden_version_record));
        const std::string version = small_record(hidden ? *hidden : entry(version_record));
        int number = 0;
        std::from_chars(version.data(), version.data() + version.size(), number);
        if (number < 1 || number > 10)
            fail("has a version entry that is none of 1 to 10; a newer PyTorch may have written it");
    }

    bool is_big_endian() const {
        const zip::Entry* order = zip_.find(to_text(prefix_, byteorder_record));
        const std::string name = order ? small_record(*order) : "little";
        if (name != "little" && name != "big")
            fail("has a byteorder entry that is neither little nor big; it is damaged");
        return name == "big";
    }

    /// Null when there is none.
    const zip::Entry* storage_entry(std::string_view key) const {
        return zip_.find(to_text(prefix_, storage_records, key));
    }

    StoragePlace place(const StorageReference& storage) {
        const zip::Entry* record = storage_entry(storage.key);
        if (!record)
            throw Error(to_text("its storage, zip entry '", prefix_, storage_records, storage.key, "', is missing"));
        ++storages_;
        last_storage_ = storage.key;
        return place(*record);
    }

    StoragePlace place(const zip::Entry& record) {
        if (!zip::CheckedSource::can_watch(record)) return {zip_.payload_offset(record), record.size};
        const auto padded = zip_.padded_offset(record);
        const std::uint64_t offset = padded ? *padded : zip_.payload_offset(record);
        source_->watch(record, offset);
        return {offset, record.size};
    }

    std::shared_ptr<zip::CheckedSource> source_;
    zip::Reader zip_;
    std::string prefix_;
    std::size_t storages_ = 0;  // that the pickle refers to, each as often as it does
    std::string last_storage_;  // its key
};

/// A file of torch before 1.6: five pickles (magic number, version, system, content, storage keys), then for each key
/// its element count and its bytes, which are little-endian always (torch/serialization.py, _legacy_load).
class LegacyFile {
public:
    /// The magic number 0x1950A86A20F9469CFC6C, least significant byte first.
    static constexpr std::string_view magic{"\x6C\xFC\x9C\x46\xF9\x20\x6A\xA8\x50\x19", 10};
    static constexpr std::int64_t version = 1001;

    explicit LegacyFile(std::shared_ptr<const Source> source) : source_(std::move(source)) {}

    /// Whether a file with this beginning is one: its first pickle, of whatever protocol, holds the magic number.
    static bool begins(std::string_view head) {
        constexpr std::string_view decimal = "L119547037146038801333356L\n";  // protocols 0 and 1
        constexpr std::size_t longest_prefix = 16;                            // PROTO, FRAME and LONG1
        return head.starts_with(decimal) ||
               (head.starts_with('\x80') && head.substr(0, longest_prefix + magic.size()).find(magic) != head.npos);
    }

    pickle::Value read(pickle::Limits limits) {
        limits = bounded_by(source_->size(), limits);
        pickle::Cursor cursor(source_, 0, source_->size());
        const auto next = [&] { return pickle::Reader(cursor, source_->name(), limits).read(); };
        const pickle::Value first = next();
        const auto* number = first.get<pickle::BigInteger>();
        if (!number || number->bytes != magic) fail("does not begin with PyTorch's magic number; it is damaged");
        if (const auto found = next().as_integer(); found != version)
            fail(to_text("has legacy version ", found.value_or(0), ", expected ", version));
        next();
        pickle::Value root = next();
        const pickle::Value keys = next();
        collect_item_sizes(root);
        locate(keys, cursor.offset());
        Rebuild(source_, false, [this](const StorageReference& storage) { return place(storage); }).run(root);
        return root;
    }

private:
    [[noreturn]] void fail(std::string_view what) const { throw Error(to_text(source_->name(), ": ", what)); }

    /// The list of storages does not say how wide their elements are; the content does, where it mentions them.
    void collect_item_sizes(const pickle::Value& value) {
        const auto& node = value.node();
        if (!node || !seen_.insert(node.get()).second) return;
        if (value.get<pickle::PersistentId>()) {
            const StorageReference storage = in_context(source_->name(), [&] { return parse_storage(value); });
            if (!storage.known) fail(to_text("storage '", storage.key, "' has elements of a type that is not known"));
            item_bytes_.try_emplace(storage.key, storage.item_bytes());
        }
        pickle::detail::for_each_child(*node, [&](pickle::Value& child) { collect_item_sizes(child); });
    }

    void locate(const pickle::Value& keys, std::uint64_t offset) {
        const auto* list = keys.get<pickle::List>();
        if (!list) fail(to_text("has ", keys.describe(), " for its storages, expected a list; the file is damaged"));
        for (const pickle::Value& key : list->items) {
            const std::string* name = key.as_string();
            if (!name) fail(to_text("names a storage by ", key.describe(), ", expected a str; the file is damaged"));
            offset = locate(*name, offset);
        }
    }

    /// Returns the offset after the storage.
    std::uint64_t locate(const std::string& key, std::uint64_t offset) {
        const auto item = item_bytes_.find(key);
        if (item == item_bytes_.end())
            fail(to_text("holds storage '", key, "' that no tensor uses; the file is damaged"));
        std::byte head[8];
        source_->read(offset, std::span<std::byte>(head));
        const std::uint64_t bytes = in_context(source_->name(), [&] {
            return checked_multiply(load_little<std::uint64_t>(head), item->second, "storage size");
        });
        offset += sizeof head;
        if (bytes > source_->size() - offset)
            fail(to_text("storage '", key, "' at offset ", offset, " should hold ", bytes, " bytes, the file ends at ",
                         source_->size(), "; it is probably truncated"));
        if (!places_.emplace(key, StoragePlace{offset, bytes}).second) fail(to_text("lists storage '", key, "' twice"));
        return offset + bytes;
    }

    StoragePlace place(const StorageReference& storage) const {
        const auto found = places_.find(storage.key);
        if (found == places_.end()) throw Error(to_text("its storage '", storage.key, "' is not in the file"));
        return found->second;
    }

    std::shared_ptr<const Source> source_;
    std::unordered_set<const pickle::Node*> seen_;
    std::unordered_map<std::string, std::size_t> item_bytes_;
    std::unordered_map<std::string, StoragePlace> places_;
};

inline std::string head_of(const Source& source, std::size_t bytes) {
    std::string head(static_cast<std::size_t>(std::min<std::uint64_t>(bytes, source.size())), '\0');
    source.read(0, std::as_writable_bytes(std::span(head)));
    return head;
}

}  // namespace detail

/// The content of a file of torch.save, zip or older, as plain values whose tensors are recipes over the file. Reads
/// the directory and the pickle; nothing in it is executed. Throws Error when the file is damaged, hostile or of
/// another kind: TorchScript and the tar files of before 2017 are refused.
inline pickle::Value read(std::shared_ptr<const Source> source, const pickle::Limits& limits = {},
                          pickle::TensorPlace tensors = pickle::TensorPlace::entries) {
    const std::string head = detail::head_of(*source, 512);
    if (head.starts_with("PK\x03\x04")) return detail::ZipFile(std::move(source)).read(limits, tensors);
    if (detail::LegacyFile::begins(head)) return detail::LegacyFile(std::move(source)).read(limits);
    if (head.size() > 262 && head.compare(257, 5, "ustar") == 0)
        throw Error(to_text(source->name(),
                            ": is a tar file, as PyTorch wrote before 0.1.10; load it there and save it again"));
    if (head.size() > 8 && head.substr(5, 4) == std::string_view("\0\0\0{", 4))
        throw Error(to_text(source->name(), ": is a safetensors file; rename it to *.safetensors"));
    if (const std::string what = foreign_content(head, source->size()); !what.empty())
        throw Error(to_text(source->name(), ": ", what));
    throw Error(to_text(source->name(),
                        ": is no file of torch.save: it begins neither with PK (zip) nor with PyTorch's ",
                        "magic number"));
}

/// As read(), for a zip that is one of many files which are mostly alike: what the last of their pickles says is known.
inline pickle::Value read(std::shared_ptr<const Source> source, LastPickle& last) {
    detail::ZipFile file(std::move(source));
    if (const auto known = last.get())
        if (auto tensor = file.tensor_of(*known)) return pickle::Value(std::move(*tensor));
    pickle::Value root = file.read({}, pickle::TensorPlace::entries);
    if (auto learnt = file.learn(root)) last.set(std::move(learnt));
    return root;
}

inline pickle::Value read(const std::filesystem::path& path, const pickle::Limits& limits = {},
                          pickle::TensorPlace tensors = pickle::TensorPlace::entries) {
    return read(std::make_shared<FileSource>(path), limits, tensors);
}

/// The tensors of a file. Throws Error as read() and tensors() do.
inline TensorDict read_tensors(const std::filesystem::path& path) {
    return take_tensors(read(path, {}, pickle::TensorPlace::apart), path.string());
}

}  // namespace crossdock::torch
