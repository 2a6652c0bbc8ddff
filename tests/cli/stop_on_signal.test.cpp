// SPDX-License-Identifier: Apache-2.0
#include "crossdock/cli/stop_on_signal.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "support/catch.hpp"

using crossdock::cli::StopOnSignal;

namespace {

/// The status, as of waitpid(), of a process that does this and exits with what it returns.
template <class Work>
int status_of_process(Work&& work) {
    const pid_t child = fork();
    if (child == 0) ::_exit(work());
    int status = 0;
    waitpid(child, &status, 0);
    return status;
}

}  // namespace

TEST_CASE("a signal is a request to stop, and its number", "[cli]") {
    const int status = status_of_process([] {
        const StopOnSignal signals(true);
        kill(getpid(), SIGTERM);
        while (!signals.token().stop_requested()) ::usleep(100);
        return signals.signal();
    });
    CHECK((WIFEXITED(status) && WEXITSTATUS(status) == SIGTERM));
}

TEST_CASE("a signal that comes once all is done does not change how it ended", "[cli]") {
    for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
        const int status = status_of_process([signal] {
            { const StopOnSignal signals(true); }
            kill(getpid(), signal);
            return 3;
        });
        INFO(signal);
        CHECK((WIFEXITED(status) && WEXITSTATUS(status) == 3));
    }
}
