// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>

#include "crossdock/container/tensor_dict.hpp"
#include "crossdock/pipeline/reports.hpp"
#include "crossdock/plugin/any_loader.hpp"
#include "crossdock/plugin/any_saver.hpp"

namespace crossdock::detail {

// The pipeline is compiled once, for any loaders and savers: entry points (core/compiled.hpp).

Report run_conversion(AnyLoader& loader, AnySaver& saver, const ConvertOptions& options);
DigestReport run_digest(AnyLoader& loader, const DigestOptions& options);
VerifyReport run_comparison(AnyLoader& a, AnyLoader& b, const VerifyOptions& options);
Inspection run_inspection(AnyLoader& loader);
StatisticsReport run_statistics(AnyLoader& loader, const StatisticsOptions& options);
StatisticsReport run_statistics(std::span<const NamedTensor> tensors, const StatisticsOptions& options);

}  // namespace crossdock::detail
