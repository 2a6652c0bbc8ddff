// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "crossdock/pipeline/entry_points.hpp"
#include "crossdock/pipeline/reports.hpp"
#include "crossdock/plugin/any_loader.hpp"
#include "crossdock/plugin/concepts.hpp"

namespace crossdock {

/// Digests every canonical tensor of a checkpoint, and the model: the same for the same weights in every format and in
/// whatever parts. Reads in blocks on `options.threads` threads; the loader is asked on the caller's. Throws Error where
/// the checkpoint cannot be read, or Cancelled.
template <Loader L>
DigestReport digest(L& loader, const DigestOptions& options = {}) {
    auto&& any = as_any_loader(loader);
    return detail::run_digest(any, options);
}

}  // namespace crossdock

#ifndef CROSSDOCK_COMPILED
#include "crossdock/pipeline/run_digest.hpp"
#endif
