// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>

#include "crossdock/container/transfer_pool.hpp"
#include "crossdock/core/compiled.hpp"
#include "crossdock/pipeline/entry_points.hpp"
#include "crossdock/pipeline/progress_reporter.hpp"
#include "crossdock/pipeline/receive_model.hpp"
#include "crossdock/pipeline/send_model.hpp"
#include "crossdock/queue/channel.hpp"

namespace crossdock::detail {

/// Runs the loader's side; whatever it throws ends the channel.
inline void run_loader(AnyLoader& loader, Channel<Message>& channel) {
    try {
        send_model(loader, [&](Message message) { return channel.send(std::move(message)); });
        channel.finish();
    } catch (...) {
        channel.fail(std::current_exception());
    }
}

/// The one pipeline behind convert().
CROSSDOCK_ENTRY_POINT Report run_conversion(AnyLoader& loader, AnySaver& saver, const ConvertOptions& options) {
    const auto begin = std::chrono::steady_clock::now();
    const auto reporter = std::make_shared<ProgressReporter>();  // a saver that failed may report later still
    const ProgressReporter::Listening listening(*reporter, options.progress);
    if (options.max_queue_size == 0) throw UsageError("max_queue_size is 0, expected at least 1");
    Channel<Message> channel(options.max_queue_size);
    if (options.dtype) loader.will_cast(*options.dtype);
    const std::stop_callback cancel(options.stop, [&channel] { channel.cancel(); });
    ModelReceiver receiver(saver, *reporter, !options.no_checking, options.dtype);
    const auto written = [reporter](std::uint64_t bytes) { reporter->done(bytes); };
    TransferPool pool(thread_count(options.threads, options.memory), written, options.stop, options.memory);
    saver.begin({.transfers = pool,
                 .planned = [reporter](std::uint64_t bytes) { reporter->planned(bytes); },
                 .written = written,
                 .stop = options.stop});
    bool is_complete = false;
    {
        const std::jthread loading([&] { run_loader(loader, channel); });
        try {
            while (std::optional<Message> message = channel.receive()) receiver.accept(std::move(*message));
            receiver.finish();
            is_complete = true;
        } catch (...) {
            channel.fail(std::current_exception());
        }
    }
    // A request to stop that came when the target was in place is too late.
    if (!is_complete) channel.rethrow_error();
    Report report{
        .tensors = receiver.tensors(), .bytes = reporter->bytes(), .seconds = 0, .warnings = loader.notices()};
    for (std::string& line : saver.notices()) report.warnings.push_back(std::move(line));
    report.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    return report;
}

}  // namespace crossdock::detail
