// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <exception>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>

#include "crossdock/container/planned_files.hpp"
#include "crossdock/container/planning_transfers.hpp"
#include "crossdock/container/shared_transfers.hpp"
#include "crossdock/container/transfer_pool.hpp"
#include "crossdock/container/when_in_place.hpp"
#include "crossdock/core/compiled.hpp"
#include "crossdock/core/start_thread.hpp"
#include "crossdock/core/world.hpp"
#include "crossdock/pipeline/entry_points.hpp"
#include "crossdock/pipeline/progress_reporter.hpp"
#include "crossdock/pipeline/read_back.hpp"
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

/// One rank's part of a conversion; it moves nothing any more when it returns or throws.
inline Report convert_in(World& world, AnyLoader& loader, AnySaver& saver, const ConvertOptions& options) {
    const auto begin = std::chrono::steady_clock::now();
    const auto reporter = std::make_shared<ProgressReporter>();  // a saver that failed may report later still
    const ProgressReporter::Listening listening(*reporter, options.progress);
    if (options.max_queue_size == 0) throw UsageError("max_queue_size is 0, expected at least 1");
    if (world.is_shared() && !saver.works_in_ranks())
        throw Error("this saver cannot share its work among several processes; run it in one");
    if (options.dry_run && (!saver.plans() || world.is_shared()))
        throw Error(world.is_shared()
                        ? "one process alone tells what several would write; run it without the others"
                        : "this saver cannot tell what it would write; run it without the option dry_run");
    Channel<Message> channel(options.max_queue_size);
    if (options.dtype) loader.will_cast(*options.dtype);
    const std::stop_callback cancel(options.stop, [&channel] { channel.cancel(); });
    ModelReceiver receiver(saver, *reporter, !options.no_checking, options.dtype);
    // Of a world's ranks each knows its own progress only, and takes the others to be about as far.
    const auto written = [reporter, ranks = world.size()](std::uint64_t bytes) { reporter->done(bytes * ranks); };
    TransferPool pool(thread_count(options.threads, options.memory), written, options.stop, options.memory);
    SharedTransfers share(world, pool);
    std::optional<std::uint64_t> written_bytes, verified;  // since the target was read back
    const auto prove = [&](const std::filesystem::path& directory) {
        written_bytes = reporter->bytes();
        verified = read_back(loader, directory, options, *reporter, pool, world);
    };
    PlanningTransfers planning;
    PlannedFiles planned;
    saver.begin({.transfers = options.dry_run     ? static_cast<Transfers&>(planning)
                              : world.is_shared() ? static_cast<Transfers&>(share)
                                                  : pool,
                 .planned = [reporter](std::uint64_t bytes) { reporter->planned(bytes); },
                 .written = written,
                 .stop = options.stop,
                 .world = world,
                 .staging = {options.dry_run ? &planned : nullptr, options.job, options.resume, options.left_behind},
                 .before_commit = options.read_back ? prove : std::function<void(const std::filesystem::path&)>()});
    bool is_complete = false;
    {
        const auto loading = start_thread<std::jthread>([&] { run_loader(loader, channel); });
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
    if (options.read_back && !verified && !options.dry_run)
        throw Error("the target is complete and in its place, but its saver does not let it be read back before");
    const auto report = [&] {
        const std::uint64_t bytes =
            options.dry_run ? planning.bytes() : world.sum(written_bytes.value_or(reporter->bytes()) / world.size());
        Report done{.tensors = receiver.tensors(),
                    .bytes = bytes,
                    .seconds = 0,
                    .warnings = loader.notices(),
                    .verified = verified.value_or(0)};
        done.files = planned.files();
        if (options.dry_run) done.source_tensors = loader.storage().tensors;
        for (std::string& line : saver.notices()) done.warnings.push_back(std::move(line));
        done.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
        return done;
    };
    return options.dry_run ? report() : when_in_place("what was done cannot be told", report);
}

/// The one pipeline behind convert().
CROSSDOCK_ENTRY_POINT Report run_conversion(AnyLoader& loader, AnySaver& saver, const ConvertOptions& options) {
    World& world = options.world ? *options.world : World::alone();
    return together(world, [&] { return convert_in(world, loader, saver, options); });
}

}  // namespace crossdock::detail
