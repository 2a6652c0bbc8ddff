// SPDX-License-Identifier: Apache-2.0
// transfers DIRECTORY [GIGABYTES [MOST_THREADS]]: moves tensors from a file to files with 1, 2, 4 … threads and prints,
// for each way of cutting them, a Markdown table of
//
//   GB/s          of wall-clock time; on a machine with more cores than threads, this is how it scales
//   CPU s/GB      user and system; what rises with the threads is what they cost each other
//   waits/GB      voluntary context switches: a thread had to sleep for a lock, for work, or for the disk
//   switches/GB   involuntary ones, which more threads than cores bring along
//
// With many more threads than cores the last three say what a large machine's cores would do to each other. DIRECTORY
// should be on tmpfs (/dev/shm), so that no disk hides it; twice the gigabytes must be free there.

#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <functional>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "crossdock/container/output_file.hpp"
#include "crossdock/container/safetensors/writer.hpp"
#include "crossdock/container/transfer_pool.hpp"
#include "crossdock/core/recipe.hpp"

namespace {

using namespace crossdock;
namespace fs = std::filesystem;

struct Use {
    double wall = 0, cpu = 0;
    long waits = 0, switches = 0;
};

Use used_so_far() {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    const auto seconds = [](const timeval& time) {
        return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
    };
    const std::chrono::duration<double> now = std::chrono::steady_clock::now().time_since_epoch();
    return {now.count(), seconds(usage.ru_utime) + seconds(usage.ru_stime), usage.ru_nvcsw, usage.ru_nivcsw};
}

/// Tensors of one group, and the number of the file that each goes to.
struct Moved {
    Tensor tensor;
    std::size_t file = 0;
};
using Groups = std::vector<std::vector<Moved>>;

/// A way to cut the source, which is 64 matrices of bf16.
struct Way {
    std::string name;
    std::function<void(const Tensor& matrix, std::size_t number, Groups& groups)> cut;
};

constexpr std::size_t matrices = 64, files = 8;

std::vector<Way> ways() {
    const auto shards = [](const Tensor& matrix, std::size_t axis) {
        std::vector<Moved> group;
        const std::uint64_t extent = matrix.shape()[axis];
        for (std::size_t i = 0; i < files; ++i)
            group.push_back({slice(matrix, axis, extent * i / files, extent * (i + 1) / files), i});
        return group;
    };
    return {{"to one file",
             [](const Tensor& matrix, std::size_t, Groups& groups) {
                 groups.push_back({{matrix, 0}});
             }},
            {"to 8 files, one after the other",
             [](const Tensor& matrix, std::size_t number, Groups& groups) {
                 groups.push_back({{matrix, number * files / matrices}});
             }},
            {"rows to 8 ranks",
             [=](const Tensor& matrix, std::size_t, Groups& groups) { groups.push_back(shards(matrix, 0)); }},
            {"columns to 8 ranks",
             [=](const Tensor& matrix, std::size_t, Groups& groups) { groups.push_back(shards(matrix, 1)); }},
            {"transposed, to 8 files, one after the other",
             [](const Tensor& matrix, std::size_t number, Groups& groups) {
                 groups.push_back({{transpose(matrix), number * files / matrices}});
             }},
            {"in pieces of 8 KiB, to 8 files", [](const Tensor& matrix, std::size_t number, Groups& groups) {
                 const Tensor flat = reshape(matrix, {matrix.element_count()});
                 for (std::uint64_t at = 0; at < flat.element_count(); at += 4096)
                     groups.push_back(
                         {{slice(flat, 0, at, std::min(at + 4096, flat.element_count())), number * files / matrices}});
             }}};
}

void move(const Groups& groups, const fs::path& directory, std::size_t threads) {
    std::vector<std::unique_ptr<safetensors::Writer>> writers;
    for (std::size_t i = 0; i < files; ++i)
        writers.push_back(
            std::make_unique<safetensors::Writer>(directory / std::to_string(i), std::uint64_t{64} << 20));
    TransferPool pool(threads);
    std::size_t name = 0;
    for (const std::vector<Moved>& group : groups) {
        std::vector<Transfer> transfers;
        for (const Moved& one : group) {
            const std::string called = std::to_string(name++);
            transfers.push_back(
                {one.tensor, writers[one.file]->add(called, one.tensor.dtype(), one.tensor.shape()), called});
        }
        pool.submit(std::move(transfers));
    }
    pool.wait();
}

void print_row(std::size_t threads, double gigabytes, const Use& before, const Use& after) {
    const auto per_gigabyte = [=](long from, long to) { return static_cast<double>(to - from) / gigabytes; };
    std::printf("| %zu | %.2f | %.2f | %.0f | %.0f |\n", threads, gigabytes / (after.wall - before.wall),
                (after.cpu - before.cpu) / gigabytes, per_gigabyte(before.waits, after.waits),
                per_gigabyte(before.switches, after.switches));
    std::fflush(stdout);
}

/// A file of so many bytes, whose pages are there.
void fill(const fs::path& path, std::uint64_t bytes) {
    OutputFile file(path);
    const std::vector<std::byte> block(std::size_t{1} << 20, std::byte{42});
    for (std::uint64_t at = 0; at < bytes; at += block.size())
        file.write(at, std::span(block).first(std::min<std::uint64_t>(block.size(), bytes - at)));
}

void run(const fs::path& directory, double gigabytes, std::size_t most_threads) {
    const std::uint64_t columns = 2048;
    const auto rows = static_cast<std::uint64_t>(gigabytes * 1e9 / (matrices * columns * 2)) / files * files;
    const std::uint64_t matrix_bytes = rows * columns * 2;
    const double moved = static_cast<double>(matrices * matrix_bytes) / 1e9;
    fill(directory / "source", matrices * matrix_bytes);
    const auto source = std::make_shared<FileSource>(directory / "source");
    for (const Way& way : ways()) {
        Groups groups;
        for (std::size_t i = 0; i < matrices; ++i)
            way.cut(region(source, i * matrix_bytes, DType::bf16, {rows, columns}), i, groups);
        std::printf("\n%s\n\n| threads | GB/s | CPU s/GB | waits/GB | switches/GB |\n|---|---|---|---|---|\n",
                    way.name.c_str());
        for (std::size_t threads = 1; threads <= most_threads; threads *= 2) {
            const fs::path target = directory / "target";
            fs::create_directory(target);
            const Use before = used_so_far();
            move(groups, target, threads);
            print_row(threads, moved, before, used_so_far());
            fs::remove_all(target);
        }
    }
    fs::remove(directory / "source");
}

}  // namespace

int main(int argc, char** argv) {
    const double gigabytes = argc > 2 ? std::atof(argv[2]) : 1;
    const auto most_threads = static_cast<std::size_t>(argc > 3 ? std::atoi(argv[3]) : 16);
    if (argc < 2 || argc > 4 || gigabytes < 0.01 || most_threads == 0) {
        std::cerr << "usage: transfers DIRECTORY [GIGABYTES [MOST_THREADS]]\n";
        return 2;
    }
    try {
        run(argv[1], gigabytes, most_threads);
    } catch (const std::exception& problem) {
        std::cerr << "transfers: " << problem.what() << '\n';
        return 1;
    }
}
