// SPDX-License-Identifier: Apache-2.0
#include "crossdock/container/access.hpp"

#include <filesystem>

#include "crossdock/container/disk_space.hpp"
#include "crossdock/core/error.hpp"
#include "support/catch.hpp"
#include "support/temporary_directory.hpp"

using namespace crossdock;
using Catch::Matchers::ContainsSubstring;
using crossdock::test::TemporaryDirectory;
using crossdock::test::write_file;
namespace fs = std::filesystem;

TEST_CASE("a target is for nobody who could not read its source", "[container]") {
    const TemporaryDirectory place;
    fs::create_directory(place / "model");
    write_file(place / "model/weights", "");
    const auto access = [&](unsigned directory, unsigned file) {
        fs::permissions(place / "model/weights", fs::perms(file));
        fs::permissions(place / "model", fs::perms(directory));
        return access_of(place / "model");
    };
    CHECK(access(0755, 0644) == 0755);
    CHECK(access(0755, 0640) == 0750);
    CHECK(access(0755, 0600) == 0700);
    CHECK(access(0700, 0644) == 0700);
    CHECK(access(0775, 0664) == 0775);
    CHECK(access_of("") == 0777);
}

TEST_CASE("more than the disk has room for is refused by number", "[container]") {
    const TemporaryDirectory place;
    const auto free = free_space(place / "not/there/yet");
    REQUIRE(free.has_value());
    CHECK_NOTHROW(require_space(place.path(), 0));
    CHECK_THROWS_WITH(require_space(place.path(), ~std::uint64_t{0}),
                      ContainsSubstring("18446744073709551615 bytes are to be written, the disk has ") &&
                          ContainsSubstring(" bytes free; make room or choose a target on another disk"));
}
