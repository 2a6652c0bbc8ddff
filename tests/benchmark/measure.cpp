// SPDX-License-Identifier: Apache-2.0
// measure GIGABYTES COMMAND...: runs the command and prints, on one line, wall seconds, CPU seconds (user and system), peak
// resident memory in MiB, calls that read and the bytes they got, calls that wrote and their bytes, and context switches.
//
// Touches that much memory first and gives it back: a virtual machine may have handed its free memory to its host, and
// whoever writes first would pay for getting it again.

#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <map>
#include <string>

namespace {

void touch(double gigabytes) {
    const auto bytes = static_cast<std::size_t>(gigabytes * 1e9);
    void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) return;
    std::memset(memory, 1, bytes);
    munmap(memory, bytes);
}

double seconds(const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
}

/// What the kernel has counted of a process that has ended, and of the children that it waited for: proc(5), "io".
std::map<std::string, unsigned long long> counts_of(pid_t process) {
    std::map<std::string, unsigned long long> counts;
    std::ifstream file("/proc/" + std::to_string(process) + "/io");
    std::string name;
    unsigned long long count = 0;
    while (file >> name >> count) counts[name] = count;
    return counts;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc < 3) {
        std::fputs("usage: measure GIGABYTES COMMAND...\n", stderr);
        return 2;
    }
    touch(std::atof(argv[1]));
    const auto begin = std::chrono::steady_clock::now();
    const pid_t child = fork();
    if (child == 0) {
        execvp(argv[2], argv + 2);
        std::perror(argv[2]);
        _exit(127);
    }
    siginfo_t ended{};
    // Not yet reaped: what was counted is there as long as the process is.
    if (child < 0 || waitid(P_PID, static_cast<id_t>(child), &ended, WEXITED | WNOWAIT) != 0) return 1;
    const std::chrono::duration<double> wall = std::chrono::steady_clock::now() - begin;
    auto counts = counts_of(child);
    int status = 0;
    rusage usage{};
    if (wait4(child, &status, 0, &usage) != child) return 1;
    std::printf("%.4f %.4f %.1f %llu %llu %llu %llu %ld\n", wall.count(),
                seconds(usage.ru_utime) + seconds(usage.ru_stime), static_cast<double>(usage.ru_maxrss) / 1024,
                counts["syscr:"], counts["rchar:"], counts["syscw:"], counts["wchar:"],
                usage.ru_nvcsw + usage.ru_nivcsw);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
