// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "crossdock/pipeline/entry_points.hpp"
#include "crossdock/pipeline/reports.hpp"
#include "crossdock/plugin/any_loader.hpp"
#include "crossdock/plugin/concepts.hpp"

namespace crossdock {

/// Compares two checkpoints, whatever their formats and parallel sizes: every header field that both state, and every
/// canonical tensor bit for bit, in blocks on `options.threads` threads; the loaders are asked on the caller's. Throws
/// Error where one cannot be read, or Cancelled.
template <Loader A, Loader B>
VerifyReport verify(A& a, B& b, const VerifyOptions& options = {}) {
    auto&& any_a = as_any_loader(a);
    auto&& any_b = as_any_loader(b);
    return detail::run_comparison(any_a, any_b, options);
}

}  // namespace crossdock

#ifndef CROSSDOCK_COMPILED
#include "crossdock/pipeline/run_comparison.hpp"
#endif
