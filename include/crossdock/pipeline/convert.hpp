// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "crossdock/pipeline/entry_points.hpp"
#include "crossdock/pipeline/reports.hpp"
#include "crossdock/plugin/any_loader.hpp"
#include "crossdock/plugin/any_saver.hpp"
#include "crossdock/plugin/concepts.hpp"

namespace crossdock {

/// Moves a model from a loader to a saver: the loader on a thread of its own, the saver on the caller's, tensors on
/// `options.threads` more. When it returns or throws, all of these have ended, and nothing of the loader or the saver
/// is in use. Throws the first exception of either side, or Cancelled; the target then does not exist, or is as it was.
template <Loader L, Saver S>
Report convert(L& loader, S& saver, const ConvertOptions& options = {}) {
    auto&& from = as_any_loader(loader);
    auto&& to = as_any_saver(saver);
    return detail::run_conversion(from, to, options);
}

}  // namespace crossdock

#ifndef CROSSDOCK_COMPILED
#include "crossdock/pipeline/run_conversion.hpp"
#endif
