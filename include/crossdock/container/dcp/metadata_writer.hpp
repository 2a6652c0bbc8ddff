// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <filesystem>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "crossdock/container/dcp/metadata.hpp"
#include "crossdock/container/little_endian.hpp"
#include "crossdock/container/output_file.hpp"
#include "crossdock/container/pickle/format.hpp"
#include "crossdock/core/dtype.hpp"
#include "crossdock/core/error.hpp"
#include "crossdock/core/name_index.hpp"
#include "crossdock/core/text.hpp"

namespace crossdock::dcp {

namespace detail {

/// Pickles a Metadata as it walks it: as a tree of values, the index of a hundred thousand chunks would take half a
/// gigabyte. The classes and their fields are those of torch/distributed/checkpoint/metadata.py and filesystem.py as
/// PyTorch 2.13 has them, less what 2.3 does not know.
class MetadataPickle {
public:
    explicit MetadataPickle(const OutputPath& path) : file_(path) {}

    void write(const Metadata& metadata) {
        op(Opcode::proto), append_little<std::uint8_t>(out_, 2);
        object(module, "Metadata", [&] {
            word("state_dict_metadata"), dict([&] { items(metadata); });
            word("planner_data"), op(Opcode::none);
            word("storage_data"), dict([&] { places(metadata); });
            word("storage_meta"), op(Opcode::none);
            word("version"), word("1.0.0");
        });
        op(Opcode::stop);
        flush();
        file_.sync();
    }

private:
    using Opcode = pickle::Opcode;

    static constexpr std::string_view module = "torch.distributed.checkpoint.metadata";

    void items(const Metadata& metadata) {
        for (const TensorItem& tensor : metadata.tensors) {
            word(tensor.name);
            object(module, "TensorStorageMetadata", [&] {
                word("properties"), properties(tensor);
                word("size"), size(tensor.shape);
                word("chunks"), chunks(tensor.chunks);
            });
        }
        for (const BytesItem& item : metadata.bytes) {
            word(item.name);
            object(module, "BytesStorageMetadata", [] {});
            flush_if_long();
        }
    }

    /// dtype, layout, requires_grad, memory_format, pin_memory.
    void properties(const TensorItem& tensor) {
        if (!tensor.dtype) throw Error(to_text("tensor '", tensor.name, "' has no dtype, so it cannot be indexed"));
        instance(module, "TensorProperties");
        op(Opcode::mark);
        global("torch", torch_name(*tensor.dtype));
        global("torch.serialization", "_get_layout"), word("torch.strided"), op(Opcode::tuple1), op(Opcode::reduce);
        op(Opcode::newfalse);
        constexpr std::uint64_t contiguous = 0;
        global(module, "_MEM_FORMAT_ENCODING"), number(contiguous), op(Opcode::tuple1), op(Opcode::reduce);
        op(Opcode::newfalse);
        op(Opcode::tuple), op(Opcode::build);
    }

    void chunks(const std::vector<Chunk>& all) {
        op(Opcode::empty_list), op(Opcode::mark);
        for (const Chunk& chunk : all) {
            object(module, "ChunkStorageMetadata", [&] {
                word("offsets"), size(chunk.offsets);
                word("sizes"), size(chunk.sizes);
            });
            flush_if_long();
        }
        op(Opcode::appends);
    }

    void places(const Metadata& metadata) {
        for (const TensorItem& tensor : metadata.tensors)
            for (std::size_t index = 0; index < tensor.chunks.size(); ++index) {
                object(module, "MetadataIndex", [&] {
                    word("fqn"), word(tensor.name);
                    word("offset"), size(tensor.chunks[index].offsets);
                    word("index"), number(index);
                });
                place(tensor.chunks[index].place);
            }
        for (const BytesItem& item : metadata.bytes) {
            object(module, "MetadataIndex", [&] {
                word("fqn"), word(item.name);
                word("offset"), op(Opcode::none);
                word("index"), op(Opcode::none);
            });
            place(item.place);
        }
    }

    void place(const Place& place) {
        object("torch.distributed.checkpoint.filesystem", "_StorageInfo", [&] {
            word("relative_path"), word(place.file.str());
            word("offset"), number(place.offset);
            word("length"), number(place.length);
        });
        flush_if_long();
    }

    // Each of these leaves one value on the unpickler's stack.

    template <class Fields>
    void object(std::string_view from, std::string_view name, Fields&& fields) {
        instance(from, name);
        dict(fields);
        op(Opcode::build);
    }

    void instance(std::string_view from, std::string_view name) {
        global(from, name);
        op(Opcode::empty_tuple), op(Opcode::newobj);
    }

    template <class Entries>
    void dict(Entries&& entries) {
        op(Opcode::empty_dict), op(Opcode::mark);
        entries();
        op(Opcode::setitems);
    }

    /// torch.Size((…))
    template <class Numbers>
    void size(const Numbers& numbers) {
        global("torch", "Size");
        op(Opcode::mark);
        for (const std::uint64_t each : numbers) number(each);
        op(Opcode::tuple), op(Opcode::tuple1), op(Opcode::reduce);
    }

    void number(std::uint64_t number) {
        if (std::in_range<std::uint8_t>(number)) {
            op(Opcode::binint1), append_little(out_, static_cast<std::uint8_t>(number));
        } else if (std::in_range<std::int32_t>(number)) {
            op(Opcode::binint), append_little(out_, static_cast<std::uint32_t>(number));
        } else if (std::in_range<std::int64_t>(number)) {
            op(Opcode::long1), append_little<std::uint8_t>(out_, 8), append_little(out_, number);
        } else {
            throw Error(to_text(number, " is beyond what an index can hold"));
        }
    }

    /// What is said again and again is found by its address, since looking for its text would take longer than all else.
    template <std::size_t size>
    void word(const char (&literal)[size]) {
        for (const auto& [known, place] : words_)
            if (known == literal) return recall(place);
        word(std::string_view(literal));
        words_.emplace_back(literal, static_cast<std::uint32_t>(memo_.find(literal, texts_).value()));
    }

    /// A text, spelt out the first time only.
    void word(std::string_view text) {
        if (recalled(text)) return;
        op(Opcode::binunicode), append_little(out_, static_cast<std::uint32_t>(text.size()));
        out_ += text;
        remember(text);
    }

    /// A class or function, likewise. A few are known, and their names mostly differ in length.
    void global(std::string_view from, std::string_view name) {
        for (const Global& known : globals_)
            if (known.name == name && known.from == from) return recall(known.place);
        constexpr char no_text = '\xFF';  // no UTF-8 begins so: a tensor may be called as a class is
        const std::string& line = lines_.emplace_back(to_text(no_text, from, '\n', name, '\n'));
        op(Opcode::global);
        out_ += std::string_view(line).substr(1);
        globals_.push_back({from, name, remember(line)});
    }

    bool recalled(std::string_view text) {
        const auto found = memo_.find(text, texts_);
        if (found) recall(static_cast<std::uint32_t>(*found));
        return found.has_value();
    }

    /// A class or function in the memo.
    struct Global {
        std::string_view from, name;  ///< of the program
        std::uint32_t place;
    };

    void recall(std::uint32_t place) {
        if (std::in_range<std::uint8_t>(place))
            op(Opcode::binget), append_little(out_, static_cast<std::uint8_t>(place));
        else
            op(Opcode::long_binget), append_little(out_, place);
    }

    /// Returns the place in the memo. The text stays where it is.
    std::uint32_t remember(std::string_view text) {
        const auto place = static_cast<std::uint32_t>(memo_.add(text, texts_).first);
        texts_.push_back(text);
        op(Opcode::long_binput), append_little(out_, place);
        return place;
    }

    void op(Opcode opcode) { out_ += static_cast<char>(opcode); }

    void flush_if_long() {
        constexpr std::size_t long_text = std::size_t{1} << 20;
        if (out_.size() >= long_text) flush();
    }

    void flush() {
        file_.write(written_, out_);
        written_ += out_.size();
        out_.clear();
    }

    OutputFile file_;
    std::uint64_t written_ = 0;
    std::string out_;
    NameIndex memo_;
    std::deque<std::string_view> texts_;                        ///< of the memo: the metadata's, or
    std::deque<std::string> lines_;                             ///< what names classes and functions
    std::vector<std::pair<const char*, std::uint32_t>> words_;  ///< literals, and their places in the memo
    std::vector<Global> globals_;
};

}  // namespace detail

/// Writes an index that every PyTorch from 2.3 on reads, and returns when it is on the disk. Throws Error when the file
/// exists or the disk refuses.
inline void write_metadata(const OutputPath& file, const Metadata& metadata) {
    detail::MetadataPickle(file).write(metadata);
}

}  // namespace crossdock::dcp
