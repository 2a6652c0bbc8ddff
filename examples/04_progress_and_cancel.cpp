// SPDX-License-Identifier: Apache-2.0
// Converts with a line that shows how far it is; Ctrl-C ends the conversion and leaves nothing behind.
#include <signal.h>

#include <crossdock/pipeline/convert.hpp>
#include <crossdock/plugin/llama.hpp>
#include <crossdock/plugin/megatron.hpp>
#include <exception>
#include <iostream>
#include <stop_token>
#include <string>
#include <thread>

/// Turns Ctrl-C into a request to stop. A signal handler may not do what such a request takes, so a thread waits for
/// the signal. Call this before there are other threads: they inherit that the signal is blocked.
std::stop_token stop_on_interrupt() {
    sigset_t interrupt;
    sigemptyset(&interrupt);
    sigaddset(&interrupt, SIGINT);
    pthread_sigmask(SIG_BLOCK, &interrupt, nullptr);
    std::stop_source source;
    std::thread([interrupt, source]() mutable {
        int signal = 0;
        sigwait(&interrupt, &signal);
        source.request_stop();
    }).detach();
    return source.get_token();
}

// [main]
int main(int count, char** arguments) try {
    if (count != 3) throw crossdock::UsageError("expected two arguments: a Llama's directory and the target");
    crossdock::ConvertOptions options;
    options.stop = stop_on_interrupt();
    options.progress = [](const crossdock::Progress& progress) {  // from any thread, one call at a time
        std::cerr << '\r' << progress.bytes << " of " << progress.total_bytes << " bytes, " << progress.message;
    };

    crossdock::LlamaLoader loader({.load_dir = arguments[1]});
    crossdock::MegatronCoreSaver saver({.save_dir = arguments[2], .target_tensor_parallel_size = 2});
    const crossdock::Report report = crossdock::convert(loader, saver, options);

    std::cerr << '\n';
    for (const std::string& warning : report.warnings) std::cerr << "warning: " << warning << '\n';
    std::cout << report.tensors << " tensors, " << report.bytes << " bytes in " << report.seconds << " s\n";
} catch (const crossdock::Cancelled&) {
    std::cerr << "\nstopped; the target is as it was\n";
    return 130;
} catch (const std::exception& error) {  // crossdock::Error, or std::bad_alloc
    std::cerr << '\n' << error.what() << '\n';
    return 1;
}
// [main]
