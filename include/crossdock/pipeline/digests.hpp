// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "crossdock/container/tensor_writer.hpp"
#include "crossdock/core/digest.hpp"
#include "crossdock/core/error.hpp"
#include "crossdock/core/fingerprint.hpp"
#include "crossdock/core/tensor.hpp"
#include "crossdock/core/text.hpp"
#include "crossdock/core/world.hpp"
#include "crossdock/pipeline/digest_list.hpp"

namespace crossdock::detail {

/// Digests the blocks of one tensor, and puts down the digest when the last one has come.
class PassingDigest {
public:
    /// Of so many bytes. `value` and `missing`, the tensors that are not complete yet, outlive it.
    PassingDigest(std::uint64_t bytes, Digest& value, std::atomic<std::size_t>& missing)
        : blocks_(bytes),
          value_(value),
          missing_(missing) {
        if (bytes == 0) finish();
    }

    void add(std::uint64_t at, std::span<const std::byte> bytes) {
        if (blocks_.add(at, bytes)) finish();
    }

private:
    void finish() {
        value_ = blocks_.value();
        --missing_;
    }

    BlockDigest blocks_;
    Digest& value_;
    std::atomic<std::size_t>& missing_;
};

/// The digests of a model while its tensors pass by. The ranks of a world take whole tensors in turn: parts of one would
/// have to share blocks. Of a tensor that has passed, only its line is kept.
class Digests {
public:
    explicit Digests(World& world) : world_(world) {}

    /// To be told the tensor's bytes; null where another rank is.
    std::shared_ptr<PassingDigest> add(std::string place, const Tensor& tensor) {
        const bool is_own = world_.owns(tensors_.size());
        tensors_.push_back({std::move(place), tensor.dtype(), tensor.shape(), {}});
        Digest& value = values_.emplace_back();
        if (!is_own) return nullptr;
        ++missing_;
        return std::make_shared<PassingDigest>(tensor.byte_count(), value, missing_);
    }

    /// When all bytes came. The same at all ranks.
    DigestList take() {
        if (missing_ > 0) throw Error(to_text("not all bytes of ", missing_.load(), " tensors came to be digested"));
        if (world_.is_shared()) share();
        for (std::size_t i = 0; i < tensors_.size(); ++i) tensors_[i].digest = values_[i];
        const Digest model = model_digest(tensors_);
        return {.tensors = std::move(tensors_), .model = model};
    }

private:
    /// What each rank found becomes what all know.
    void share() {
        Fingerprint plan;
        for (const TensorDigest& tensor : tensors_) plan.add(digest_line(tensor));
        if (!world_.is_same(plan.value()))
            throw Error("the ranks do not see the same tensors; do all of them see the same files?");
        std::vector<std::uint64_t> halves;
        halves.reserve(2 * values_.size());
        for (const Digest& value : values_) halves.insert(halves.end(), {value.high, value.low});
        world_.exclusive_or(halves);
        for (std::size_t i = 0; i < values_.size(); ++i) values_[i] = {halves[2 * i], halves[2 * i + 1]};
    }

    World& world_;
    std::vector<TensorDigest> tensors_;
    std::deque<Digest> values_;             // one for each of them; zeros until it is known
    std::atomic<std::size_t> missing_ = 0;  // of those that this rank digests
};

/// Takes the blocks of a tensor that a pool moves, and digests them instead of keeping them.
class DigestSlot final : public TensorSlot {
public:
    explicit DigestSlot(std::shared_ptr<PassingDigest> digest) : digest_(std::move(digest)) {}

    void write(std::uint64_t at, std::span<const std::byte> bytes) override { digest_->add(at, bytes); }

private:
    std::shared_ptr<PassingDigest> digest_;
};

}  // namespace crossdock::detail
