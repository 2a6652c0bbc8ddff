// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <set>
#include <vector>

#include "crossdock/container/dcp/stored_chunk.hpp"
#include "crossdock/core/read_plan.hpp"
#include "crossdock/core/source.hpp"
#include "crossdock/core/tensor.hpp"
#include "crossdock/plugin/storage.hpp"

namespace crossdock {

/// Adds the chunks of a distributed checkpoint that a tensor is read from, in the order in which it has them, but those
/// that have been `met`: a chunk may hold many experts.
inline void add_chunks(const Tensor& tensor, std::set<const Source*>& met, std::vector<TensorPart>& parts) {
    ReadPlan reads;  // is not executed: the memory is not touched, and costs addresses alone
    tensor.plan(0, tensor.element_count(), reads.scratch(tensor.byte_count()), reads);
    reads.for_each_source([&](const Source& source) {
        const auto* stored = dynamic_cast<const dcp::StoredChunk*>(&source);
        if (!stored || !met.insert(&source).second) return;
        const dcp::Chunk& chunk = stored->chunk();
        parts.push_back({.name = stored->item().name,
                         .file = source.name(),
                         .offsets = {chunk.offsets.begin(), chunk.offsets.end()},
                         .dtype = tensor.dtype(),
                         .shape = chunk.sizes});
    });
}

}  // namespace crossdock
