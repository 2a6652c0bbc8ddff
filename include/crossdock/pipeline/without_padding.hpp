// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "crossdock/core/tensor.hpp"
#include "crossdock/layout/tensor_parallel.hpp"

namespace crossdock::detail {

/// A tensor of the vocabulary without rows that pad it: the first `rows`, or all where there are no more.
inline Tensor without_padding(const Tensor& tensor, std::uint64_t rows) {
    return tensor.shape().rank() > 0 && tensor.shape()[0] > rows ? with_vocab_rows(tensor, rows) : tensor;
}

}  // namespace crossdock::detail
