// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>

#include "crossdock/container/tensor_dict.hpp"
#include "crossdock/pipeline/entry_points.hpp"
#include "crossdock/pipeline/reports.hpp"
#include "crossdock/plugin/any_loader.hpp"
#include "crossdock/plugin/concepts.hpp"

namespace crossdock {

/// Tells least, greatest and mean value, NaNs and infinities of the canonical tensors of a checkpoint, all or those that
/// `options.wanted` names: the same for the same weights in every format and on any number of threads. Reads in blocks
/// on `options.threads` threads, the wanted tensors alone; the loader is asked on the caller's, and as by inspect() need
/// not like all that the files hold. Throws Error where the checkpoint cannot be read, or Cancelled.
template <Loader L>
StatisticsReport statistics(L& loader, const StatisticsOptions& options = {}) {
    auto&& any = as_any_loader(loader);
    return detail::run_statistics(any, options);
}

/// The same of any tensors, such as those of one file; they are called what they are called there.
inline StatisticsReport statistics(std::span<const NamedTensor> tensors, const StatisticsOptions& options = {}) {
    return detail::run_statistics(tensors, options);
}

}  // namespace crossdock

#ifndef CROSSDOCK_COMPILED
#include "crossdock/pipeline/run_statistics.hpp"
#endif
