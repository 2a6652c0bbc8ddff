// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "crossdock/core/dtype.hpp"
#include "crossdock/core/shape.hpp"

namespace crossdock::torch {

/// What a pickle says that makes a single tensor of all bytes of a storage, in C order, in a little-endian file.
struct OneTensor {
    std::vector<std::byte> pickle;
    std::string storage;  ///< its key
    DType dtype;
    Shape shape;
};

/// The last such pickle of files that are mostly alike: the items of a distributed checkpoint. Equal pickles say the
/// same, so that it need not be found out again. Any thread.
class LastPickle {
public:
    /// Null where there was none.
    std::shared_ptr<const OneTensor> get() const {
        const std::lock_guard lock(mutex_);
        return last_;
    }

    void set(std::shared_ptr<const OneTensor> pickle) {
        const std::lock_guard lock(mutex_);
        last_ = std::move(pickle);
    }

private:
    mutable std::mutex mutex_;
    std::shared_ptr<const OneTensor> last_;
};

}  // namespace crossdock::torch
