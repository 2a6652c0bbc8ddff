// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/stat.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "crossdock/container/dcp/assemble.hpp"
#include "crossdock/container/dcp/metadata.hpp"
#include "crossdock/container/dcp/metadata_reader.hpp"
#include "crossdock/container/dcp/stored_chunk.hpp"
#include "crossdock/container/pickle/value.hpp"
#include "crossdock/core/error.hpp"
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
          metadata_(read_metadata(directory_ / ".metadata")) {
        check_places();
    }

    const Metadata& metadata() const noexcept { return metadata_; }

    /// A global tensor as a recipe over its chunks, whatever grid of ranks saved them; `item` is one of metadata()'s.
    /// Throws Error when its type is not known. What is wrong with a chunk's item is thrown where its bytes are read.
    Tensor tensor(const TensorItem& item) const {
        return in_context(to_text((directory_ / ".metadata").string(), ": tensor '", shortened(item.name), "'"), [&] {
            if (!item.dtype) throw Error("it is of a type that is not known");
            if (item.chunks.empty())
                return region(std::make_shared<MemorySource>(std::span<const std::byte>(), nullptr), 0, *item.dtype,
                              item.shape);
            const auto kept = std::make_shared<const TensorItem>(item);
            std::vector<Piece> pieces;
            pieces.reserve(kept->chunks.size());
            for (const Chunk& chunk : kept->chunks) {
                auto stored = std::make_shared<StoredChunk>(files_.at(chunk.place.file), kept, chunk);
                pieces.push_back({chunk.offsets, region(std::move(stored), 0, *kept->dtype, chunk.sizes)});
            }
            return assemble(std::move(pieces));
        });
    }

    /// What a bytes item holds, as plain values; tensors in it are recipes over its file.
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

    void check_places();
    static void check_places(const Source& file, std::vector<Range>& ranges);

    std::filesystem::path directory_;
    Metadata metadata_;
    std::unordered_map<std::string, std::shared_ptr<const Source>> files_;
};

inline void Reader::check_places() {
    std::unordered_map<std::string, std::vector<Range>> ranges;
    for (const TensorItem& tensor : metadata_.tensors)
        for (const Chunk& chunk : tensor.chunks)
            ranges[chunk.place.file].push_back(
                {&chunk.place, &tensor.name,
                 chunk.sizes.element_count() * (tensor.dtype ? item_size(*tensor.dtype) : 0)});
    for (const BytesItem& item : metadata_.bytes) ranges[item.place.file].push_back({&item.place, &item.name, 0});
    for (auto& [name, places] : ranges) {
        const std::filesystem::path path = directory_ / name;
        if (!std::filesystem::exists(path))
            throw Error(to_text(path.string(), ": is missing; .metadata places ", places.size(), " items there, '",
                                shortened(*places.front().item), "' for one"));
        const auto file = std::make_shared<FileSource>(path);
        check_places(*file, places);
        files_.emplace(name, file);
    }
}

inline void Reader::check_places(const Source& file, std::vector<Range>& ranges) {
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
