// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mpi.h>
#include <pthread.h>
#include <signal.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <thread>

#include "crossdock/core/world.hpp"

namespace crossdock {

/// MPI, from here to the end of the program; made first thing in main(). The signals that end a program wait until it
/// is there, so that MPI's own threads leave them to the program's.
class MpiSession {
public:
    MpiSession(int& argc, char**& argv) {
        sigset_t ending, before;
        sigemptyset(&ending);
        for (const int signal : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&ending, signal);
        pthread_sigmask(SIG_BLOCK, &ending, &before);
        int provided = 0;
        MPI_Init_thread(&argc, &argv, MPI_THREAD_FUNNELED, &provided);
        pthread_sigmask(SIG_SETMASK, &before, nullptr);
    }
    MpiSession(const MpiSession&) = delete;
    MpiSession& operator=(const MpiSession&) = delete;
    ~MpiSession() { MPI_Finalize(); }
};

/// The ranks of an MPI communicator, which all make one at the same time. For the thread that called MPI_Init. What MPI
/// itself cannot do ends the program.
class MpiWorld final : public World {
public:
    explicit MpiWorld(MPI_Comm communicator = MPI_COMM_WORLD) : World(rank_in(communicator), size_of(communicator)) {
        MPI_Comm_dup(communicator, &communicator_);
    }
    ~MpiWorld() override { MPI_Comm_free(&communicator_); }

protected:
    void reduce(std::span<std::uint64_t> values, Operation operation) override {
        const MPI_Op op = operation == Operation::sum ? MPI_SUM : operation == Operation::minimum ? MPI_MIN : MPI_BXOR;
        for_each_piece(values, [&](std::span<std::uint64_t> piece) {
            MPI_Request request = MPI_REQUEST_NULL;
            MPI_Iallreduce(MPI_IN_PLACE, piece.data(), static_cast<int>(piece.size()), MPI_UINT64_T, op, communicator_,
                           &request);
            await(request);
        });
    }

    void broadcast(std::span<std::byte> bytes, std::size_t from) override {
        for_each_piece(bytes, [&](std::span<std::byte> piece) {
            MPI_Request request = MPI_REQUEST_NULL;
            MPI_Ibcast(piece.data(), static_cast<int>(piece.size()), MPI_BYTE, static_cast<int>(from), communicator_,
                       &request);
            await(request);
        });
    }

    std::string host() const override {
        std::array<char, MPI_MAX_PROCESSOR_NAME + 1> name{};
        int length = 0;
        MPI_Get_processor_name(name.data(), &length);
        return std::string(name.data(), static_cast<std::size_t>(length));
    }

private:
    static std::size_t rank_in(MPI_Comm communicator) {
        int rank = 0;
        MPI_Comm_rank(communicator, &rank);
        return static_cast<std::size_t>(rank);
    }
    static std::size_t size_of(MPI_Comm communicator) {
        int size = 1;
        MPI_Comm_size(communicator, &size);
        return static_cast<std::size_t>(size);
    }

    /// MPI counts by int.
    template <class T, class Use>
    static void for_each_piece(std::span<T> values, Use&& use) {
        constexpr std::size_t most = std::size_t{1} << 20;
        for (; !values.empty(); values = values.subspan(std::min(values.size(), most)))
            use(values.first(std::min(values.size(), most)));
    }

    /// Ranks may wait for each other for minutes, while their threads move bytes: MPI_Wait would keep a processor busy.
    static void await(MPI_Request& request) {
        using namespace std::chrono_literals;
        std::chrono::microseconds pause = 1us;
        for (int is_done = 0;;) {
            MPI_Test(&request, &is_done, MPI_STATUS_IGNORE);
            if (is_done) return;
            std::this_thread::sleep_for(pause);
            pause = std::min<std::chrono::microseconds>(2 * pause, 2ms);
        }
    }

    MPI_Comm communicator_ = MPI_COMM_NULL;
};

}  // namespace crossdock
