// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "crossdock/container/dcp/metadata.hpp"
#include "crossdock/container/dcp/metadata_writer.hpp"
#include "crossdock/container/dcp/tiling.hpp"
#include "crossdock/container/output_file.hpp"
#include "crossdock/container/output_path.hpp"
#include "crossdock/container/pickle/value.hpp"
#include "crossdock/container/tensor_writer.hpp"
#include "crossdock/container/torch/item_writer.hpp"
#include "crossdock/container/touching_writes.hpp"
#include "crossdock/container/zip/envelope.hpp"
#include "crossdock/container/zip/format.hpp"
#include "crossdock/core/axes.hpp"
#include "crossdock/core/checked.hpp"
#include "crossdock/core/dtype.hpp"
#include "crossdock/core/error.hpp"
#include "crossdock/core/name_index.hpp"
#include "crossdock/core/shape.hpp"
#include "crossdock/core/shared_text.hpp"
#include "crossdock/core/text.hpp"

namespace crossdock::dcp {

inline constexpr std::string_view metadata_name = ".metadata";

/// Writes a distributed checkpoint into files __0_0.distcp, __0_1.distcp …: each chunk is appended to the least filled
/// one as an item of its own, and finish() writes the index. Used from one thread; the chunks' slots are for any. Keeps
/// some 200 bytes of each chunk, whatever its size.
class Writer {
public:
    /// Creates the files in a directory that is there. Throws Error when one exists or there are to be none.
    Writer(OutputPath directory, std::size_t files);

    /// The place of the box of `sizes` at `offsets` in the tensor `name` of shape `whole`, whose chunks may come in any
    /// order. Throws Error when a chunk before stated another dtype or shape, or when the name is a value's.
    std::shared_ptr<TensorSlot> add_chunk(const std::string& name, DType dtype, const Shape& whole, Axes offsets,
                                          const Shape& sizes);

    /// Stores a value without tensors. Throws Error when the name is taken.
    void put(const std::string& name, const pickle::Value& value);

    /// Writes the index, when all chunks and values have been added; their slots may be filled later. Throws Error when a
    /// tensor's chunks overlap or leave a hole.
    void write_index();

    /// Writes the index unless it was written, when all slots are filled, and returns when everything is on the disk.
    /// Throws Error when a slot is not filled, and as write_index() does.
    void finish();

private:
    struct File {
        SharedText name;
        std::shared_ptr<OutputFile> file;
        TouchingWrites values;
        std::uint64_t end = 0;  ///< of the last item
    };
    template <class Kind>
    struct Names {
        const std::vector<Kind>& items;

        std::string_view operator[](std::size_t number) const noexcept { return items[number].name; }
    };
    /// Items that are the same but for a tensor's bytes, by what they are and the remainder of where they begin.
    template <class What>
    using Envelopes = std::map<std::pair<What, std::uint64_t>, std::shared_ptr<const zip::Envelope>>;

    struct Item {
        std::size_t tensor, chunk;
        std::shared_ptr<torch::ItemWriter> writer;
    };

    [[noreturn]] void fail(std::string_view what) const { throw Error(to_text(directory_.string(), ": ", what)); }
    std::size_t tensor_number(const std::string& name, DType dtype, const Shape& whole);
    template <class What, class Make>
    static std::shared_ptr<const zip::Envelope> envelope(Envelopes<What>& known, What what, std::uint64_t begin,
                                                         Make&& make);
    File& least_filled();
    static Place take_place(File& file, std::uint64_t length);
    void drop_filled();
    void require_filled() const;

    OutputPath directory_;
    std::vector<File> files_;
    Metadata metadata_;
    NameIndex tensors_, values_;  ///< those of metadata_
    Envelopes<std::pair<DType, std::vector<std::uint64_t>>> tensor_envelopes_;
    Envelopes<std::string> value_envelopes_;  ///< by their pickles
    std::vector<Item> items_;                 ///< that may not be filled yet
    std::size_t worth_a_look_ = 64;           ///< when there are so many
    bool has_index_ = false;
};

inline Writer::Writer(OutputPath directory, std::size_t files) : directory_(std::move(directory)) {
    if (files == 0) fail("a distributed checkpoint has at least 1 file, 0 are asked for");
    for (std::size_t number = 0; number < files; ++number) {
        std::string name = to_text("__0_", number, ".distcp");
        auto file = std::make_shared<OutputFile>(directory_ / name);
        TouchingWrites values(*file);
        files_.push_back({std::move(name), std::move(file), std::move(values)});
    }
}

inline std::shared_ptr<TensorSlot> Writer::add_chunk(const std::string& name, DType dtype, const Shape& whole,
                                                     Axes offsets, const Shape& sizes) {
    const std::size_t number = tensor_number(name, dtype, whole);
    std::vector<Chunk>& chunks = metadata_.tensors[number].chunks;
    File& file = least_filled();
    auto item = envelope(tensor_envelopes_, {dtype, {sizes.begin(), sizes.end()}}, file.end,
                         [&] { return torch::tensor_item(file.end, dtype, sizes); });
    const std::uint64_t length = item->length();
    auto writer = std::make_shared<torch::ItemWriter>(file.file, file.end, std::move(item));
    items_.push_back({number, chunks.size(), writer});
    chunks.push_back({std::move(offsets), sizes, take_place(file, length)});
    drop_filled();
    return writer;
}

/// What is the same for many is made once.
template <class What, class Make>
std::shared_ptr<const zip::Envelope> Writer::envelope(Envelopes<What>& known, What what, std::uint64_t begin,
                                                      Make&& make) {
    constexpr std::size_t many = 4096;
    if (known.size() >= many) known.clear();
    auto& envelope = known[{std::move(what), begin % zip::payload_alignment}];
    if (!envelope) envelope = std::make_shared<const zip::Envelope>(make());
    return envelope;
}

/// Looks again when there are twice as many, so that a chunk is looked at a few times.
inline void Writer::drop_filled() {
    if (items_.size() < worth_a_look_) return;
    std::erase_if(items_, [](const Item& item) { return item.writer->missing() == 0; });
    worth_a_look_ = std::max<std::size_t>(64, 2 * items_.size());
}

inline void Writer::put(const std::string& name, const pickle::Value& value) {
    if (tensors_.find(name, Names<TensorItem>{metadata_.tensors}) ||
        !values_.add(name, Names<BytesItem>{metadata_.bytes}).second)
        fail(to_text("'", name, "' is written twice"));
    File& file = least_filled();
    const std::string pickled = in_context(file.file->name(), [&] { return torch::pickled(value); });
    const auto item =
        envelope(value_envelopes_, pickled, file.end, [&] { return torch::value_item(file.end, pickled); });
    file.values.at(file.end) += item->whole();
    metadata_.bytes.push_back({name, take_place(file, item->length())});
}

inline void Writer::finish() {
    if (directory_.world().is_shared()) {
        std::vector<std::shared_ptr<torch::ItemWriter>> writers;
        for (const Item& item : items_) writers.push_back(item.writer);
        torch::complete_items(directory_.world(), writers);
    }
    require_filled();
    if (!has_index_) write_index();
    for (const File& file : files_) file.file->sync();
}

inline void Writer::write_index() {
    for (const TensorItem& tensor : metadata_.tensors)
        in_context(to_text(directory_.string(), ": tensor '", tensor.name, "'"), [&] { require_tiling(tensor); });
    for (File& file : files_) file.values.flush();
    write_metadata(directory_ / metadata_name, metadata_);
    has_index_ = true;
}

/// The number of the tensor of this name, made when it is not there.
inline std::size_t Writer::tensor_number(const std::string& name, DType dtype, const Shape& whole) {
    const auto [number, is_new] = tensors_.add(name, Names<TensorItem>{metadata_.tensors});
    if (is_new) {
        metadata_.tensors.push_back({name, dtype, whole, {}});
        if (values_.find(name, Names<BytesItem>{metadata_.bytes})) fail(to_text("'", name, "' is written twice"));
    }
    const TensorItem& tensor = metadata_.tensors[number];
    if (tensor.dtype != dtype || tensor.shape != whole)
        fail(to_text("a chunk says that tensor '", name, "' is ", dtype_name(dtype), ' ', whole,
                     ", those before it that it is ", dtype_name(*tensor.dtype), ' ', tensor.shape));
    return number;
}

inline Writer::File& Writer::least_filled() {
    return *std::min_element(files_.begin(), files_.end(), [](const File& a, const File& b) { return a.end < b.end; });
}

inline Place Writer::take_place(File& file, std::uint64_t length) {
    const std::uint64_t begin = file.end;
    file.end = checked_add(begin, length, "file size");
    return {file.name, begin, length};
}

inline void Writer::require_filled() const {
    for (const Item& item : items_) {
        if (item.writer->missing() == 0) continue;
        const TensorItem& tensor = metadata_.tensors[item.tensor];
        const Chunk& chunk = tensor.chunks[item.chunk];
        fail(to_text("chunk ", chunk.sizes, " at ", detail::at_text(chunk.offsets), " of tensor '", tensor.name,
                     "' lacks ", item.writer->missing(), " of its ", item.writer->bytes(), " bytes"));
    }
}

}  // namespace crossdock::dcp
