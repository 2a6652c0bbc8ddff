// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "crossdock/container/pickle/format.hpp"
#include "crossdock/container/pickle/writer.hpp"
#include "crossdock/container/torch/format.hpp"
#include "crossdock/core/dtype.hpp"
#include "crossdock/core/shape.hpp"

namespace crossdock::torch {

/// Pickles what torch/_utils.py rebuilds dense CPU tensors from. Types that came after torch 2.1 have no storage class:
/// their storage is bytes, and the type stands beside it.
class TensorPickler {
public:
    /// `out` outlives it.
    explicit TensorPickler(pickle::Writer& out) : out_(out) {}

    /// A tensor in C order whose storage is the record "data/<key>". Returns its number in the memo.
    std::uint32_t write(std::string_view key, DType dtype, const Shape& shape) {
        const auto typed = storage_name(dtype);
        out_.global("torch._utils", typed ? "_rebuild_tensor_v2" : "_rebuild_tensor_v3");
        out_.op(Opcode::mark);
        storage(key, dtype, shape);
        out_.integer(0);  // its first element
        tuple(shape.rank(), [&](std::size_t axis) { return shape[axis]; });
        tuple(shape.rank(), [&](std::size_t axis) { return stride(shape, axis); });
        out_.op(Opcode::newfalse);  // requires_grad
        hooks();
        if (!typed) out_.global("torch", torch_name(dtype));
        out_.op(Opcode::tuple);
        out_.op(Opcode::reduce);
        return out_.remember();
    }

private:
    using Opcode = pickle::Opcode;

    /// The persistent id ("storage", class, key, location, element count).
    void storage(std::string_view key, DType dtype, const Shape& shape) {
        const auto typed = storage_name(dtype);
        out_.op(Opcode::mark);
        word("storage", storage_word_);
        out_.global(typed ? "torch" : "torch.storage", typed.value_or("UntypedStorage"));
        out_.text(key);
        word("cpu", location_word_);
        number(shape.element_count() * (typed ? 1 : item_size(dtype)));
        out_.op(Opcode::tuple);
        out_.op(Opcode::binpersid);
    }

    void hooks() {
        out_.global("collections", "OrderedDict");
        out_.op(Opcode::empty_tuple);
        out_.op(Opcode::reduce);
        out_.remember();
    }

    /// PyTorch counts an empty axis as one element.
    static std::uint64_t stride(const Shape& shape, std::size_t axis) {
        std::uint64_t stride = 1;
        while (++axis < shape.rank()) stride *= shape[axis] == 0 ? 1 : shape[axis];
        return stride;
    }

    template <class Number>
    void tuple(std::size_t count, Number&& item) {
        constexpr Opcode short_forms[] = {Opcode::empty_tuple, Opcode::tuple1, Opcode::tuple2, Opcode::tuple3};
        if (count > 3) out_.op(Opcode::mark);
        for (std::size_t index = 0; index < count; ++index) number(item(index));
        out_.op(count > 3 ? Opcode::tuple : short_forms[count]);
    }

    void number(std::uint64_t number) {
        if (!std::in_range<std::int64_t>(number))
            throw Error(to_text(number, " is beyond what a pickle's integers hold"));
        out_.integer(static_cast<std::int64_t>(number));
    }

    /// Said once in a file and then recalled.
    void word(std::string_view text, std::optional<std::uint32_t>& known) {
        if (known) return out_.recall(*known);
        out_.text(text);
        known = out_.remember();
    }

    pickle::Writer& out_;
    std::optional<std::uint32_t> storage_word_, location_word_;
};

}  // namespace crossdock::torch
