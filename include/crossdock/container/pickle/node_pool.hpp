// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "crossdock/container/pickle/children.hpp"
#include "crossdock/container/pickle/value.hpp"

namespace crossdock::pickle::detail {

/// All nodes that a reader makes and that hold others, so that it can undo deep nests and cycles without recursion.
class NodePool {
public:
    NodePool() = default;
    NodePool(const NodePool&) = delete;
    NodePool& operator=(const NodePool&) = delete;

    /// Whatever is still here loses its content; as every node is held here, that never cascades.
    ~NodePool() {  // NOLINT(bugprone-exception-escape): an empty string takes no memory
        for (const auto& node : nodes_) node->set(std::string());
    }

    void add(const std::shared_ptr<Node>& node) { nodes_.push_back(node); }

    /// Lets go of the nodes since the last such call that nobody else holds. What a container holds mostly comes before
    /// it, so one pass from the back frees whole trees, a node at a time.
    void drop_unused() {
        for (std::size_t at = nodes_.size(); at-- > swept_;)
            if (nodes_[at].use_count() == 1) nodes_[at].reset();
        const auto first = nodes_.begin() + static_cast<std::ptrdiff_t>(swept_);
        nodes_.erase(std::remove(first, nodes_.end(), nullptr), nodes_.end());
        swept_ = nodes_.size();
    }

    /// Releases the nodes that `root` reaches, making it a tree of values that own each other without a cycle.
    /// Returns the depth; or nothing, with nothing changed for the pool, when it is beyond `limit`.
    std::optional<std::size_t> release(Value& root, std::size_t limit) {
        const auto depth = untangle(root, limit);
        if (depth) std::erase_if(nodes_, [](const auto& node) { return node->height != Node::not_visited; });
        return depth;
    }

private:
    /// Turns mentions of a container inside itself into back references; returns the height of what hangs at `value`.
    std::optional<std::size_t> untangle(Value& value, std::size_t limit) {
        const std::shared_ptr<Node> node = value.node();
        if (!node || is_leaf(*node)) return 0;
        if (node->height == Node::in_progress) {
            value = Value::back_reference_to(node);
            return 0;
        }
        if (node->height != Node::not_visited)
            return node->height <= limit ? std::optional<std::size_t>(node->height) : std::nullopt;
        if (limit == 0) return std::nullopt;
        node->height = Node::in_progress;
        std::optional<std::size_t> height = 0;
        for_each_child(*node, [&](Value& child) {
            if (!height) return;
            const auto below = untangle(child, limit - 1);
            height = below ? std::optional(std::max(*height, *below + 1)) : std::nullopt;
        });
        if (!height) return std::nullopt;
        node->height = static_cast<std::uint32_t>(*height);
        return height;
    }

    std::vector<std::shared_ptr<Node>> nodes_;
    std::size_t swept_ = 0;  ///< of them, by drop_unused()
};

}  // namespace crossdock::pickle::detail
