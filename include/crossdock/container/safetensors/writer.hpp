// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "crossdock/container/output_file.hpp"
#include "crossdock/container/output_path.hpp"
#include "crossdock/container/safetensors/format.hpp"
#include "crossdock/container/tensor_writer.hpp"
#include "crossdock/core/checked.hpp"
#include "crossdock/core/error.hpp"
#include "crossdock/core/name_table.hpp"
#include "crossdock/core/text.hpp"
#include "crossdock/core/world.hpp"

namespace crossdock::safetensors {

namespace detail {

/// The tensors of a file that is being written. Those that are there stay where they are when others are added.
struct PendingTensors {
    struct Line {
        explicit Line(std::uint64_t size) : bytes(size) {}

        std::uint64_t bytes;
        std::atomic<std::uint64_t> written = 0;
    };

    std::shared_ptr<OutputFile> file;
    std::shared_ptr<NameTable> names;
    std::size_t first_name = names->size();  ///< of this file
    std::deque<Line> lines{};                ///< one for each name from there on
};

/// A tensor's bytes in the file; counts them, so that a tensor that was never filled does not pass for zeros.
class Slot final : public TensorSlot {
public:
    /// The last tensor, whose bytes begin at `offset` of the file.
    Slot(std::shared_ptr<PendingTensors> tensors, std::uint64_t offset)
        : tensors_(std::move(tensors)),
          name_((*tensors_->names)[tensors_->names->size() - 1]),
          line_(&tensors_->lines.back()),
          offset_(offset) {}

    void write(std::uint64_t at, std::span<const std::byte> bytes) override {
        if (at > line_->bytes || bytes.size() > line_->bytes - at)
            throw Error(to_text(tensors_->file->name(), ": tensor '", name_, "' is given more than its ", line_->bytes,
                                " bytes"));
        line_->written.fetch_add(tensors_->file->write(offset_ + at, bytes), std::memory_order_relaxed);
    }

    FilePlace place(std::uint64_t at) const override { return {tensors_->file.get(), offset_ + at}; }

private:
    std::shared_ptr<PendingTensors> tensors_;
    std::string_view name_;
    PendingTensors::Line* line_;
    std::uint64_t offset_;
};

/// The smallest header of at least `bytes` bytes after which the data is aligned to 8 bytes.
constexpr std::uint64_t aligned_header_bytes(std::uint64_t bytes) { return (bytes + 7) / 8 * 8; }

}  // namespace detail

/// Writes a safetensors file in one pass: tensors follow each other as they are added, in the space after a header
/// whose room was reserved; finish() pads the header with spaces. Of a tensor it keeps the name and some 50 bytes.
///
/// The reference writes tensors by falling dtype so that each is aligned; the format does not ask for it, and readers
/// must not either.
class Writer final : public TensorWriter {
public:
    /// Creates the file. `header_capacity` is the room for the header; the function of that name gives enough. The
    /// tensors' names are noted in `names`, which files of one checkpoint may share when each is begun after the one
    /// before has all of its tensors.
    Writer(const OutputPath& path, std::uint64_t header_capacity,
           std::shared_ptr<NameTable> names = std::make_shared<NameTable>())
        : tensors_(std::make_shared<detail::PendingTensors>(
              detail::PendingTensors{.file = std::make_shared<OutputFile>(path), .names = std::move(names)})),
          header_bytes_(detail::aligned_header_bytes(header_capacity)) {
        if (header_capacity > max_header_bytes)
            throw Error(to_text(name(), ": a header of ", header_capacity, " bytes is asked for, the format allows ",
                                max_header_bytes, "; write more and smaller files"));
        for (std::uint64_t i = 0; i < length_bytes; ++i) head_ += static_cast<char>(header_bytes_ >> 8 * i & 0xFF);
        // transformers refuses files without a format, and some releases those without metadata (modeling_utils.py).
        head_ += R"({"__metadata__":{"format":"pt"})";
    }

    /// Throws Error when the name is taken or cannot be written, or when the header is full.
    std::shared_ptr<TensorSlot> add(const std::string& name, DType dtype, const Shape& shape) override {
        return in_context(this->name(), [&] {
            check_name(name);
            const std::uint64_t bytes = checked_multiply(shape.element_count(), item_size(dtype), "tensor bytes");
            const std::uint64_t end = checked_add(data_bytes_, bytes, "file size");
            append_to_header(name, entry_text({name, dtype, shape, data_bytes_, end}));
            const std::uint64_t offset = length_bytes + header_bytes_ + data_bytes_;
            tensors_->lines.emplace_back(bytes);
            data_bytes_ = end;
            return std::make_shared<detail::Slot>(tensors_, offset);
        });
    }

    void finish() override {
        check_filled();
        head_ += '}';
        while (head_written_ + head_.size() < length_bytes + header_bytes_) {
            const std::uint64_t left = length_bytes + header_bytes_ - head_written_ - head_.size();
            append_to_head(std::string(static_cast<std::size_t>(std::min(left, head_piece)), ' '));
        }
        write_head();
        tensors_->file->sync();
    }

private:
    const std::string& name() const noexcept { return tensors_->file->name(); }

    void check_name(const std::string& name) {
        if (name == metadata_key) throw Error(to_text("a tensor cannot be called '", name, "'"));
        if (!tensors_->names->add(name).second) throw Error(to_text("tensor '", name, "' is written twice"));
    }

    void append_to_header(const std::string& name, const std::string& entry) {
        const std::uint64_t needed = head_written_ + head_.size() - length_bytes + 1 + entry.size() + 1;
        if (needed > header_bytes_)
            throw Error(to_text("tensor '", name, "': the header grows to ", needed, " bytes, ", header_bytes_,
                                " are reserved; reserve more"));
        head_ += ',';
        append_to_head(entry);
    }

    void append_to_head(const std::string& text) {
        head_ += text;
        if (head_.size() >= head_piece) write_head();
    }

    void write_head() {
        tensors_->file->write(head_written_, head_);
        head_written_ += head_.size();
        head_.clear();
    }

    void check_filled() {
        if (tensors_->file->is_planned()) return;
        gather();
        for (std::size_t number = 0; number < tensors_->lines.size(); ++number) {
            const detail::PendingTensors::Line& line = tensors_->lines[number];
            const std::uint64_t written = line.written.load(std::memory_order_relaxed);
            if (written != line.bytes)
                throw Error(to_text(name(), ": tensor '", (*tensors_->names)[tensors_->first_name + number],
                                    "' was given ", written, " bytes, expected ", line.bytes));
        }
    }

    /// Adds up what the ranks have written.
    void gather() {
        World& world = tensors_->file->world();
        if (!world.is_shared()) return;
        std::vector<std::uint64_t> written;
        for (const detail::PendingTensors::Line& line : tensors_->lines) written.push_back(line.written);
        world.sum(written);
        for (std::size_t number = 0; number < written.size(); ++number)
            tensors_->lines[number].written = written[number];
    }

    static constexpr std::uint64_t head_piece = std::uint64_t{1} << 18;  // of a header that may have 100 MB

    std::shared_ptr<detail::PendingTensors> tensors_;
    std::uint64_t header_bytes_;
    std::uint64_t data_bytes_ = 0;
    std::string head_;  ///< of the file: what of the header's length and text is not written yet
    std::uint64_t head_written_ = 0;
};

}  // namespace crossdock::safetensors
