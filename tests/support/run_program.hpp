// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

extern char** environ;

namespace crossdock::test {

/// What a program left behind when it ended.
struct ProgramResult {
    int exit_code = 0;  ///< -n when signal n killed it
    std::string out, err;
};

/// How a program starts.
struct ProgramStart {
    bool stderr_is_terminal = false;
    bool stdout_is_full = false;  ///< it waits at the first thing it prints, until wait() reads
};

/// A program that runs with its stdout and stderr in our hands. Signals are at their defaults there.
class RunningProgram {
public:
    explicit RunningProgram(std::vector<std::string> command, ProgramStart start = {})
        : out_(open_pipe()),
          err_(start.stderr_is_terminal ? open_terminal() : open_pipe()) {
        if (start.stdout_is_full) filled_ = fill(out_.write);
        posix_spawn_file_actions_t actions;
        posix_spawn_file_actions_init(&actions);
        posix_spawn_file_actions_adddup2(&actions, out_.write, STDOUT_FILENO);
        posix_spawn_file_actions_adddup2(&actions, err_.write, STDERR_FILENO);
        posix_spawnattr_t attributes;
        posix_spawnattr_init(&attributes);
        sigset_t signals, no_signal;
        sigfillset(&signals);
        sigemptyset(&no_signal);
        posix_spawnattr_setsigdefault(&attributes, &signals);
        posix_spawnattr_setsigmask(&attributes, &no_signal);
        posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
        std::vector<char*> argv;
        for (std::string& word : command) argv.push_back(word.data());
        argv.push_back(nullptr);
        const int error = ::posix_spawn(&process_, argv[0], &actions, &attributes, argv.data(), environ);
        posix_spawnattr_destroy(&attributes);
        posix_spawn_file_actions_destroy(&actions);
        if (error != 0) throw std::runtime_error("cannot run " + command[0]);
    }
    RunningProgram(const RunningProgram&) = delete;
    RunningProgram& operator=(const RunningProgram&) = delete;
    ~RunningProgram() {
        if (process_ > 0) ::kill(process_, SIGKILL), wait();
        for (const int file : {out_.read, out_.write, err_.read, err_.write})
            if (file >= 0) ::close(file);
    }

    void send(int signal) const { ::kill(process_, signal); }

    /// Reads what it prints until it ends.
    ProgramResult wait() {
        close_ends();
        ProgramResult result;
        std::thread reader([&] { result.err = read_all(err_.read); });
        result.out = read_all(out_.read);
        result.out.erase(0, filled_);
        reader.join();
        int status = 0;
        ::waitpid(std::exchange(process_, 0), &status, 0);
        result.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
        return result;
    }

private:
    struct Ends {
        int read, write;
    };

    static Ends open_pipe() {
        std::array<int, 2> ends{};
        if (::pipe2(ends.data(), O_CLOEXEC) != 0) throw std::runtime_error("no pipe");
        return {ends[0], ends[1]};
    }

    static Ends open_terminal() {
        const int master = ::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
        if (master < 0 || ::grantpt(master) != 0 || ::unlockpt(master) != 0) throw std::runtime_error("no terminal");
        return {master, ::open(::ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC)};
    }

    /// Returns how many bytes the pipe holds then.
    static std::size_t fill(int pipe) {
        ::fcntl(pipe, F_SETFL, O_NONBLOCK);
        const std::array<char, 512> block{};
        std::size_t bytes = 0;
        for (ssize_t put = 0; (put = ::write(pipe, block.data(), block.size())) > 0;)
            bytes += static_cast<std::size_t>(put);
        ::fcntl(pipe, F_SETFL, 0);
        return bytes;
    }

    /// Ours, so that reading ends when the program's do.
    void close_ends() {
        for (int* file : {&out_.write, &err_.write}) ::close(std::exchange(*file, -1));
    }

    static std::string read_all(int file) {
        std::string text;
        std::array<char, 4096> block{};
        // A terminal whose other side is closed gives an error instead of an end.
        for (ssize_t got = 0; (got = ::read(file, block.data(), block.size())) > 0;)
            text.append(block.data(), static_cast<std::size_t>(got));
        return text;
    }

    pid_t process_ = 0;
    Ends out_, err_;
    std::size_t filled_ = 0;
};

inline ProgramResult run_program(std::vector<std::string> command) { return RunningProgram(std::move(command)).wait(); }

#ifdef CROSSDOCK_CLI
/// The built program crossdock.
inline ProgramResult crossdock_program(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), CROSSDOCK_CLI);
    return run_program(std::move(arguments));
}
#endif

}  // namespace crossdock::test
