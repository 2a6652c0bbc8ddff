// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

#include "crossdock/container/output_file.hpp"
#include "crossdock/container/output_path.hpp"
#include "crossdock/container/safetensors/format.hpp"
#include "crossdock/container/tensor_writer.hpp"

namespace crossdock::safetensors {

namespace detail {

/// A tensor's bytes in the file; counts them, so that a tensor that was never filled does not pass for zeros.
class Slot final : public TensorSlot {
public:
    Slot(std::shared_ptr<OutputFile> file, std::string name, std::uint64_t offset, std::uint64_t bytes)
        : file_(std::move(file)),
          name_(std::move(name)),
          offset_(offset),
          bytes_(bytes) {}

    void write(std::uint64_t at, std::span<const std::byte> bytes) override {
        if (at > bytes_ || bytes.size() > bytes_ - at)
            throw Error(to_text(file_->name(), ": tensor '", name_, "' is given more than its ", bytes_, " bytes"));
        written_.fetch_add(file_->write(offset_ + at, bytes), std::memory_order_relaxed);
    }

    FilePlace place(std::uint64_t at) const override { return {file_.get(), offset_ + at}; }

    std::uint64_t written() const noexcept { return written_.load(std::memory_order_relaxed); }

    /// `written` is what has come of it, at all ranks.
    void check_filled(std::uint64_t written) const {
        if (written != bytes_)
            throw Error(
                to_text(file_->name(), ": tensor '", name_, "' was given ", written, " bytes, expected ", bytes_));
    }

private:
    std::shared_ptr<OutputFile> file_;
    std::string name_;
    std::uint64_t offset_, bytes_;
    std::atomic<std::uint64_t> written_ = 0;
};

/// The smallest header of at least `bytes` bytes after which the data is aligned to 8 bytes.
constexpr std::uint64_t aligned_header_bytes(std::uint64_t bytes) { return (bytes + 7) / 8 * 8; }

}  // namespace detail

/// Writes a safetensors file in one pass: tensors follow each other as they are added, in the space after a header
/// whose room was reserved; finish() fills the header in and pads it with spaces.
///
/// The reference writes tensors by falling dtype so that each is aligned; the format does not ask for it, and readers
/// must not either.
class Writer final : public TensorWriter {
public:
    /// Creates the file. `header_capacity` is the room for the header; the function of that name gives enough.
    Writer(const OutputPath& path, std::uint64_t header_capacity)
        : file_(std::make_shared<OutputFile>(path)),
          header_bytes_(detail::aligned_header_bytes(header_capacity)) {
        if (header_capacity > max_header_bytes)
            throw Error(to_text(file_->name(), ": a header of ", header_capacity,
                                " bytes is asked for, the format allows ", max_header_bytes,
                                "; write more and smaller files"));
    }

    /// Throws Error when the name is taken or cannot be written, or when the header is full.
    std::shared_ptr<TensorSlot> add(const std::string& name, DType dtype, const Shape& shape) override {
        return in_context(file_->name(), [&] {
            check_name(name);
            const std::uint64_t bytes = checked_multiply(shape.element_count(), item_size(dtype), "tensor bytes");
            const std::uint64_t end = checked_add(data_bytes_, bytes, "file size");
            append_to_header(name, entry_text({name, dtype, shape, data_bytes_, end}));
            const std::uint64_t offset = length_bytes + header_bytes_ + data_bytes_;
            slots_.push_back(std::make_shared<detail::Slot>(file_, name, offset, bytes));
            data_bytes_ = end;
            return slots_.back();
        });
    }

    void finish() override {
        check_filled();
        std::string head;
        for (std::uint64_t i = 0; i < length_bytes; ++i) head += static_cast<char>(header_bytes_ >> 8 * i & 0xFF);
        head += header_ + '}';
        head.resize(length_bytes + header_bytes_, ' ');
        file_->write(0, std::string_view(head));
        file_->sync();
    }

private:
    void check_filled() const {
        std::vector<std::uint64_t> written;
        for (const auto& slot : slots_) written.push_back(slot->written());
        file_->world().sum(written);
        for (std::size_t i = 0; i < slots_.size(); ++i) slots_[i]->check_filled(written[i]);
    }

    void check_name(const std::string& name) {
        if (name == metadata_key) throw Error(to_text("a tensor cannot be called '", name, "'"));
        if (!names_.insert(name).second) throw Error(to_text("tensor '", name, "' is written twice"));
    }

    void append_to_header(const std::string& name, const std::string& entry) {
        const std::uint64_t needed = header_.size() + 1 + entry.size() + 1;
        if (needed > header_bytes_)
            throw Error(to_text("tensor '", name, "': the header grows to ", needed, " bytes, ", header_bytes_,
                                " are reserved; reserve more"));
        header_ += ',' + entry;
    }

    std::shared_ptr<OutputFile> file_;
    std::uint64_t header_bytes_;
    std::uint64_t data_bytes_ = 0;
    // transformers refuses files without a format, and some releases those without metadata (modeling_utils.py).
    std::string header_ = R"({"__metadata__":{"format":"pt"})";
    std::unordered_set<std::string> names_;
    std::vector<std::shared_ptr<detail::Slot>> slots_;
};

}  // namespace crossdock::safetensors
