// SPDX-License-Identifier: Apache-2.0
#include "crossdock/pipeline/run_comparison.hpp"
#include "crossdock/pipeline/run_conversion.hpp"
#include "crossdock/pipeline/run_digest.hpp"
#include "crossdock/pipeline/run_inspection.hpp"
#include "crossdock/pipeline/run_statistics.hpp"
