// SPDX-License-Identifier: Apache-2.0
#include "crossdock/core/processors.hpp"

#include <sched.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "support/catch.hpp"
#include "support/temporary_directory.hpp"

using namespace crossdock;
using crossdock::test::TemporaryDirectory;

namespace {

void write(const std::filesystem::path& path, const std::string& text) {
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path) << text;
}

}  // namespace

TEST_CASE("processors are granted by the strictest control group on the way", "[core][processors]") {
    const TemporaryDirectory root;
    CHECK_FALSE(detail::granted_processors(root.path(), "/slurm/job"));
    write(root / "slurm/job/step/cpu.max", "max 100000\n");
    CHECK_FALSE(detail::granted_processors(root.path(), "/slurm/job/step"));
    write(root / "slurm/job/cpu.max", "250000 100000\n");
    CHECK(detail::granted_processors(root.path(), "/slurm/job/step") == 3);
    write(root / "slurm/cpu.max", "50000 100000\n");
    CHECK(detail::granted_processors(root.path(), "/slurm/job/step") == 1);
    CHECK_FALSE(detail::granted_processors(root.path(), "/other"));
}

TEST_CASE("processors are granted by control groups of version 1, too", "[core][processors]") {
    const TemporaryDirectory root;
    write(root / "cpu/docker/cpu.cfs_quota_us", "-1\n");
    write(root / "cpu/docker/cpu.cfs_period_us", "100000\n");
    CHECK_FALSE(detail::granted_processors(root.path(), "/docker"));
    write(root / "cpu/docker/cpu.cfs_quota_us", "400000\n");
    CHECK(detail::granted_processors(root.path(), "/docker") == 4);
    write(root / "cpu/cpu.cfs_quota_us", "200000\n");  // a container sees its own group as the root
    write(root / "cpu/cpu.cfs_period_us", "100000\n");
    CHECK(detail::granted_processors(root.path(), "/docker/somewhere/else") == 2);
}

TEST_CASE("the control group of a process is that of its processors", "[core][processors]") {
    const TemporaryDirectory directory;
    const auto group = [&](const std::string& text) {
        write(directory / "cgroup", text);
        return detail::control_group(directory / "cgroup").string();
    };
    CHECK(group("0::/user.slice/job 7\n") == "/user.slice/job 7");
    CHECK(group("9:memory:/a\n4:cpu,cpuacct:/b\n0::/c\n") == "/b");
    CHECK(group("0::/c\n3:cpuset:/d\n1:cpu:/e\n") == "/e");
    CHECK(group("9:memory:/a\n").empty());
    CHECK(detail::control_group(directory / "nothing").empty());
}

TEST_CASE("processors that the process is not bound to do not count", "[core][processors]") {
    cpu_set_t before, one;
    REQUIRE(::sched_getaffinity(0, sizeof before, &before) == 0);
    const std::size_t all = available_processors();
    CHECK(all >= 1);
    CHECK(all <= static_cast<std::size_t>(CPU_COUNT(&before)));
    std::size_t first = 0;
    while (!CPU_ISSET(first, &before)) ++first;
    CPU_ZERO(&one);
    CPU_SET(first, &one);
    REQUIRE(::sched_setaffinity(0, sizeof one, &one) == 0);
    CHECK(available_processors() == 1);
    REQUIRE(::sched_setaffinity(0, sizeof before, &before) == 0);
}
