// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "crossdock/container/dcp/metadata.hpp"
#include "crossdock/container/dcp/tiling.hpp"
#include "crossdock/container/pickle/packed.hpp"
#include "crossdock/container/pickle/packed_reader.hpp"
#include "crossdock/container/torch/format.hpp"
#include "crossdock/core/axes.hpp"
#include "crossdock/core/error.hpp"
#include "crossdock/core/name_index.hpp"
#include "crossdock/core/shared_text.hpp"
#include "crossdock/core/source.hpp"
#include "crossdock/core/text.hpp"

namespace crossdock::dcp {

namespace detail {

using pickle::PackedValue;

// What the values of a .metadata file hold. Errors leave it to the caller to say where.

inline PackedValue attribute(const PackedValue& object, std::string_view name) {
    const auto found = object.attribute(name);
    if (!found) throw Error(to_text(object.describe(), " has no '", name, "'; it is damaged or of another PyTorch"));
    return *found;
}

inline std::string_view text(const PackedValue& value, std::string_view what) {
    const auto found = value.as_text();
    if (!found) throw Error(to_text(what, " is ", value.describe(), ", expected a str; the file is damaged"));
    return *found;
}

/// An item's name. A hostile file may mention a long one often.
inline std::string_view item_name(const PackedValue& value) {
    constexpr std::size_t most_bytes = 4096;
    const std::string_view name = text(value, "the name of an item");
    if (name.size() > most_bytes)
        throw Error(to_text("item '", shortened(name), "' has a name of more than ", most_bytes, " bytes"));
    return name;
}

inline std::uint64_t size_number(const PackedValue& value, std::string_view what) {
    const auto number = value.as_integer();
    if (!number || *number < 0)
        throw Error(to_text(what, " is ", number ? std::to_string(*number) : value.describe(),
                            ", expected a number that is not negative; the file is damaged"));
    return static_cast<std::uint64_t>(*number);
}

/// A torch.Size, which is made of one tuple, or a tuple itself.
inline Axes size_numbers(const PackedValue& value, std::string_view what) {
    const bool is_size = value.is_object() && value.global().second == "Size" && value.arguments().size() == 1;
    const PackedValue tuple = is_size ? value.arguments().item(0) : value;
    const auto count = tuple.size();
    if (!count) throw Error(to_text(what, " is ", value.describe(), ", expected a torch.Size; the file is damaged"));
    constexpr std::size_t most_axes = 64;
    if (*count > most_axes) throw Error(to_text(what, " has ", *count, " axes, at most ", most_axes, " are read"));
    std::array<std::uint64_t, most_axes> numbers;
    for (std::size_t axis = 0; axis < *count; ++axis) numbers[axis] = size_number(tuple.item(axis), what);
    return Axes(std::span(numbers.data(), *count));
}

/// Which item a place is of: a MetadataIndex, but for its hint. Only chunks of tensors have offsets.
struct ItemKey {
    std::string_view name;
    std::optional<Axes> offsets;

    bool operator==(const ItemKey&) const = default;

    struct Hash {
        std::size_t operator()(const ItemKey& key) const {
            std::uint64_t hash = std::hash<std::string_view>()(key.name);
            if (!key.offsets) return static_cast<std::size_t>(hash);
            for (const std::uint64_t offset : *key.offsets) {
                hash = (hash ^ offset) * 0x9E3779B97F4A7C15U;  // 2^64 over the golden ratio spreads small numbers
                hash ^= hash >> 32;
            }
            return static_cast<std::size_t>(hash);
        }
    };
};

/// The places of all items, found by what they are of. Takes 6 to 12 bytes a place.
class PlaceIndex {
public:
    /// Of the entries of a dict from MetadataIndex to _StorageInfo. Throws Error where one is placed twice.
    explicit PlaceIndex(const PackedValue& stored) : stored_(stored) {
        const std::size_t count = *stored.entry_count();
        slots_.assign(std::bit_ceil(count + count / 2 + 1), free_slot);
        for (std::size_t number = 0; number < count; ++number) {
            const ItemKey key = key_of(number);
            std::uint32_t& slot = slots_[slot_of(key)];
            if (slot != free_slot) throw Error(to_text("item '", shortened(key.name), "' is placed twice"));
            slot = static_cast<std::uint32_t>(number);
        }
    }

    /// Nothing where the item has no place.
    std::optional<PackedValue> find(const ItemKey& key) const {
        const std::uint32_t number = slots_[slot_of(key)];
        return number == free_slot ? std::nullopt : std::optional(stored_.entry(number).second);
    }

private:
    static constexpr std::uint32_t free_slot = 0xFFFFFFFF;

    ItemKey key_of(std::size_t number) const {
        const PackedValue index = stored_.entry(number).first;
        ItemKey key{item_name(attribute(index, "fqn")), {}};
        if (const auto offset = index.attribute("offset"); offset && !offset->is_none())
            key.offsets = size_numbers(*offset, "an item's offset");
        return key;
    }

    /// Where the item is, or would be put. One slot in three is free at least.
    std::size_t slot_of(const ItemKey& key) const {
        const std::size_t last = slots_.size() - 1;
        std::size_t slot = ItemKey::Hash()(key) & last;
        while (slots_[slot] != free_slot && key_of(slots_[slot]) != key) slot = (slot + 1) & last;
        return slot;
    }

    PackedValue stored_;
    std::vector<std::uint32_t> slots_;  ///< numbers of entries, by their hashes; as many as a power of two
};

/// Turns the values of a .metadata file into Metadata (torch/distributed/checkpoint/metadata.py, PyTorch 2.13). Classes
/// are told by what they hold, as Megatron-Core has its own and PyTorch has moved some; attributes that are not known
/// are passed over.
class MetadataValues {
public:
    /// `file_bytes`: of the whole pickle.
    MetadataValues(const PackedValue& root, std::uint64_t file_bytes)
        : root_(root),
          chunks_left_(file_bytes / chunk_bytes) {}

    Metadata read() {
        const PackedValue items = dict("state_dict_metadata");
        require_version();
        places_.emplace(dict("storage_data"));
        for (std::size_t index = 0; index < *items.entry_count(); ++index) {
            const PackedValue key = items.entry(index).first, value = items.entry(index).second;
            const std::string_view name = item_name(key);
            if (!names_.add(name, ItemNames{items}).second)
                throw Error(to_text("item '", shortened(name), "' is listed twice"));
            in_context([&] { return to_text("item '", shortened(name), "'"); }, [&] { add(name, value); });
        }
        return std::move(metadata_);
    }

private:
    /// The keys of a dict, which are texts as far as they were looked at.
    struct ItemNames {
        const PackedValue& items;

        std::string_view operator[](std::size_t number) const { return *items.entry(number).first.as_text(); }
    };

    PackedValue dict(std::string_view name) const {
        const auto found = root_.attribute(name);
        if (!found || !found->entry_count())
            throw Error(to_text("holds ", root_.describe(), " with ", found ? found->describe() : "nothing", " for '",
                                name, "', expected the Metadata of torch.distributed.checkpoint with a dict, ",
                                "as PyTorch 2.0 to 2.13 write it"));
        return *found;
    }

    /// torch/distributed/checkpoint/_version.py; older ones do not say.
    void require_version() const {
        const auto version = root_.attribute("version");
        if (!version || version->is_none()) return;
        const std::string_view number = text(*version, "its version");
        if (!number.starts_with("1."))
            throw Error(to_text("is of version ", shortened(number),
                                ", expected 1.0.0, which PyTorch 2.0 to 2.13 write; save it again with one of these"));
    }

    Place place(const ItemKey& key) {
        const std::optional<PackedValue> found = places_->find(key);
        if (!found)
            throw Error(to_text(key.offsets ? to_text("its chunk at ", at_text(*key.offsets)) : std::string("it"),
                                " has no place in any file; it was not saved, or the file is damaged"));
        const PackedValue& info = *found;
        require_untransformed(info);
        const std::string_view file = text(attribute(info, "relative_path"), "the file of an item");
        require_file_name(file);
        const SharedText& shared = files_.try_emplace(file, std::string(file)).first->second;
        return {shared, size_number(attribute(info, "offset"), "the offset of an item"),
                size_number(attribute(info, "length"), "the length of an item")};
    }

    static void require_untransformed(const PackedValue& info) {
        const auto transforms = info.attribute("transform_descriptors");
        if (!transforms || transforms->is_none() || transforms->size() == 0) return;
        const bool named = transforms->size() && transforms->item(0).as_text();
        throw Error(to_text("it is stored transformed (",
                            named ? shortened(*transforms->item(0).as_text()) : transforms->describe(),
                            "), perhaps compressed; save it again without extensions of the storage writer"));
    }

    /// torch writes all files into the checkpoint's own directory.
    static void require_file_name(std::string_view name) {
        constexpr std::size_t most_bytes = 255;  // as Linux has it
        if (name.empty() || name.size() > most_bytes || name == "." || name == ".." ||
            name.find_first_of(std::string_view("/\0", 2)) != name.npos)
            throw Error(to_text("it should lie in '", shortened(name.substr(0, name.find('\0'))),
                                "', expected the name of a file in the checkpoint's own directory"));
    }

    void add(std::string_view name, const PackedValue& value) {
        if (value.attribute("size")) return add_tensor(name, value);
        if (value.global().second != "BytesStorageMetadata")
            throw Error(to_text("it is described by ", value.describe(),
                                ", expected TensorStorageMetadata or BytesStorageMetadata of PyTorch 2.0 to 2.13"));
        metadata_.bytes.push_back({std::string(name), place({name, {}})});
    }

    void add_tensor(std::string_view name, const PackedValue& value) {
        TensorItem tensor;
        tensor.name = name;
        tensor.dtype = dtype(attribute(value, "properties"));
        tensor.shape = Shape(size_numbers(attribute(value, "size"), "its size"));
        const PackedValue chunks = attribute(value, "chunks");
        if (!chunks.size())
            throw Error(to_text("its chunks are ", chunks.describe(), ", expected a list; the file is damaged"));
        if (*chunks.size() > chunks_left_)
            throw Error(to_text("it has ", *chunks.size(), " chunks, more than the file has room for; it is damaged"));
        chunks_left_ -= *chunks.size();
        tensor.chunks.reserve(*chunks.size());
        for (std::size_t index = 0; index < *chunks.size(); ++index) {
            const PackedValue chunk = chunks.item(index);
            ItemKey key{name, size_numbers(attribute(chunk, "offsets"), "a chunk's offsets")};
            Shape sizes(size_numbers(attribute(chunk, "sizes"), "a chunk's sizes"));
            // Ranks beyond the end of an unevenly cut tensor hold nothing, several of them at the same offset.
            if (sizes.element_count() == 0) continue;
            Place found = place(key);
            tensor.chunks.push_back({std::move(*key.offsets), std::move(sizes), std::move(found)});
        }
        require_tiling(tensor);
        metadata_.tensors.push_back(std::move(tensor));
    }

    /// The state of TensorProperties is a tuple of dtype, layout, requires_grad, memory format, pin_memory.
    static std::optional<DType> dtype(const PackedValue& properties) {
        const PackedValue state = properties.is_object() ? properties.state() : properties;
        const auto [module, name] = state.size().value_or(0) > 0 ? state.item(0).global() : properties.global();
        if (module.empty() || state.size().value_or(0) == 0)
            throw Error(to_text("its type stands in ", properties.describe(),
                                ", expected TensorProperties of PyTorch 2.0 to 2.13"));
        return module == "torch" ? torch::dtype_of_torch_name(name) : std::nullopt;
    }

    // A chunk takes some forty bytes of the file at least; a hostile one may mention one chunk often.
    static constexpr std::uint64_t chunk_bytes = 16;

    PackedValue root_;
    std::uint64_t chunks_left_;
    Metadata metadata_;
    std::optional<PlaceIndex> places_;
    NameIndex names_;
    std::unordered_map<std::string_view, SharedText> files_;
};

}  // namespace detail

/// What a .metadata file says, in its order; chunks without elements are left out. Nothing in the pickle is executed.
/// Throws Error when the file is damaged, hostile or of another kind: each chunk has a place, a tensor's chunks tile
/// it, and files are named without a path. Whether the files are there is not looked at.
inline Metadata read_metadata(const Source& file) {
    const pickle::PackedPickle pickle(file);
    return in_context(file.name(), [&] { return detail::MetadataValues(pickle.root(), file.size()).read(); });
}

inline Metadata read_metadata(const std::filesystem::path& file) { return read_metadata(FileSource(file)); }

}  // namespace crossdock::dcp
