// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "crossdock/pipeline/entry_points.hpp"
#include "crossdock/pipeline/reports.hpp"
#include "crossdock/plugin/any_loader.hpp"
#include "crossdock/plugin/concepts.hpp"

namespace crossdock {

/// Lists what the loader would send. Reads no weights, and does not mind tensors that no message carries. Throws Error
/// where the loader does; runs on the caller's thread.
template <Loader L>
Inspection inspect(L& loader) {
    auto&& any = as_any_loader(loader);
    return detail::run_inspection(any);
}

}  // namespace crossdock

#ifndef CROSSDOCK_COMPILED
#include "crossdock/pipeline/run_inspection.hpp"
#endif
