// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "crossdock/pipeline/receive_model.hpp"
#include "crossdock/pipeline/send_model.hpp"
#include "crossdock/plugin/loader.hpp"
#include "crossdock/plugin/saver.hpp"
#include "crossdock/queue/channel.hpp"

namespace crossdock {

/// How far a conversion is.
struct Progress {
    std::string message;          ///< the message that the saver got last: "transformer layer 3"
    std::uint64_t bytes = 0;      ///< that reached their place
    std::uint64_t bytes_sent = 0; ///< of all messages so far, as they will be written
};

struct ConvertOptions {
    std::size_t max_queue_size = 50;  ///< messages; these hold recipes, so the bound matters to loaders that own memory
    bool no_checking = false;         ///< skips the checks of order, presence and shape
    std::optional<DType> dtype;       ///< casts floating tensors; each keeps its own otherwise
    std::size_t threads = 0;          ///< that evaluate and write tensors; 0: one for each processor
    std::function<void(const Progress&)> progress;  ///< called after each message and each written block, from any
                                                    ///< thread, one call at a time
    std::stop_token stop{};                         ///< ends the conversion with Cancelled
};

/// What a conversion did.
struct Report {
    std::uint64_t tensors = 0;  ///< of the canonical model
    std::uint64_t bytes = 0;    ///< written
    double seconds = 0;
    std::vector<std::string> warnings;
};

namespace detail {

/// The state of one conversion that both of its threads and the saver's workers touch.
class ProgressReporter {
public:
    explicit ProgressReporter(std::function<void(const Progress&)> report) : report_(std::move(report)) {}

    void wrote(std::uint64_t bytes) {
        const std::lock_guard lock(mutex_);
        progress_.bytes += bytes;
        if (report_) report_(progress_);
    }
    void sent(std::string message, std::uint64_t bytes) {
        const std::lock_guard lock(mutex_);
        progress_.message = std::move(message);
        progress_.bytes_sent += bytes;
        if (report_) report_(progress_);
    }
    std::uint64_t bytes() {
        const std::lock_guard lock(mutex_);
        return progress_.bytes;
    }

private:
    std::mutex mutex_;
    std::function<void(const Progress&)> report_;
    Progress progress_;
};

inline std::string describe(const Message& message) {
    return std::visit(
        [](const auto& content) -> std::string {
            if constexpr (std::is_same_v<std::decay_t<decltype(content)>, ModelHeader>)
                return "header";
            else
                return message_name(content);
        },
        message);
}

inline std::uint64_t byte_count(const Message& message) {
    return std::visit(
        [](const auto& content) {
            std::uint64_t bytes = 0;
            for (const auto& field : tensor_fields<std::decay_t<decltype(content)>>)
                if (const auto& tensor = content.*field.tensor) bytes += tensor->byte_count();
            return bytes;
        },
        message);
}

/// Runs the loader's side; whatever it throws ends the channel.
inline void run_loader(Loader& loader, Channel<Message>& channel) {
    try {
        send_model(loader, [&](Message message) { return channel.send(std::move(message)); });
        channel.finish();
    } catch (...) {
        channel.fail(std::current_exception());
    }
}

}  // namespace detail

/// Moves a model from a loader to a saver, on two threads and the saver's workers. Throws the first Error of either
/// side, or Cancelled; the target then does not exist, or is as it was.
inline Report convert(Loader& loader, Saver& saver, const ConvertOptions& options = {}) {
    const auto begin = std::chrono::steady_clock::now();
    detail::ProgressReporter reporter(options.progress);
    Channel<Message> channel(options.max_queue_size);
    const std::stop_callback cancel(options.stop, [&channel] { channel.cancel(); });
    ModelReceiver receiver(saver, !options.no_checking, options.dtype);
    const std::size_t threads = options.threads ? options.threads : std::max(1U, std::thread::hardware_concurrency());
    saver.begin({threads, [&reporter](std::uint64_t bytes) { reporter.wrote(bytes); }, options.stop});
    {
        const std::jthread loading([&] { detail::run_loader(loader, channel); });
        try {
            while (std::optional<Message> message = channel.receive()) {
                std::string name = detail::describe(*message);
                const std::uint64_t bytes = detail::byte_count(*message);
                receiver.accept(std::move(*message));
                reporter.sent(std::move(name), bytes);
            }
            receiver.finish();
        } catch (...) {
            channel.fail(std::current_exception());
        }
    }
    channel.rethrow_error();
    Report report{.tensors = receiver.tensors(), .bytes = reporter.bytes(), .seconds = 0, .warnings = loader.notices()};
    for (std::string& line : saver.notices()) report.warnings.push_back(std::move(line));
    report.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    return report;
}

}  // namespace crossdock
