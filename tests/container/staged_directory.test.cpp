// SPDX-License-Identifier: Apache-2.0
#include "crossdock/container/staged_directory.hpp"

#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <exception>
#include <filesystem>
#include <new>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "crossdock/container/under_way.hpp"
#include "support/catch.hpp"
#include "support/temporary_directory.hpp"

using namespace crossdock;
using crossdock::test::read_file;
using crossdock::test::TemporaryDirectory;
using crossdock::test::write_file;
namespace fs = std::filesystem;

namespace {

std::set<std::string> names(const fs::path& directory) {
    std::set<std::string> out;
    for (const auto& entry : fs::directory_iterator(directory)) out.insert(entry.path().filename().string());
    return out;
}

/// A directory with one file of this content.
void make_model(const fs::path& path, const std::string& content) {
    fs::create_directories(path);
    write_file(path / "model", content);
}

/// What a run that is killed in the middle leaves: no destructor runs.
void run_and_be_killed(const fs::path& target, bool overwrite = false) {
    const pid_t child = ::fork();
    if (child == 0) {
        const StagedDirectory directory(target, overwrite);
        write_file(directory.path() / "half", "half");
        ::_exit(0);
    }
    ::waitpid(child, nullptr, 0);
}

}  // namespace

TEST_CASE("staged directory appears with commit", "[container][staged_directory]") {
    const TemporaryDirectory place;
    StagedDirectory directory(place / "out", false);
    write_file(directory.path() / "a", "A");
    fs::create_directory(directory.path() / "sub");
    write_file(directory.path() / "sub" / "b", "B");
    CHECK(names(place.path()) == std::set<std::string>{".out.crossdock-staging"});
    directory.commit();
    CHECK(names(place.path()) == std::set<std::string>{"out"});
    CHECK(read_file(place / "out/a") == "A");
    CHECK(read_file(place / "out/sub/b") == "B");
    CHECK(directory.notices().empty());
}

TEST_CASE("staged directory leaves nothing behind without commit", "[container][staged_directory]") {
    const TemporaryDirectory place;
    {
        const StagedDirectory directory(place / "new/deep/out", false);
        write_file(directory.path() / "a", "A");
        CHECK(fs::exists(place / "new/deep"));
    }
    CHECK(names(place.path()).empty());
}

TEST_CASE("staged directory is removed however many names it holds", "[container][staged_directory]") {
    const TemporaryDirectory place;
    {
        const StagedDirectory directory(place / "out", false);
        for (int i = 0; i < 300; ++i) write_file(directory.path() / (std::string(100, 'n') + std::to_string(i)), "");
    }
    CHECK(names(place.path()).empty());
}

TEST_CASE("a program that ends without destructors removes what it has under way", "[container][staged_directory]") {
    const TemporaryDirectory place;
    const pid_t child = ::fork();
    if (child == 0) {
        std::set_terminate([] {
            UnderWay::remove_all();
            ::_exit(3);
        });
        const StagedDirectory directory(place / "new/out", false);
        write_file(directory.path() / "half", "half");
        std::terminate();
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    CHECK(WEXITSTATUS(status) == 3);
    CHECK(names(place.path()).empty());
}

TEST_CASE("staged directory keeps parents that hold something else", "[container][staged_directory]") {
    const TemporaryDirectory place;
    {
        const StagedDirectory directory(place / "new/out", false);
        write_file(place / "new/other", "");
    }
    CHECK(names(place / "new") == std::set<std::string>{"other"});
}

TEST_CASE("staged directory makes missing parents", "[container][staged_directory]") {
    const TemporaryDirectory place;
    StagedDirectory(place / "new/deep/out/", false).commit();
    CHECK(fs::is_directory(place / "new/deep/out"));
}

TEST_CASE("staged directory takes the place of an empty directory", "[container][staged_directory]") {
    const TemporaryDirectory place;
    fs::create_directory(place / "out");
    StagedDirectory directory(place / "out", false);
    write_file(directory.path() / "a", "A");
    directory.commit();
    CHECK(names(place / "out") == std::set<std::string>{"a"});
}

TEST_CASE("staged directory refuses an existing target", "[container][staged_directory]") {
    const TemporaryDirectory place;
    make_model(place / "out", "old");
    write_file(place / "file", "old");
    const std::string refusal = ": exists already; choose another target or give the option overwrite";
    CHECK_THROWS_WITH(StagedDirectory(place / "out", false), (place / "out").string() + refusal);
    CHECK(names(place.path()) == std::set<std::string>{"file", "out"});
}

TEST_CASE("staged directory overwrites with commit and not before", "[container][staged_directory]") {
    const TemporaryDirectory place;
    make_model(place / "out", "old");
    write_file(place / "out" / "stale", "old");
    StagedDirectory directory(place / "out", true);
    write_file(directory.path() / "model", "new");
    CHECK(read_file(place / "out/model") == "old");
    directory.commit();
    CHECK(read_file(place / "out/model") == "new");
    CHECK(names(place / "out") == std::set<std::string>{"model"});
    CHECK(names(place.path()) == std::set<std::string>{"out"});
}

TEST_CASE("staged directory never takes the place of what is no directory", "[container][staged_directory]") {
    const TemporaryDirectory place;
    write_file(place / "notes.txt", "precious");
    fs::create_symlink(place / "notes.txt", place / "link");
    REQUIRE(::mkfifo((place / "pipe").c_str(), 0600) == 0);
    const std::string refusal = ": is there and is no directory; choose another target";
    for (const bool overwrite : {false, true}) {
        for (const char* name : {"notes.txt", "pipe"})
            CHECK_THROWS_WITH(StagedDirectory(place / name, overwrite), (place / name).string() + refusal);
        CHECK_THROWS_WITH(StagedDirectory(place / "link", overwrite), (place / "notes.txt").string() + refusal);
    }
    CHECK(read_file(place / "notes.txt") == "precious");
    CHECK(names(place.path()) == std::set<std::string>{"link", "notes.txt", "pipe"});
}

TEST_CASE("staged directory leaves a file that came while it was written", "[container][staged_directory]") {
    const TemporaryDirectory place;
    {
        StagedDirectory directory(place / "out", true);
        write_file(directory.path() / "model", "new");
        write_file(place / "out", "precious");
        CHECK_THROWS_WITH(directory.commit(),
                          (place / "out").string() + ": came into being during this run; it is left as it is");
    }
    CHECK(read_file(place / "out") == "precious");
    CHECK(names(place.path()) == std::set<std::string>{"out"});
}

TEST_CASE("staged directory leaves the old target where it is not committed", "[container][staged_directory]") {
    const TemporaryDirectory place;
    make_model(place / "out", "old");
    { const StagedDirectory directory(place / "out", true); }
    CHECK(read_file(place / "out/model") == "old");
    CHECK(names(place.path()) == std::set<std::string>{"out"});
}

TEST_CASE("staged directory leaves a target that came into being meanwhile", "[container][staged_directory]") {
    const TemporaryDirectory place;
    {
        StagedDirectory directory(place / "out", false);
        make_model(place / "out", "theirs");
        CHECK_THROWS_WITH(directory.commit(),
                          (place / "out").string() + ": came into being during this run; it is left as it is");
    }
    CHECK(read_file(place / "out/model") == "theirs");
    CHECK(names(place.path()) == std::set<std::string>{"out"});
}

TEST_CASE("staged directory replaces what a link points to", "[container][staged_directory]") {
    const TemporaryDirectory place;
    fs::create_directories(place / "disk/real");
    fs::create_directory_symlink(place / "disk/real", place / "out");
    StagedDirectory directory(place / "out", false);
    write_file(directory.path() / "a", "A");
    directory.commit();
    CHECK(fs::is_symlink(place / "out"));
    CHECK(read_file(place / "disk/real/a") == "A");
    CHECK(names(place / "disk") == std::set<std::string>{"real"});
}

TEST_CASE("staged directory refuses a link to nothing", "[container][staged_directory]") {
    const TemporaryDirectory place;
    fs::create_directory_symlink(place / "nowhere", place / "out");
    CHECK_THROWS_WITH(StagedDirectory(place / "out", true),
                      (place / "out").string() + ": is a link to nothing; remove it or choose another target");
}

TEST_CASE("staged directory refuses to overwrite the current directory", "[container][staged_directory]") {
    const TemporaryDirectory place;
    make_model(place / "out", "old");
    fs::create_directory(place / "out/here");
    const fs::path before = fs::current_path();
    fs::current_path(place / "out/here");
    CHECK_THROWS_WITH(StagedDirectory(place / "out", true),
                      (place / "out").string() + ": is not overwritten while it is or holds the current directory");
    fs::current_path(before);
    CHECK_THROWS_WITH(StagedDirectory("/", true), "/: is no name for a new directory");
}

TEST_CASE("staged directory refuses a second run on the same target", "[container][staged_directory]") {
    const TemporaryDirectory place;
    std::optional<StagedDirectory> first(std::in_place, place / "out", false);
    write_file(first->path() / "a", "A");
    const std::string staging = (place / ".out.crossdock-staging").string();
    CHECK_THROWS_WITH(StagedDirectory(place / "out", false), (place / "out").string() +
                                                                 ": another run is writing it (" + staging +
                                                                 " is locked); wait for it or choose another target");
    CHECK(read_file(first->path() / "a") == "A");
    const StagedDirectory elsewhere(place / "out2", false);
    first.reset();
    CHECK_NOTHROW(StagedDirectory(place / "out", false));
}

TEST_CASE("staged directory removes what a killed run left, and says so", "[container][staged_directory]") {
    const TemporaryDirectory place;
    run_and_be_killed(place / "out");
    CHECK(names(place.path()) == std::set<std::string>{".out.crossdock-staging"});
    StagedDirectory directory(place / "out", false);
    CHECK(names(directory.path()).empty());
    CHECK(directory.notices() == std::vector<std::string>{(place / ".out.crossdock-staging").string() +
                                                          ": removed what a run that did not end left there"});
    directory.commit();
    CHECK(names(place.path()) == std::set<std::string>{"out"});
}

TEST_CASE("staged directory puts back what a killed run had moved aside", "[container][staged_directory]") {
    const TemporaryDirectory place;
    run_and_be_killed(place / "out");
    make_model(place / ".out.crossdock-staging/replaced", "old");
    CHECK_THROWS_WITH(
        StagedDirectory(place / "out", false),
        (place / "out").string() + ": exists already; choose another target or give the option overwrite");
    CHECK(read_file(place / "out/model") == "old");
}

TEST_CASE("staged directory refuses a staging path that is a link", "[container][staged_directory]") {
    const TemporaryDirectory place;
    make_model(place / "precious/files", "precious");
    fs::create_directory_symlink(place / "precious", place / ".out.crossdock-staging");
    CHECK_THROWS_WITH(StagedDirectory(place / "out", false),
                      (place / ".out.crossdock-staging").string() + ": is not a directory; remove it");
    CHECK(read_file(place / "precious/files/model") == "precious");
}

TEST_CASE("staged directory says what cannot be created", "[container][staged_directory]") {
    const TemporaryDirectory place;
    write_file(place / "file", "");
    CHECK_THROWS_WITH(StagedDirectory(place / "file/out", false),
                      Catch::Matchers::ContainsSubstring("Not a directory"));
    const std::string long_name(250, 'x');
    CHECK_THROWS_WITH(StagedDirectory(place / "new" / long_name, false),
                      Catch::Matchers::ContainsSubstring("cannot be created: File name too long"));
    CHECK(names(place.path()) == std::set<std::string>{"file"});
}

TEST_CASE("source and target are required to be separate", "[container][staged_directory]") {
    const TemporaryDirectory place;
    make_model(place / "a/source", "x");
    fs::create_directory_symlink(place / "a/source", place / "link");
    const std::string source = (place / "a/source").string();
    CHECK_NOTHROW(require_separate(source, place / "a/target"));
    CHECK_NOTHROW(require_separate(source, place / "a/source2"));
    CHECK_NOTHROW(require_separate(source, place / "new/deep"));
    for (const char* same : {"a/source", "link", "a/../a/./source/", "link/"})
        CHECK_THROWS_WITH(require_separate(source, place / same),
                          (place / same).string() + ": is the source itself; choose another target");
    for (const char* inside : {"a/source/out", "link/new/out"})
        CHECK_THROWS_WITH(require_separate(source, place / inside),
                          (place / inside).string() + ": lies in the source " + source + "; choose another target");
    CHECK_THROWS_WITH(
        require_separate(place / "link/model", place / "a"),
        (place / "a").string() + ": holds the source " + (place / "link/model").string() + "; choose another target");
    CHECK_THROWS_WITH(require_separate(place / "absent", place / "a"),
                      (place / "absent").string() + ": does not exist");
}

TEST_CASE("what cannot be removed of a failed run is told", "[container][staged_directory]") {
    const TemporaryDirectory place;
    std::vector<std::string> told;
    std::optional<StagedDirectory> directory;
    directory.emplace(place / "out", false, World::alone(),
                      Staging{.left_behind = [&](const std::string& leftover) { told.push_back(leftover); }});
    write_file(directory->path() / "half", "half");
    struct rlimit before {};
    REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
    const struct rlimit none { 0, before.rlim_max };  // no directory can be listed
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &none) == 0);
    directory.reset();
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &before) == 0);
    CHECK(told == std::vector{(place / ".out.crossdock-staging").string() +
                              ": could not be removed; remove it: Too many open files"});
    CHECK(fs::exists(place / ".out.crossdock-staging/files/half"));
    CHECK_FALSE(fs::exists(place / "out"));
    StagedDirectory(place / "out", false).commit();
    CHECK(names(place.path()) == std::set<std::string>{"out"});
}

TEST_CASE("an error after a target is in its place says so", "[container][staged_directory]") {
    CHECK_THROWS_WITH(when_in_place("a power cut may undo that", [] { throw Error("/a: cannot be flushed"); }),
                      "the target is complete and in its place, but a power cut may undo that: /a: cannot be flushed");
    CHECK_THROWS_WITH(when_in_place("nobody hears of it", [] { throw std::bad_alloc(); }),
                      "the target is complete and in its place, but nobody hears of it: out of memory");
    CHECK(when_in_place("nobody hears of it", [] { return 3; }) == 3);
}
