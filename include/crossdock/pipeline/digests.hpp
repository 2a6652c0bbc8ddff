// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
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
#include "crossdock/core/world.hpp"
#include "crossdock/pipeline/digest_list.hpp"

namespace crossdock::detail {

/// The digests of a model while its tensors pass by. The ranks of a world take whole tensors in turn: parts of one would
/// have to share blocks.
class Digests {
public:
    explicit Digests(World& world) : world_(world) {}

    /// To be told the tensor's bytes; null where another rank is.
    std::shared_ptr<BlockDigest> add(std::string place, const Tensor& tensor) {
        const bool is_own = world_.owns(tensors_.size());
        tensors_.push_back({std::move(place), tensor.dtype(), tensor.shape(), {}});
        values_.push_back(is_own ? std::make_shared<BlockDigest>(tensor.byte_count()) : nullptr);
        return values_.back();
    }

    /// When all bytes came. The same at all ranks.
    DigestList take() {
        require_same_plan();
        std::vector<std::uint64_t> halves;
        for (const auto& value : values_) {
            const Digest digest = value ? value->value() : Digest{};
            halves.push_back(digest.high);
            halves.push_back(digest.low);
        }
        world_.exclusive_or(halves);
        for (std::size_t i = 0; i < tensors_.size(); ++i) tensors_[i].digest = {halves[2 * i], halves[2 * i + 1]};
        const Digest model = model_digest(tensors_);
        return {.tensors = std::move(tensors_), .model = model};
    }

private:
    void require_same_plan() {
        Fingerprint plan;
        for (const TensorDigest& tensor : tensors_) plan.add(digest_line(tensor));
        if (!world_.is_same(plan.value()))
            throw Error("the ranks do not see the same tensors; do all of them see the same files?");
    }

    World& world_;
    std::vector<TensorDigest> tensors_;
    std::vector<std::shared_ptr<BlockDigest>> values_;
};

/// Takes the blocks of a tensor that a pool moves, and digests them instead of keeping them.
class DigestSlot final : public TensorSlot {
public:
    explicit DigestSlot(std::shared_ptr<BlockDigest> digest) : digest_(std::move(digest)) {}

    void write(std::uint64_t at, std::span<const std::byte> bytes) override { digest_->add(at, bytes); }

private:
    std::shared_ptr<BlockDigest> digest_;
};

}  // namespace crossdock::detail
