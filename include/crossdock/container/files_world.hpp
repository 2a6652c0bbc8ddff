// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "crossdock/container/descriptor.hpp"
#include "crossdock/container/directory_tree.hpp"
#include "crossdock/container/path_kind.hpp"
#include "crossdock/core/error.hpp"
#include "crossdock/core/fingerprint.hpp"
#include "crossdock/core/source.hpp"
#include "crossdock/core/start_thread.hpp"
#include "crossdock/core/text.hpp"
#include "crossdock/core/world.hpp"

namespace crossdock {

/// Ranks that meet in a directory that all of them see: for job arrays, and wherever processes are started but not
/// connected. The directory is theirs alone, made by the first and removed by rank 0 at the end. What a rank has to say
/// stands in one of two files of its own, by turns: nobody can be two rounds ahead of another. The files are there from
/// the beginning and are opened anew to be read, which is when a network file system looks at what others wrote.
///
/// A rank that has not come yet is waited for, as a job array may start when it likes; one that has, and then says
/// nothing for `patience`, is taken for dead.
class FilesWorld final : public World {
public:
    /// Throws UsageError when there is no such rank, and Error when the directory was used before.
    FilesWorld(std::filesystem::path directory, std::size_t rank, std::size_t ranks,
               std::chrono::seconds patience = std::chrono::minutes(3))
        : World(rank, ranks),
          directory_(std::move(directory)),
          patience_(patience),
          heard_(ranks) {
        if (rank >= ranks) throw UsageError(to_text("rank is ", rank, ", expected less than ranks, which is ", ranks));
        std::error_code failure;
        std::filesystem::create_directories(directory_, failure);
        if (failure) throw Error(to_text(directory_.string(), ": cannot be created: ", failure.message()));
        for (const std::uint64_t turn : {0U, 1U}) create(file_of(rank, turn));
        beating_ = start_thread<std::jthread>([this](const std::stop_token& stop) { beat(stop); });
    }
    ~FilesWorld() override {
        beating_.request_stop();
        beating_.join();
        try {
            leave();
        } catch (...) {  // the directory stays
        }
    }

protected:
    void reduce(std::span<std::uint64_t> values, Operation operation) override {
        std::vector<std::uint64_t> own(values.begin(), values.end()), theirs(values.size());
        publish(std::as_bytes(std::span(own)));
        for (std::size_t other = 0; other < size(); ++other) {
            if (other == rank()) continue;
            read(other, std::as_writable_bytes(std::span(theirs)));
            for (std::size_t i = 0; i < values.size(); ++i) values[i] = combined(values[i], theirs[i], operation);
        }
    }

    void broadcast(std::span<std::byte> bytes, std::size_t from) override {
        publish(bytes);
        std::vector<std::byte> unread(bytes.size());
        for (std::size_t other = 0; other < size(); ++other)
            if (other != rank()) read(other, other == from ? bytes : std::span(unread));
    }

    std::string host() const override {
        std::array<char, 256> name{};
        return ::gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "";
    }

private:
    using Clock = std::chrono::steady_clock;

    /// What stands before the bytes of a round.
    struct Head {
        std::uint64_t round = 0, bytes = 0, fingerprint = 0;
    };

    /// When a rank was heard of last: its sign of life, and when we saw that it was a new one.
    struct Heard {
        std::array<std::int64_t, 2> sign{};
        Clock::time_point at{};
    };

    std::filesystem::path file_of(std::size_t rank, std::uint64_t turn) const {
        return directory_ / to_text("rank-", rank, turn % 2 == 0 ? ".even" : ".odd");
    }

    static void create(const std::filesystem::path& file) {
        const detail::Descriptor made(::open(file.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
        if (made.get() >= 0) return;
        if (errno != EEXIST) throw detail::file_error(file, "cannot be created", errno);
        throw Error(to_text(file.string(), ": is there already; each run needs a new directory to meet in"));
    }

    /// Closing the file is what shows it to others.
    void publish(std::span<const std::byte> bytes) {
        const auto file = file_of(rank(), ++round_);
        const Head head{round_, bytes.size(), fingerprint_of(bytes)};
        std::vector<std::byte> content(sizeof(head) + bytes.size());
        std::memcpy(content.data(), &head, sizeof(head));
        std::copy(bytes.begin(), bytes.end(), content.begin() + sizeof(head));
        const detail::Descriptor out(::open(file.c_str(), O_WRONLY | O_CLOEXEC));
        for (std::size_t at = 0; at < content.size();) {
            const ssize_t done =
                out.get() < 0 ? -1
                              : ::pwrite(out.get(), content.data() + at, content.size() - at, static_cast<off_t>(at));
            if (done < 0 && errno == EINTR) continue;
            if (done <= 0) throw detail::file_error(file, "cannot be written", errno);
            at += static_cast<std::size_t>(done);
        }
    }

    /// What a rank said in this round; waits for it.
    void read(std::size_t other, std::span<std::byte> bytes) {
        using namespace std::chrono_literals;
        std::chrono::milliseconds pause = 1ms;
        while (!was_read(other, bytes)) {
            require_alive(other);
            std::this_thread::sleep_for(pause);
            pause = std::min<std::chrono::milliseconds>(2 * pause, 100ms);
        }
        heard_[other].at = Clock::now();
    }

    /// False where it has not said it yet, or not all of it can be seen.
    bool was_read(std::size_t other, std::span<std::byte> bytes) const {
        const detail::Descriptor in(::open(file_of(other, round_).c_str(), O_RDONLY | O_CLOEXEC));
        Head head;
        std::vector<std::byte> found(bytes.size());
        if (in.get() < 0 || ::pread(in.get(), &head, sizeof(head), 0) != sizeof(head) || head.round != round_)
            return false;
        if (head.bytes != bytes.size())
            throw Error(to_text(directory_.string(), ": rank ", other, " is at another place than rank ", rank(),
                                "; do all ranks run the same program with the same options?"));
        for (std::size_t at = 0; at < found.size();) {
            const ssize_t done =
                ::pread(in.get(), found.data() + at, found.size() - at, static_cast<off_t>(sizeof(head) + at));
            if (done <= 0) return false;
            at += static_cast<std::size_t>(done);
        }
        if (fingerprint_of(found) != head.fingerprint) return false;
        std::copy(found.begin(), found.end(), bytes.begin());
        return true;
    }

    static std::uint64_t fingerprint_of(std::span<const std::byte> bytes) {
        Fingerprint print;
        print.add(std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
        return print.value();
    }

    static std::uint64_t combined(std::uint64_t a, std::uint64_t b, Operation operation) {
        return operation == Operation::sum ? a + b : operation == Operation::minimum ? std::min(a, b) : a ^ b;
    }

    // ---- signs of life: the time of a rank's first file, which only changes are looked at of

    void require_alive(std::size_t other) {
        struct stat status {};
        if (::stat(file_of(other, 0).c_str(), &status) != 0) return;  // it has not come yet
        Heard& heard = heard_[other];
        const std::array<std::int64_t, 2> sign{status.st_mtim.tv_sec, status.st_mtim.tv_nsec};
        const Clock::time_point now = Clock::now();
        if (sign != heard.sign || heard.at == Clock::time_point()) {
            heard = {sign, now};
        } else if (now - heard.at > patience_) {
            throw Error(to_text("rank ", other, " has given no sign of life for ", patience_.count(),
                                " seconds; it was probably killed"));
        }
    }

    void beat(const std::stop_token& stop) {
        sigset_t all;
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, nullptr);  // they are for the program's own threads
        std::mutex mutex;
        std::condition_variable_any stopped;
        std::unique_lock lock(mutex);
        while (!stop.stop_requested()) {
            ::utimensat(AT_FDCWD, file_of(rank(), 0).c_str(), nullptr, 0);
            stopped.wait_for(lock, stop, patience_ / 10, [] { return false; });
        }
    }

    /// Rank 0 removes the directory when the others need it no more.
    void leave() {
        const auto gone = [&](std::size_t rank) { return directory_ / to_text("rank-", rank, ".gone"); };
        create(gone(rank()));
        if (!leads()) return;
        const Clock::time_point begin = Clock::now();
        for (std::size_t other = 1; other < size(); ++other)
            while (!is_anything_at(gone(other))) {
                if (Clock::now() - begin > patience_) return;
                std::this_thread::sleep_for(std::chrono::milliseconds(10));
            }
        detail::remove_tree(directory_);
    }

    std::filesystem::path directory_;
    std::chrono::seconds patience_;
    std::vector<Heard> heard_;
    std::uint64_t round_ = 0;
    std::jthread beating_;
};

}  // namespace crossdock
