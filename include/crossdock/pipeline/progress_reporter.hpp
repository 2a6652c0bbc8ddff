// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>
#include <mutex>
#include <string>
#include <utility>

#include "crossdock/core/dtype.hpp"
#include "crossdock/pipeline/progress.hpp"
#include "crossdock/protocol/message_bytes.hpp"
#include "crossdock/protocol/message_list.hpp"
#include "crossdock/protocol/model_header.hpp"

namespace crossdock::detail {

/// Adds up what the threads of a run report, and passes it on.
class ProgressReporter {
public:
    /// Passes reports on to a callback as long as it lives.
    class Listening {
    public:
        Listening(ProgressReporter& reporter, ProgressCallback report) : reporter_(reporter) {
            reporter_.listen(std::move(report));
        }
        Listening(const Listening&) = delete;
        Listening& operator=(const Listening&) = delete;
        ~Listening() { reporter_.listen({}); }

    private:
        ProgressReporter& reporter_;
    };

    /// What is said behind the name of each message from now on.
    void say(std::string suffix) { suffix_ = std::move(suffix); }

    /// A block reached its place.
    void done(std::uint64_t bytes) {
        const std::lock_guard lock(mutex_);
        progress_.bytes += bytes;
        if (report_) report_(progress_);
    }
    /// The run will need to move this much for the message that is being taken.
    void planned(std::uint64_t bytes) {
        const std::lock_guard lock(mutex_);
        planned_ += bytes;
    }
    void took(const ModelHeader& header, DType dtype) {
        header_ = header;
        dtype_ = dtype;
        took("header", 0, expected_model_bytes(header, dtype));
    }
    template <class M>
    void took(const M& message) {
        took(message_name(message), expected_bytes(key_of(message), header_, dtype_), byte_count(message));
    }

    /// Of a run that knows what it will move in all.
    void took(std::string message, std::uint64_t total_bytes) {
        const std::lock_guard lock(mutex_);
        progress_.message = std::move(message);
        progress_.total_bytes = total_bytes;
        if (report_) report_(progress_);
    }

    std::uint64_t bytes() {
        const std::lock_guard lock(mutex_);
        return progress_.bytes;
    }

private:
    void listen(ProgressCallback report) {
        const std::lock_guard lock(mutex_);
        report_ = std::move(report);
    }

    /// In the total, `expected` gives way to what was planned, or to `found` where nobody plans.
    void took(std::string message, std::uint64_t expected, std::uint64_t found) {
        const std::lock_guard lock(mutex_);
        const std::uint64_t actual = planned_ > 0 ? std::exchange(planned_, 0) : found;
        progress_.message = std::move(message) + suffix_;
        progress_.total_bytes =
            std::max(progress_.total_bytes - std::min(expected, progress_.total_bytes) + actual, progress_.bytes);
        if (report_) report_(progress_);
    }

    std::mutex mutex_;
    ProgressCallback report_;
    Progress progress_;
    std::string suffix_;
    std::uint64_t planned_ = 0;
    ModelHeader header_;
    DType dtype_ = DType::f32;
};

}  // namespace crossdock::detail
