// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <type_traits>
#include <utility>
#include <variant>

#include "crossdock/core/dtype.hpp"
#include "crossdock/core/error.hpp"
#include "crossdock/core/recipe.hpp"
#include "crossdock/pipeline/progress_reporter.hpp"
#include "crossdock/plugin/any_saver.hpp"
#include "crossdock/protocol/check_header.hpp"
#include "crossdock/protocol/message_list.hpp"
#include "crossdock/protocol/sequence.hpp"

namespace crossdock {

/// Hands messages to a saver: checks their order, the header and the tensors, and casts these where that is asked, or a
/// tensor has a type of its own.
/// Without `checking` only the comparison of the tensors with the header is left out.
class ModelReceiver {
public:
    ModelReceiver(AnySaver& saver, detail::ProgressReporter& reporter, bool checking, std::optional<DType> dtype)
        : saver_(saver),
          reporter_(reporter),
          checking_(checking),
          dtype_(dtype) {}

    void accept(Message message) {
        sequence_.accept(message);
        std::visit([this](auto& content) { take(content); }, message);
    }

    /// The loader has sent all it has.
    void finish() {
        sequence_.finish();
        saver_.finish();
    }

    std::uint64_t tensors() const noexcept { return tensors_; }

private:
    void take(ModelHeader& header) {
        in_context("message 'header'", [&] { check_header(header); });
        if (dtype_) header.params_dtype = *dtype_;
        header_ = header;
        saver_.write(header);
        reporter_.took(header, header.params_dtype);
    }

    template <class M>
    void take(M& message) {
        if (checking_) check_message(message, header_);
        check_weights(message, header_);
        for (const auto& field : tensor_fields<M>) {
            auto& tensor = message.*field.tensor;
            if (!tensor) continue;
            ++tensors_;
            const std::optional<DType> type = type_of_field(field, dtype_);
            if (type && is_castable(tensor->dtype())) tensor = cast(*tensor, *type);
        }
        saver_.write(std::as_const(message));
        reporter_.took(message);
    }

    AnySaver& saver_;
    detail::ProgressReporter& reporter_;
    bool checking_;
    std::optional<DType> dtype_;
    SequenceChecker sequence_;
    ModelHeader header_;
    std::uint64_t tensors_ = 0;
};

}  // namespace crossdock
