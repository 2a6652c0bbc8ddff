// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "crossdock/container/output_file.hpp"
#include "crossdock/container/pickle/value.hpp"
#include "crossdock/container/pickle/writer.hpp"
#include "crossdock/container/tensor_writer.hpp"
#include "crossdock/container/torch/format.hpp"
#include "crossdock/container/torch/tensor_pickler.hpp"
#include "crossdock/container/zip/crc32.hpp"
#include "crossdock/container/zip/envelope.hpp"
#include "crossdock/core/checked.hpp"
#include "crossdock/core/dtype.hpp"
#include "crossdock/core/error.hpp"
#include "crossdock/core/shape.hpp"
#include "crossdock/core/text.hpp"
#include "crossdock/core/world.hpp"

namespace crossdock::torch {

namespace detail {

/// What `write_content` pickles.
template <class Content>
std::string pickled_by(Content&& write_content) {
    std::string text;
    pickle::Writer out([&](std::string_view piece) { text += piece; });
    write_content(out);
    out.finish();
    return text;
}

/// What torch.save calls a file that it was given no path of.
inline constexpr std::string_view item_archive = "archive/";

/// The records beside the storages of an item.
inline std::vector<zip::Envelope::Content> item_records(std::string pickle) {
    std::vector<zip::Envelope::Content> records{{to_text(item_archive, pickle_record), std::move(pickle)}};
    for (const auto& [name, content] : fixed_records)
        records.push_back({to_text(item_archive, name), std::string(content)});
    return records;
}

}  // namespace detail

/// One tensor as torch.save writes it by itself, a zip of its own, without its bytes; it begins at byte `begin` of its
/// file.
inline zip::Envelope tensor_item(std::uint64_t begin, DType dtype, const Shape& shape) {
    auto records = detail::item_records(
        detail::pickled_by([&](pickle::Writer& out) { TensorPickler(out).write("0", dtype, shape); }));
    const std::uint64_t bytes = checked_multiply(shape.element_count(), item_size(dtype), "tensor bytes");
    return zip::Envelope(begin, records,
                         zip::Envelope::Awaited{to_text(detail::item_archive, storage_records, 0), bytes});
}

/// A value without tensors as torch.save pickles it.
inline std::string pickled(const pickle::Value& value) {
    return detail::pickled_by([&](pickle::Writer& out) { out.value(value); });
}

/// What was pickled so, as torch.save writes it by itself.
inline zip::Envelope value_item(std::uint64_t begin, std::string pickled) {
    return zip::Envelope(begin, detail::item_records(std::move(pickled)));
}

/// The place of a tensor that is an item of a file. Its last block completes the item; where the ranks of a world share
/// the file, complete_items() does that.
class ItemWriter final : public TensorSlot {
public:
    /// The item begins at byte `begin` of the file. Throws Error when the disk refuses.
    ItemWriter(std::shared_ptr<OutputFile> file, std::uint64_t begin, std::shared_ptr<const zip::Envelope> envelope)
        : file_(std::move(file)),
          begin_(begin),
          envelope_(std::move(envelope)) {
        file_->plan(begin_ + envelope_->length());
        if (file_->is_planned()) received_ = bytes();
        if (bytes() == 0) complete();
    }

    std::uint64_t bytes() const noexcept { return envelope_->awaited_bytes(); }    ///< of the tensor
    std::uint64_t missing() const noexcept { return bytes() - received_.load(); }  ///< bytes that have not come yet

    void write(std::uint64_t at, std::span<const std::byte> bytes) override {
        if (bytes.empty()) return;
        if (missing() == 0) refuse("more after its last");
        if (at > this->bytes() || bytes.size() > this->bytes() - at) refuse("bytes behind its end");
        std::uint64_t received = 0;
        file_->for_each_own(content() + at, bytes, [&](std::uint64_t place, std::span<const std::byte> piece) {
            file_->write(place, piece);
            const std::uint64_t behind = content() + this->bytes() - place - piece.size();
            crc_ ^= zip::crc32_share(zip::crc32(piece), behind);
            received += piece.size();
        });
        const std::uint64_t before = received_.fetch_add(received);
        if (before > this->bytes() - received) refuse("a byte twice");
        if (!file_->world().is_shared() && before + received == this->bytes()) complete();
    }

    FilePlace place(std::uint64_t at) const override { return {file_.get(), content() + at}; }

private:
    friend void complete_items(World& world, std::span<const std::shared_ptr<ItemWriter>> items);

    std::uint64_t content() const noexcept { return begin_ + envelope_->head_bytes(); }

    void complete() {
        file_->write(begin_, envelope_->head(crc_));
        file_->write(content() + bytes(), envelope_->tail(crc_));
    }

    [[noreturn, gnu::cold]] void refuse(std::string_view what) const {
        throw Error(to_text(file_->name(), ": a tensor of ", bytes(), " bytes is given ", what));
    }

    std::shared_ptr<OutputFile> file_;
    std::uint64_t begin_;
    std::shared_ptr<const zip::Envelope> envelope_;
    std::atomic<std::uint64_t> received_ = 0;
    std::atomic<std::uint32_t> crc_ = 0;  ///< the XOR of crc32_share() of what came
};

/// Completes the items that all bytes have come of, of those that the ranks of a world have written together.
inline void complete_items(World& world, std::span<const std::shared_ptr<ItemWriter>> items) {
    std::vector<std::uint64_t> bytes, crcs;
    for (const auto& item : items) {
        bytes.push_back(item->received_);
        crcs.push_back(item->crc_);
    }
    world.sum(bytes);
    world.exclusive_or(crcs);
    for (std::size_t i = 0; i < items.size(); ++i) {
        ItemWriter& item = *items[i];
        item.received_ = bytes[i];
        item.crc_ = static_cast<std::uint32_t>(crcs[i]);
        if (item.missing() == 0 && item.bytes() > 0) item.complete();
    }
}

}  // namespace crossdock::torch
