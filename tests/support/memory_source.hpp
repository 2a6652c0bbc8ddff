// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <span>
#include <string>
#include <utility>

#include "crossdock/core/source.hpp"

namespace crossdock::test {

/// The bytes as a source; errors call it "memory".
inline std::shared_ptr<const Source> memory_source(std::string bytes) {
    const auto owner = std::make_shared<const std::string>(std::move(bytes));
    return std::make_shared<MemorySource>(std::as_bytes(std::span(*owner)), owner);
}

}  // namespace crossdock::test
