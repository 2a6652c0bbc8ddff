// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "crossdock/container/pickle/children.hpp"
#include "crossdock/container/pickle/node_pool.hpp"
#include "crossdock/container/pickle/recalled.hpp"
#include "crossdock/container/pickle/value.hpp"
#include "crossdock/container/tensor_dict.hpp"
#include "crossdock/core/error.hpp"
#include "crossdock/core/text.hpp"

namespace crossdock::pickle {

/// What a pickle may cost, so that a hostile one cannot cost more.
struct Limits {
    std::size_t depth = 1000;                             ///< containers inside containers
    std::uint64_t memory_bytes = std::uint64_t{1} << 29;  ///< of the values, roughly
};

namespace detail {

/// What a pickle's instructions work on: a stack of values with marks, and the memo. Throws Error, with the offset of
/// the instruction, on one that lacks its operands and when the values cost more than the limits allow.
class Stack {
public:
    /// Of the memo only what will be `recalled` is kept.
    Stack(std::string where, Limits limits, RecalledEntries recalled)
        : where_(std::move(where)),
          limits_(limits),
          recalled_(std::move(recalled)) {}

    [[noreturn]] void fail(std::string_view what) const {
        throw Error(to_text(where_, " offset ", offset_, ": ", what));
    }

    /// Where the present instruction lies in the file.
    std::uint64_t offset() const noexcept { return offset_; }
    void set_offset(std::uint64_t offset) noexcept { offset_ = offset; }

    void push(Value value);
    template <Shared T>
    void push_node(T content) {
        push(make(std::move(content)));
    }
    Value& top();
    Value pop();
    /// Counts the memory of what will hold them.
    std::vector<Value> pop_many(std::size_t count);

    /// The values above the last mark.
    std::span<const Value> above_mark() const { return std::span(values_).subspan(floor()); }
    /// What stands below the last mark, and may be given what stands above; null where nothing does.
    const Value* below_mark() const;

    void open_mark();
    std::vector<Value> pop_to_mark();
    /// How many values stand above the last mark, which is taken away.
    std::size_t close_mark();

    /// Parameters of a dict that is being filled: they were above the last mark, where the others still are.
    bool has_waiting() const;
    std::vector<NamedTensor>& waiting();
    std::vector<NamedTensor> take_waiting();
    /// Calls take(Value&&) for each of the last `count` values in their order, and takes them away.
    template <class Take>
    void take_many(std::size_t count, Take&& take);
    /// POP; Python lets it undo a mark as well.
    void drop();

    void put(std::uint64_t index);
    void put_next() { put(numbered_ + scattered_.size()); }
    void get(std::uint64_t index);

    /// Frees what the stack and the memo do not refer to any more.
    void drop_unused() { pool_.drop_unused(); }

    /// Counts memory that values are about to take.
    void charge(std::uint64_t bytes);

    /// Takes back what was counted since the values came that take_many() gave last, which are gone.
    void refund() { charged_ = std::min(charged_, std::max(taken_at_, pinned_)); }

    /// What was counted so far is not taken back: some of it may have come into a value that stays.
    void pin() noexcept { pinned_ = charged_; }

    template <Shared T>
    Value make(T content) {
        charge(node_bytes);
        Value value(std::move(content));
        if constexpr (holds_values<T>) pool_.add(value.node());
        return value;
    }

    /// The only value left, as a tree without cycles.
    Value finish();

private:
    static constexpr std::uint64_t node_bytes = sizeof(Node) + 4 * sizeof(void*);

    void require_none_waiting() const;

    std::size_t floor() const noexcept { return marks_.empty() ? 0 : marks_.back(); }

    void require_memory(std::uint64_t bytes) const {
        if (bytes > limits_.memory_bytes - charged_ - lasting_)
            fail(to_text("the pickle's values need more than ", limits_.memory_bytes, " bytes of memory"));
    }
    /// Counts memory that is kept to the end.
    void charge_lasting(std::uint64_t bytes) {
        require_memory(bytes);
        lasting_ += bytes;
    }

    std::string where_;
    Limits limits_;
    std::uint64_t offset_ = 0;
    // Bytes: of values, of what is kept to the end; and charged_ at those moments that refund() and pin() speak of.
    std::uint64_t charged_ = 0, lasting_ = 0, taken_at_ = 0, pinned_ = 0;
    NodePool pool_;  // outlives the values below, which then fall without recursion
    std::vector<Value> values_;
    std::vector<std::uint64_t> charged_at_;  // charged_ when each of them came
    std::size_t most_values_ = 0;
    std::vector<std::size_t> marks_;
    struct Waiting {
        std::size_t marks;  ///< how many there were
        std::vector<NamedTensor> tensors;
    };
    std::vector<Waiting> waiting_;
    RecalledEntries recalled_;
    std::unordered_map<std::uint64_t, Value> memo_;  // what of it is recalled
    std::uint64_t numbered_ = 0;                     // entries that were put, from 0 on, as programs number them
    std::unordered_set<std::uint64_t> scattered_;    // the others
};

inline void Stack::push(Value value) {
    if (values_.size() == most_values_) {
        charge_lasting(sizeof(Value) + sizeof(std::uint64_t));
        ++most_values_;
    }
    values_.push_back(std::move(value));
    charged_at_.push_back(charged_);
}

inline Value& Stack::top() {
    if (values_.size() == floor()) fail("an instruction lacks its operand; the file is damaged");
    return values_.back();
}

inline Value Stack::pop() {
    Value value = std::move(top());
    values_.pop_back();
    charged_at_.pop_back();
    return value;
}

inline void Stack::open_mark() {
    charge_lasting(sizeof(std::size_t));
    marks_.push_back(values_.size());
}

inline const Value* Stack::below_mark() const {
    const std::size_t floor_below = marks_.size() > 1 ? marks_[marks_.size() - 2] : 0;
    return floor() > floor_below ? &values_[floor() - 1] : nullptr;
}

inline bool Stack::has_waiting() const { return !waiting_.empty() && waiting_.back().marks == marks_.size(); }

inline std::vector<NamedTensor>& Stack::waiting() {
    if (!has_waiting()) waiting_.push_back({marks_.size(), {}});
    return waiting_.back().tensors;
}

inline std::vector<NamedTensor> Stack::take_waiting() {
    if (!has_waiting()) return {};
    std::vector<NamedTensor> tensors = std::move(waiting_.back().tensors);
    waiting_.pop_back();
    return tensors;
}

inline void Stack::require_none_waiting() const {
    if (has_waiting()) fail("names and tensors in turn are expected in a dict, and here are in something else");
}

inline std::size_t Stack::close_mark() {
    if (marks_.empty()) fail("an instruction lacks its mark; the file is damaged");
    require_none_waiting();
    const std::size_t count = values_.size() - marks_.back();
    marks_.pop_back();
    return count;
}

inline std::vector<Value> Stack::pop_to_mark() { return pop_many(close_mark()); }

inline std::vector<Value> Stack::pop_many(std::size_t count) {
    std::vector<Value> values;
    values.reserve(std::min(count, values_.size()));
    take_many(count, [&](Value&& value) { values.push_back(std::move(value)); });
    charge(count * sizeof(Value));
    return values;
}

template <class Take>
void Stack::take_many(std::size_t count, Take&& take) {
    if (values_.size() - floor() < count) fail("an instruction lacks its operand; the file is damaged");
    const std::size_t first = values_.size() - count;
    taken_at_ = count > 0 ? charged_at_[first] : charged_;
    for (std::size_t at = first; at < values_.size(); ++at) take(std::move(values_[at]));
    values_.resize(first);
    charged_at_.resize(first);
}

inline void Stack::put(std::uint64_t index) {
    constexpr std::uint64_t entry_bytes = sizeof(Value) + 4 * sizeof(void*);
    const Value& value = top();
    if (recalled_.contains(index)) {
        charge_lasting(entry_bytes);
        memo_.insert_or_assign(index, value);
        pin();
    }
    if (index < numbered_) return;
    if (index > numbered_) {
        charge_lasting(entry_bytes);
        scattered_.insert(index);
    } else {
        ++numbered_;
        scattered_.erase(index);
    }
}

inline void Stack::get(std::uint64_t index) {
    const auto found = memo_.find(index);
    if (found == memo_.end()) fail(to_text("memo entry ", index, " is used but was never made; the file is damaged"));
    push(found->second);
}

inline void Stack::charge(std::uint64_t bytes) {
    require_memory(bytes);
    charged_ += bytes;
}

inline void Stack::drop() {
    if (marks_.empty() || marks_.back() != values_.size()) return void(pop());
    require_none_waiting();
    marks_.pop_back();
}

inline Value Stack::finish() {
    Value root = pop();
    if (!values_.empty() || !marks_.empty()) fail("the pickle ends with values left over; the file is damaged");
    memo_.clear();
    if (!pool_.release(root, limits_.depth))
        fail(to_text("the pickle nests containers more than ", limits_.depth, " deep"));
    return root;
}

}  // namespace detail

}  // namespace crossdock::pickle
