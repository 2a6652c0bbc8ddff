// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "crossdock/container/journal.hpp"
#include "crossdock/container/output_file.hpp"
#include "crossdock/container/tensor_writer.hpp"
#include "crossdock/container/transfer.hpp"
#include "crossdock/container/transfer/cut_transfer.hpp"
#include "crossdock/core/digest.hpp"
#include "crossdock/core/error.hpp"

namespace crossdock {

namespace detail {

/// What the digests of a tensor's blocks begin with: so they are looked for where they belong.
inline std::uint64_t journal_seed(std::string_view tensor) { return digest_of(tensor).low; }

/// Files are named from the target's directory on.
inline std::string_view journal_name(const OutputFile& file, const std::string& directory) {
    return std::string_view(file.name()).substr(directory.size() + 1);
}

/// Calls visit(at, place, bytes) for the pieces of the bytes [at, at + bytes) of a tensor that lie in one piece of a
/// file.
template <class Visit>
void for_each_place(const TensorSlot& slot, std::uint64_t at, std::uint64_t bytes, Visit&& visit) {
    while (bytes > 0) {
        const FilePlace place = slot.place(at);
        const std::uint64_t piece = std::min(place.bytes, bytes);
        visit(at, place, piece);
        at += piece;
        bytes -= piece;
    }
}

/// A place that notes what was written to it.
class JournalSlot final : public TensorSlot {
public:
    JournalSlot(std::shared_ptr<TensorSlot> slot, std::uint64_t seed, Journal& journal, const std::string& directory)
        : slot_(std::move(slot)),
          seed_(seed),
          journal_(journal),
          directory_(directory) {}

    void write(std::uint64_t at, std::span<const std::byte> bytes) override {
        slot_->write(at, bytes);
        for_each_place(*slot_, at, bytes.size(), [&](std::uint64_t begin, const FilePlace& place, std::uint64_t count) {
            if (!place.file) return;
            const auto piece = bytes.subspan(static_cast<std::size_t>(begin - at), static_cast<std::size_t>(count));
            journal_.note(journal_name(*place.file, directory_), place.offset, {count, digest_of(piece, seed_)});
        });
    }
    FilePlace place(std::uint64_t at) const override { return slot_->place(at); }
    const Tensor* reads_beside() const override { return slot_->reads_beside(); }

private:
    std::shared_ptr<TensorSlot> slot_;
    std::uint64_t seed_;
    Journal& journal_;
    const std::string& directory_;
};

}  // namespace detail

/// Keeps the journal of what moves, and hands on only what an earlier run of the same job has not moved already: blocks
/// that stand in their file with the digest that the journal gives are taken from there.
class JournaledTransfers final : public Transfers {
public:
    /// `directory` holds the files; `written` hears of bytes that need not be moved. All of them outlive it.
    JournaledTransfers(Transfers& rest, Journal& journal, const std::filesystem::path& directory,
                       std::function<void(std::uint64_t)> written, std::stop_token stop)
        : rest_(rest),
          journal_(journal),
          directory_(directory.string()),
          written_(std::move(written)),
          stop_(std::move(stop)) {}

    void submit(std::vector<Transfer> group) override {
        if (journal_.goes_on()) group = missing_of(group);
        for (Transfer& transfer : group)
            transfer.slot = std::make_shared<detail::JournalSlot>(
                std::move(transfer.slot), detail::journal_seed(transfer.name), journal_, directory_);
        if (!group.empty()) rest_.submit(std::move(group));
    }

    void wait() override { rest_.wait(); }

private:
    std::vector<Transfer> missing_of(const std::vector<Transfer>& group) {
        std::vector<Transfer> missing;
        for (const Transfer& transfer : group) take_standing(transfer, missing);
        return missing;
    }

    /// Gives the slot the blocks that stand in its file, and appends the other parts of the transfer to `missing`.
    void take_standing(const Transfer& transfer, std::vector<Transfer>& missing) {
        const std::uint64_t bytes = transfer.tensor.byte_count(), item = item_size(transfer.tensor.dtype());
        std::uint64_t done = 0;  // all before has come, or is in `missing`
        detail::for_each_place(
            *transfer.slot, 0, bytes, [&](std::uint64_t at, const FilePlace& place, std::uint64_t count) {
                if (!place.file) return;
                const Journal::Blocks& blocks = journal_.blocks(detail::journal_name(*place.file, directory_));
                for (auto block = blocks.lower_bound(place.offset);
                     block != blocks.end() && block->first < place.offset + count; ++block) {
                    const std::uint64_t begin = at + (block->first - place.offset), size = block->second.bytes;
                    const bool is_inside = begin >= done && size <= at + count - begin;
                    if (!is_inside || begin % item != 0 || size % item != 0) continue;
                    if (!take(transfer, begin, *place.file, block->first, block->second)) continue;
                    if (begin > done) missing.push_back(cut_transfer(transfer, done, begin));
                    done = begin + size;
                }
            });
        if (done < bytes || bytes == 0) missing.push_back(cut_transfer(transfer, done, bytes));
    }

    /// Returns whether the block stands there.
    bool take(const Transfer& transfer, std::uint64_t begin, const OutputFile& file, std::uint64_t offset,
              const Journal::Block& block) {
        constexpr std::uint64_t most = std::uint64_t{64} << 20;  // more than any band has
        if (block.bytes > most) return false;
        if (stop_.stop_requested()) throw Cancelled();
        memory_.resize(static_cast<std::size_t>(block.bytes));
        if (!file.read_back(offset, memory_)) return false;
        if (digest_of(memory_, detail::journal_seed(transfer.name)) != block.digest) return false;
        transfer.slot->write(begin, memory_);
        if (written_) written_(block.bytes);
        return true;
    }

    Transfers& rest_;
    Journal& journal_;
    std::string directory_;
    std::function<void(std::uint64_t)> written_;
    std::stop_token stop_;
    std::vector<std::byte> memory_;
};

}  // namespace crossdock
