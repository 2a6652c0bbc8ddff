// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "crossdock/container/dcp/assemble.hpp"
#include "crossdock/container/dcp/item_file.hpp"
#include "crossdock/container/dcp/metadata.hpp"
#include "crossdock/container/dcp/metadata_reader.hpp"
#include "crossdock/container/dcp/stored_chunk.hpp"
#include "crossdock/container/path_kind.hpp"
#include "crossdock/container/pickle/value.hpp"
#include "crossdock/core/checked.hpp"
#include "crossdock/core/error.hpp"
#include "crossdock/core/from_memory.hpp"
#include "crossdock/core/recipe.hpp"
#include "crossdock/core/source.hpp"
#include "crossdock/core/text.hpp"

namespace crossdock::dcp {

/// A distributed checkpoint: a directory with a .metadata file and the .distcp files that it names. Opening reads
/// .metadata and looks at the sizes of the files; an item is opened when its bytes are first asked for. All functions
/// may be called from several threads at once; tensors outlive the reader.
class Reader {
public:
    /// Throws Error when .metadata cannot be trusted, when a file is missing or ends too early, or when items overlap.
    explicit Reader(std::filesystem::path directory)
        : directory_(std::move(directory)),
          metadata_(std::make_shared<Metadata>(read_metadata(directory_ / ".metadata"))) {
        open_files();
    }
    Reader(const Reader&) = delete;
    Reader& operator=(const Reader&) = delete;
    /// What tensors say of themselves outlives the reader with them; what else there is would be a half of all.
    ~Reader() { metadata_->bytes = {}; }

    const Metadata& metadata() const noexcept { return *metadata_; }

    /// A global tensor as a recipe over its chunks, whatever grid of ranks saved them; `item` is one of metadata()'s.
    /// Throws Error when its type is not known. What is wrong with a chunk's item is thrown where its bytes are read.
    Tensor tensor(const TensorItem& item) const {
        return in_context(to_text((directory_ / ".metadata").string(), ": tensor '", shortened(item.name), "'"),
                          [&] { return assembled(item); });
    }

    /// What a bytes item holds, as plain values; tensors in it are recipes over its file. `item` is one of
    /// metadata()'s. Throws Error when it is no file of torch.save.
    pickle::Value value(const BytesItem& item) const {
        return in_context(to_text("item '", shortened(item.name), "'"),
                          [&] { return read_item(files_.at(item.place.file), item.place); });
    }

private:
    struct Range {
        const Place* place;
        const std::string* item;
        std::uint64_t least;  ///< bytes that it holds at least
    };

    Tensor assembled(const TensorItem& item) const;
    void open_files();
    static void check(const Source& file, std::vector<Range>& ranges);

    std::filesystem::path directory_;
    std::shared_ptr<Metadata> metadata_;
    std::unordered_map<std::string, std::shared_ptr<const Source>> files_;
};

inline Tensor Reader::assembled(const TensorItem& item) const {
    if (!item.dtype) throw Error("is of an element type that is not known");
    if (item.chunks.empty()) return from_bytes({}, nullptr, *item.dtype, item.shape);
    const auto shared = std::make_shared<const ChunkedTensor>(std::shared_ptr<const TensorItem>(metadata_, &item));
    std::vector<Piece> pieces;
    pieces.reserve(item.chunks.size());
    for (const Chunk& chunk : item.chunks) {
        auto stored = std::make_shared<const StoredChunk>(files_.at(chunk.place.file), shared, chunk);
        pieces.push_back({chunk.offsets, region(std::move(stored), 0, *item.dtype, chunk.sizes)});
    }
    return assemble(std::move(pieces));
}

inline void Reader::open_files() {
    std::map<std::string_view, std::vector<Range>> places;
    for (const TensorItem& tensor : metadata_->tensors) {
        const std::size_t item = tensor.dtype ? item_size(*tensor.dtype) : 0;
        for (const Chunk& chunk : tensor.chunks)
            places[chunk.place.file.str()].push_back(
                {&chunk.place, &tensor.name, checked_multiply(chunk.sizes.element_count(), item, "chunk bytes")});
    }
    for (const BytesItem& item : metadata_->bytes)
        places[item.place.file.str()].push_back({&item.place, &item.name, 0});
    for (auto& [name, ranges] : places) {
        const std::filesystem::path path = directory_ / name;
        if (!is_anything_at(path))
            throw Error(to_text(path.string(), ": is missing; .metadata places ", ranges.size(), " items there, '",
                                shortened(*ranges.front().item), "' for one"));
        const auto file = std::make_shared<const ItemFile>(path);
        check(*file, ranges);
        files_.emplace(name, file);
    }
}

inline void Reader::check(const Source& file, std::vector<Range>& ranges) {
    std::sort(ranges.begin(), ranges.end(),
              [](const Range& a, const Range& b) { return a.place->offset < b.place->offset; });
    std::uint64_t end = 0;
    for (const Range& range : ranges) {
        const std::uint64_t offset = range.place->offset, length = range.place->length;
        const auto fail = [&](const std::string& what) {
            throw Error(to_text(file.name(), ": item '", shortened(*range.item), "' at offset ", offset, " with ",
                                length, " bytes ", what));
        };
        if (offset > file.size() || length > file.size() - offset)
            fail(to_text("leaves the file, which holds ", file.size(), "; it is probably truncated"));
        if (length < range.least)
            fail(to_text("is too small, its elements take ", range.least, "; .metadata is damaged"));
        if (offset < end) fail(to_text("overlaps the item before it, which ends at ", end, "; .metadata is damaged"));
        end = offset + length;
    }
}

}  // namespace crossdock::dcp
