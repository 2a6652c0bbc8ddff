// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "crossdock/container/dcp/metadata.hpp"
#include "crossdock/container/dcp/tiling.hpp"
#include "crossdock/container/pickle/reader.hpp"
#include "crossdock/container/pickle/value.hpp"
#include "crossdock/container/torch/format.hpp"
#include "crossdock/container/torch/rebuild.hpp"
#include "crossdock/core/error.hpp"
#include "crossdock/core/source.hpp"
#include "crossdock/core/text.hpp"

namespace crossdock::dcp {

namespace detail {

/// Turns the values of a .metadata file into Metadata (torch/distributed/checkpoint/metadata.py, PyTorch 2.13). Classes
/// are told by what they hold, as Megatron-Core has its own and PyTorch has moved some; attributes that are not known
/// are passed over.
class MetadataValues {
public:
    explicit MetadataValues(const pickle::Value& root) : root_(root) {}

    Metadata read() {
        const auto& items = entries("state_dict_metadata");
        require_version();
        index_places();
        for (const pickle::Entry& item : items) {
            const std::string& name = text(item.key, "the name of an item");
            if (!names_.insert(name).second) throw Error(to_text("item '", shortened(name), "' is listed twice"));
            in_context(to_text("item '", shortened(name), "'"), [&] { add(name, item.value); });
        }
        return std::move(metadata_);
    }

private:
    static const pickle::Value& attribute(const pickle::Value& object, std::string_view name) {
        const pickle::Value* found = object.attribute(name);
        if (!found)
            throw Error(to_text(object.describe(), " has no '", name, "'; it is damaged or of another PyTorch"));
        return *found;
    }

    static const std::string& text(const pickle::Value& value, std::string_view what) {
        const std::string* found = value.as_string();
        if (!found) throw Error(to_text(what, " is ", value.describe(), ", expected a str; the file is damaged"));
        return *found;
    }

    const std::vector<pickle::Entry>& entries(std::string_view name) const {
        const pickle::Value* found = root_.attribute(name);
        const auto* all = found ? found->entries() : nullptr;
        if (!all)
            throw Error(to_text("holds ", root_.describe(), " with ", found ? found->describe() : "no attribute",
                                " for '", name,
                                "', expected the Metadata of torch.distributed.checkpoint with a dict; ",
                                "checkpoints of PyTorch 2.0 to 2.13 are read"));
        return *all;
    }

    /// torch/distributed/checkpoint/_version.py; older ones do not say.
    void require_version() const {
        const pickle::Value* version = root_.attribute("version");
        if (!version || version->is_none()) return;
        const std::string& number = text(*version, "its version");
        if (!number.starts_with("1."))
            throw Error(to_text("is of version ", shortened(number),
                                ", expected 1.0.0, which PyTorch 2.0 to 2.13 writes; save it again with one of these"));
    }

    /// One text for what a MetadataIndex stands for: equal ones are the same item, whatever hint they carry.
    static std::string key(const std::string& name, const std::vector<std::uint64_t>* offsets) {
        std::string out = name;
        if (!offsets) return out;
        out += '\0';
        const std::size_t begin = out.size(), bytes = offsets->size() * sizeof(std::uint64_t);
        out.resize(begin + bytes);
        if (bytes > 0) std::memcpy(out.data() + begin, offsets->data(), bytes);
        return out;
    }

    void index_places() {
        const auto& stored = entries("storage_data");
        places_.reserve(stored.size());
        for (const pickle::Entry& entry : stored) {
            const std::string& name = text(attribute(entry.key, "fqn"), "the name of a stored item");
            const pickle::Value* offset = entry.key.attribute("offset");
            std::optional<std::vector<std::uint64_t>> offsets;
            if (offset && !offset->is_none()) offsets = torch::detail::size_numbers(*offset, "an item's offset");
            if (!places_.emplace(key(name, offsets ? &*offsets : nullptr), &entry.value).second)
                throw Error(to_text("item '", shortened(name), "' is placed twice"));
        }
    }

    Place place(const std::string& name, const std::vector<std::uint64_t>* offsets) const {
        const auto found = places_.find(key(name, offsets));
        if (found == places_.end())
            throw Error(to_text(offsets ? to_text("its chunk at ", at_text(*offsets)) : std::string("it"),
                                " has no place in any file; it was not saved or the file is damaged"));
        const pickle::Value& info = *found->second;
        require_plain(info);
        Place place;
        place.file = text(attribute(info, "relative_path"), "the file of an item");
        require_file_name(place.file);
        place.offset = torch::detail::size_number(attribute(info, "offset"), "the offset of an item");
        place.length = torch::detail::size_number(attribute(info, "length"), "the length of an item");
        return place;
    }

    static void require_plain(const pickle::Value& info) {
        const pickle::Value* transforms = info.attribute("transform_descriptors");
        const auto* list = transforms ? transforms->items() : nullptr;
        if (!transforms || transforms->is_none() || (list && list->empty())) return;
        const std::string* first = list ? list->front().as_string() : nullptr;
        throw Error(to_text("it is stored transformed (", first ? shortened(*first) : transforms->describe(),
                            "), compressed perhaps; save it again without extensions of the storage writer"));
    }

    /// torch writes all files into the checkpoint's own directory.
    static void require_file_name(const std::string& name) {
        if (name.empty() || name == "." || name == ".." || name.find_first_of(std::string_view("/\0", 2)) != name.npos)
            throw Error(to_text("it should lie in '", shortened(name),
                                "', expected the name of a file in the checkpoint's own directory"));
    }

    void add(const std::string& name, const pickle::Value& value) {
        if (const pickle::Value* size = value.attribute("size")) return add_tensor(name, value, *size);
        const auto* object = value.get<pickle::Object>();
        if (!object || object->name != "BytesStorageMetadata")
            throw Error(to_text("it is described by ", value.describe(),
                                ", expected TensorStorageMetadata or BytesStorageMetadata of PyTorch 2.0 to 2.13"));
        metadata_.bytes.push_back({name, place(name, nullptr)});
    }

    void add_tensor(const std::string& name, const pickle::Value& value, const pickle::Value& size) {
        TensorItem tensor;
        tensor.name = name;
        tensor.dtype = dtype(attribute(value, "properties"));
        tensor.shape = Shape(torch::detail::size_numbers(size, "its size"));
        const pickle::Value& chunks = attribute(value, "chunks");
        const auto* list = chunks.get<pickle::List>();
        if (!list) throw Error(to_text("its chunks are ", chunks.describe(), ", expected a list; the file is damaged"));
        tensor.chunks.reserve(list->items.size());
        for (const pickle::Value& item : list->items) {
            Chunk chunk;
            chunk.offsets = torch::detail::size_numbers(attribute(item, "offsets"), "a chunk's offsets");
            chunk.sizes = Shape(torch::detail::size_numbers(attribute(item, "sizes"), "a chunk's sizes"));
            // Ranks beyond the end of an unevenly cut tensor hold nothing, several of them at the same offset.
            if (chunk.sizes.element_count() == 0) continue;
            chunk.place = place(name, &chunk.offsets);
            tensor.chunks.push_back(std::move(chunk));
        }
        require_tiling(tensor);
        metadata_.tensors.push_back(std::move(tensor));
    }

    /// The state of TensorProperties is a tuple of dtype, layout, requires_grad, memory format, pin_memory.
    static std::optional<DType> dtype(const pickle::Value& properties) {
        const auto* object = properties.get<pickle::Object>();
        const auto* state = object ? object->state.items() : nullptr;
        const auto* type = state && !state->empty() ? state->front().get<pickle::Global>() : nullptr;
        if (!type)
            throw Error(to_text("its type stands in ", properties.describe(),
                                ", expected TensorProperties of PyTorch 2.0 to 2.13"));
        return type->module == "torch" ? torch::dtype_of_torch_name(type->name) : std::nullopt;
    }

    const pickle::Value& root_;
    Metadata metadata_;
    std::unordered_map<std::string, const pickle::Value*> places_;
    std::unordered_set<std::string> names_;
};

}  // namespace detail

/// What a .metadata file says, in its order; chunks without elements are left out. Nothing in the pickle is executed.
/// Throws Error when the file is damaged, hostile or of another kind: each chunk has a place, a tensor's chunks tile
/// it, and files are named without a path. Whether the files are there is not looked at.
inline Metadata read_metadata(const std::filesystem::path& file) {
    const auto source = std::make_shared<FileSource>(file);
    pickle::Cursor cursor(source, 0, source->size());
    const pickle::Value root = pickle::Reader(cursor, source->name()).read();
    return in_context(source->name(), [&] { return detail::MetadataValues(root).read(); });
}

}  // namespace crossdock::dcp
