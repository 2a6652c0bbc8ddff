// SPDX-License-Identifier: Apache-2.0
// What a caller in C++ has to expect: crossdock::Error and no exception of a library's, whatever stands in a path's way.
// Tests run as root as well, so forbidden folders are left to tests/fault.
#include <pthread.h>
#include <unistd.h>

#include <chrono>
#include <cstddef>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "crossdock/container/files_world.hpp"
#include "crossdock/pipeline/convert.hpp"
#include "crossdock/pipeline/digest.hpp"
#include "crossdock/pipeline/inspect.hpp"
#include "crossdock/pipeline/statistics.hpp"
#include "crossdock/pipeline/verify.hpp"
#include "support/altered_loader.hpp"
#include "support/catch.hpp"
#include "support/conversion.hpp"
#include "support/one_in.hpp"
#include "support/temporary_directory.hpp"

using namespace crossdock;
using namespace crossdock::test;
using Catch::Matchers::ContainsSubstring;
namespace fs = std::filesystem;

namespace {

const std::string long_name(300, 'x');

/// Paths that lead nowhere, each for another reason; `place` has what they need.
std::vector<fs::path> impossible_paths(const TemporaryDirectory& place) {
    write_file(place / "file", "");
    fs::create_symlink("circle", place / "circle");
    std::string far = place.path().string();
    while (far.size() < 5000) far += "/folder";
    return {place / "circle", place / "circle/below", place / "file/below", place / long_name, far};
}

const std::vector<std::pair<std::string, std::string>>& checkpoints() {
    static const std::vector<std::pair<std::string, std::string>> all{
        {"llama", "hf/llama-sharded"},
        {"llama", "hf/llama3.2-tied-bin-legacy"},
        {"llama", "meta/llama2-gqa-mp2"},
        {"megatron", "megatron-core/llama2-gqa-local-tp2pp2"},
        {"megatron", "megatron-dist/llama3.2-tied-mcore0.19-tp2"},
        {"megatron", "megatron-dist/gpt-mcore0.16-pp2"}};
    return all;
}

/// All that is in a directory, as paths from it.
std::vector<fs::path> content_of(const fs::path& directory) {
    std::vector<fs::path> all;
    for (const auto& entry : fs::recursive_directory_iterator(directory))
        all.push_back(fs::relative(entry.path(), directory));
    return all;
}

/// All that can be done with a checkpoint, each by itself; what stops it is an Error, or the test ends.
void use_in_every_way(const std::string& loader, const fs::path& directory) {
    const TemporaryDirectory scratch;
    refusal([&] { recognise(directory); });
    refusal([&] { inspect(*load(loader, directory)); });
    refusal([&] { digest(*load(loader, directory), {.threads = 1}); });
    refusal([&] { statistics(*load(loader, directory), {.threads = 1}); });
    refusal([&] { verify(*load(loader, directory), *load(loader, directory), {.threads = 1}); });
    refusal([&] {
        const auto from = load(loader, directory);
        const auto to = make_saver("megatron", {{"save_dir", (scratch / "out").string()}});
        convert(*from, *to, {.threads = 1});
    });
}

}  // namespace

TEST_CASE("a checkpoint at a path that leads nowhere is an error that names the path", "[pipeline]") {
    const TemporaryDirectory place;
    for (const fs::path& path : impossible_paths(place)) {
        for (const std::string& loader : loader_names())
            CHECK_THAT(refusal([&] { load(loader, path); }), ContainsSubstring(path.string()));
        refusal([&] { recognise(path); });
    }
}

TEST_CASE("a target at a path that leads nowhere is an error that names it", "[pipeline]") {
    const TemporaryDirectory place;
    AlteredLoader model(small_header(), 1);
    for (const fs::path& path : impossible_paths(place))
        for (const char* saver : {"llama", "megatron"})
            for (const char* overwrite : {"0", "1"}) {
                const auto to = make_saver(saver, {{"save_dir", (path / "out").string()}, {"overwrite", overwrite}});
                CHECK_THAT(refusal([&] { convert(model, *to, {.threads = 1}); }), ContainsSubstring(path.string()));
            }
}

TEST_CASE("options that name files which cannot be are errors that name them", "[pipeline]") {
    const TemporaryDirectory place;
    AlteredLoader model(small_header(), 1);
    for (const fs::path& path : impossible_paths(place)) {
        const auto to = make_saver("llama", {{"save_dir", (place / "out").string()}, {"config", path.string()}});
        CHECK_THAT(refusal([&] { convert(model, *to, {.threads = 1}); }), ContainsSubstring(path.string()));
        CHECK_THAT(refusal([&] {
                       load("megatron", golden("megatron-core/gpt-tp1"), {{"vocab_file", path.string()}});
                   }),
                   ContainsSubstring(path.string()));
    }
}

TEST_CASE("each part of a checkpoint may be a link in a circle, or to a name that is too long", "[pipeline]") {
    std::size_t number = 0;
    for (const auto& [loader, name] : checkpoints())
        for (const fs::path& part : content_of(golden(name)))
            for (const std::string& leads_to : {part.filename().string(), long_name}) {
                if (number++ % one_in != 0) continue;
                const TemporaryDirectory scratch;
                const fs::path folder = copied(name, scratch);
                fs::remove_all(folder / part);
                fs::create_symlink(leads_to, folder / part);
                INFO(name << ": " << part << " leads to " << leads_to);
                CHECK_NOTHROW(use_in_every_way(loader, folder));
            }
}

TEST_CASE("a checkpoint's part that cannot be looked at is named", "[pipeline]") {
    const TemporaryDirectory scratch;
    const auto refused = [&](const std::string& loader, const std::string& name, const std::string& part) {
        const fs::path folder = copied(name, scratch);
        fs::remove_all(folder / part);
        fs::create_symlink(fs::path(part).filename(), folder / part);
        CHECK(refusal([&] { load(loader, folder); }) ==
              (folder / part).string() + ": cannot be read: Too many levels of symbolic links");
        fs::remove_all(folder);
    };
    refused("llama", "hf/llama2-gqa", "config.json");
    refused("llama", "hf/llama2-gqa", "crossdock.json");
    refused("llama", "hf/llama-sharded", "model.safetensors");
    refused("megatron", "megatron-dist/gpt-mcore0.16-pp2", "latest_checkpointed_iteration.txt");
}

TEST_CASE("a folder that is to be overwritten may hold a link in a circle", "[pipeline]") {
    const TemporaryDirectory place;
    fs::create_directory(place / "out");
    fs::create_symlink("config.json", place / "out/config.json");
    AlteredLoader model(small_header(), 1);
    const auto to = make_saver("llama", {{"save_dir", (place / "out").string()}, {"overwrite", "1"}});
    CHECK_THAT(refusal([&] { convert(model, *to); }), ContainsSubstring((place / "out/config.json").string()));
    CHECK(fs::is_symlink(place / "out/config.json"));
}

TEST_CASE("a current directory that is gone is an error where a path is relative, and nothing elsewhere",
          "[pipeline]") {
    const fs::path before = fs::current_path();
    const TemporaryDirectory place;
    AlteredLoader model(small_header(), 1);
    const auto to = [](const fs::path& path) {
        return make_saver("llama", {{"save_dir", path.string()}, {"overwrite", "1"}});
    };
    convert(model, *to(place / "absolute"));
    fs::create_directory(place / "gone");
    fs::current_path(place / "gone");
    fs::remove(place / "gone");
    const std::string relative = refusal([&] { convert(model, *to("relative")); });
    const std::string absolute = refusal([&] { convert(model, *to(place / "absolute")); });
    fs::current_path(before);
    CHECK_THAT(relative, ContainsSubstring("relative: cannot be resolved: No such file or directory"));
    CHECK(absolute.empty());
}

#ifndef CROSSDOCK_SANITIZED  // whose own threads need a stack as well

namespace {

/// While it lives no thread can be made: each would get a stack that is larger than all addresses.
class NoThreads {
public:
    NoThreads() {
        ::pthread_getattr_default_np(&before_);
        pthread_attr_t huge;
        ::pthread_attr_init(&huge);
        ::pthread_attr_setstacksize(&huge, std::size_t{1} << 47);
        ::pthread_setattr_default_np(&huge);
        ::pthread_attr_destroy(&huge);
    }
    NoThreads(const NoThreads&) = delete;
    NoThreads& operator=(const NoThreads&) = delete;
    ~NoThreads() {
        ::pthread_setattr_default_np(&before_);
        ::pthread_attr_destroy(&before_);
    }

private:
    pthread_attr_t before_{};
};

}  // namespace

TEST_CASE("a system without threads is an error that says what to do", "[pipeline]") {
    const TemporaryDirectory place;
    AlteredLoader model(small_header(), 1), other(small_header(), 1);
    const auto to = make_saver("llama", {{"save_dir", (place / "out").string()}});
    std::vector<std::string> said;
    {
        const NoThreads none_left;
        said.push_back(refusal([&] { convert(model, *to); }));
        said.push_back(refusal([&] { verify(model, other); }));
        said.push_back(refusal([&] { digest(model); }));
        said.push_back(refusal([&] { statistics(model); }));
        said.push_back(refusal([&] { FilesWorld(place / "meeting", 0, 1, std::chrono::seconds(1)); }));
    }
    CHECK(said ==
          std::vector<std::string>(5, "the system has no more threads; give the option threads a smaller number"));
    CHECK(!fs::exists(place / "out"));
    CHECK(digest(model).list.model == digest(other).list.model);
}

#endif
