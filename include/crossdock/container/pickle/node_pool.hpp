// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "crossdock/container/pickle/value.hpp"

namespace crossdock::pickle::detail {

/// All nodes that a reader makes and that hold others, so that it can undo deep nests and cycles without recursion.
class NodePool {
public:
    NodePool() = default;
    NodePool(const NodePool&) = delete;
    NodePool& operator=(const NodePool&) = delete;

    /// Whatever is still here loses its content; as every node is held here, that never cascades.
    ~NodePool() {
        for (const auto& node : nodes_) node->content = std::string();
    }

    void add(const std::shared_ptr<Node>& node) { nodes_.push_back(node); }

    /// Lets go of the nodes that `root` reaches, making it a tree of values that own each other without a cycle.
    /// Returns the depth; or nothing, with nothing changed for the pool, when it is beyond `limit`.
    std::optional<std::size_t> release(Value& root, std::size_t limit) {
        height_.reserve(nodes_.size());
        const auto depth = untangle(root, limit);
        if (depth) std::erase_if(nodes_, [&](const auto& node) { return height_.contains(node.get()); });
        return depth;
    }

private:
    /// Turns mentions of a container inside itself into back references; returns the height of what hangs at `value`.
    std::optional<std::size_t> untangle(Value& value, std::size_t limit) {
        const std::shared_ptr<Node> node = value.node();
        if (!node || is_leaf(*node)) return 0;
        const auto [at, inserted] = height_.try_emplace(node.get(), in_progress);
        if (!inserted && at->second == in_progress) {
            value = Value::back_reference_to(node);
            return 0;
        }
        if (!inserted) return at->second <= limit ? std::optional(at->second) : std::nullopt;
        if (limit == 0) return std::nullopt;
        std::optional<std::size_t> height = 0;
        for_each_child(*node, [&](Value& child) {
            if (!height) return;
            const auto below = untangle(child, limit - 1);
            height = below ? std::optional(std::max(*height, *below + 1)) : std::nullopt;
        });
        if (height) height_[node.get()] = *height;
        return height;
    }

    static constexpr std::size_t in_progress = static_cast<std::size_t>(-1);

    std::vector<std::shared_ptr<Node>> nodes_;
    std::unordered_map<const Node*, std::size_t> height_;
};

}  // namespace crossdock::pickle::detail
