// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "crossdock/container/output_file.hpp"
#include "crossdock/container/pickle/value.hpp"
#include "crossdock/container/pickle/writer.hpp"
#include "crossdock/container/tensor_writer.hpp"
#include "crossdock/container/torch/tensor_pickler.hpp"
#include "crossdock/container/torch/writer.hpp"
#include "crossdock/container/zip/writer.hpp"
#include "crossdock/core/checked.hpp"
#include "crossdock/core/dtype.hpp"
#include "crossdock/core/error.hpp"
#include "crossdock/core/shape.hpp"
#include "crossdock/core/text.hpp"
#include "crossdock/core/world.hpp"

namespace crossdock::torch {

namespace detail {

/// What torch.save calls a file that it was given no path of.
inline constexpr const char* item_prefix = "archive/";

}  // namespace detail

/// One tensor as torch.save writes it by itself: a zip of its own, which is a part of a file. Its length is known at
/// once. The last block of the tensor completes the zip, and lets go of all that was kept for it; where the ranks of a
/// world share the file, complete_items() does that.
class ItemWriter final : public TensorSlot {
public:
    /// The zip begins at byte `begin` of the file. Throws Error when the disk refuses.
    ItemWriter(std::shared_ptr<OutputFile> file, std::uint64_t begin, DType dtype, const Shape& shape)
        : bytes_(checked_multiply(shape.element_count(), item_size(dtype), "tensor bytes")),
          left_(bytes_),
          zip_(std::make_unique<zip::Writer>(std::move(file), begin)) {
        detail::add_records(*zip_, detail::item_prefix,
                            [&](pickle::Writer& out) { TensorPickler(out).write("0", dtype, shape); });
        entry_ = std::make_unique<zip::EntryWriter>(zip_->add(to_text(detail::item_prefix, "data/0"), bytes_));
        payload_ = {entry_->file(), entry_->offset()};
        length_ = zip_->length();
        if (payload_.file->is_planned()) left_ = 0;
        if (left_ == 0) complete();
    }

    std::uint64_t length() const noexcept { return length_; }  ///< of the zip
    std::uint64_t bytes() const noexcept { return bytes_; }    ///< of the tensor
    std::uint64_t missing() const noexcept { return left_; }   ///< bytes that have not come yet

    void write(std::uint64_t at, std::span<const std::byte> bytes) override {
        if (bytes.empty()) return;
        if (left_ == 0) throw Error(to_text("a tensor of ", bytes_, " bytes is given more after its last"));
        entry_->write(at, bytes);
        if (payload_.file->world().is_shared()) return;
        if (left_.fetch_sub(bytes.size()) == bytes.size()) complete();
    }

    FilePlace place(std::uint64_t at) const override { return {payload_.file, payload_.offset + at}; }

private:
    friend void complete_items(World& world, std::span<const std::shared_ptr<ItemWriter>> items);

    void complete() {
        entry_->mark_whole();
        zip_->close();
        entry_.reset();
        zip_.reset();
    }

    std::uint64_t bytes_, length_ = 0;
    FilePlace payload_;
    std::atomic<std::uint64_t> left_;
    std::unique_ptr<zip::Writer> zip_;
    std::unique_ptr<zip::EntryWriter> entry_;
};

/// Completes the items that all bytes have come of, of those that the ranks of a world have written together.
inline void complete_items(World& world, std::span<const std::shared_ptr<ItemWriter>> items) {
    std::vector<std::uint64_t> bytes, crcs;
    for (const auto& item : items) {
        bytes.push_back(item->entry_ ? item->entry_->received().bytes.load() : 0);
        crcs.push_back(item->entry_ ? item->entry_->received().crc.load() : 0);
    }
    world.sum(bytes);
    world.exclusive_or(crcs);
    for (std::size_t i = 0; i < items.size(); ++i) {
        ItemWriter& item = *items[i];
        if (!item.entry_) continue;  // it is empty
        item.entry_->received().bytes = bytes[i];
        item.entry_->received().crc = static_cast<std::uint32_t>(crcs[i]);
        item.left_ = item.bytes_ - bytes[i];
        if (item.left_ == 0) item.complete();
    }
}

/// Writes a value without tensors as torch.save does, as a zip from byte `begin` of the file on. Returns its length.
/// Throws Error when the disk refuses.
inline std::uint64_t write_item(std::shared_ptr<OutputFile> file, std::uint64_t begin, const pickle::Value& value) {
    zip::Writer zip(std::move(file), begin);
    detail::add_records(zip, detail::item_prefix, [&](pickle::Writer& out) { out.value(value); });
    zip.close();
    return zip.length();
}

}  // namespace crossdock::torch
