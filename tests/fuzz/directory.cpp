// SPDX-License-Identifier: Apache-2.0
// Converts whole checkpoint folders of which one file is anything: config.json, an index, crossdock.json, params.json,
// a tracker, the header of a safetensors file, the pickle of a torch file. A folder may be refused with an Error, and
// then nothing stays behind; or it is converted, and then the target is read again and holds the same model.
//
//   clang++ -std=c++20 -g -O1 -fsanitize=fuzzer,address,undefined -Iinclude tests/fuzz/directory.cpp -ldeflate \
//       -lpthread -o fuzz-directory
//   ./fuzz-directory --seeds=seeds        writes an input for each file of each folder, as it is
//   ./fuzz-directory corpus seeds
//
// An input is a byte that says which folder of tests/data and which target, a byte that says which file, and its
// content.

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "crossdock/container/little_endian.hpp"
#include "crossdock/container/zip/reader.hpp"
#include "crossdock/container/zip/writer.hpp"
#include "crossdock/family/llama/hub.hpp"
#include "crossdock/pipeline/convert.hpp"
#include "crossdock/pipeline/inspect.hpp"
#include "crossdock/pipeline/verify.hpp"
#include "crossdock/plugin/llama.hpp"
#include "crossdock/plugin/megatron.hpp"
#include "inputs.hpp"

using namespace crossdock;
using namespace crossdock::test;
namespace fs = std::filesystem;

namespace {

using HubLoader = FamilyLoader<llama_family>;
using HubSaver = FamilySaver<llama_family>;

std::unique_ptr<AnyLoader> load_hub(const fs::path& folder) {
    return make_any_loader<HubLoader>(FamilyLoaderOptions{.load_dir = folder});
}
std::unique_ptr<AnyLoader> load_megatron(const fs::path& folder) {
    return make_any_loader<MegatronLoader>(MegatronLoaderOptions{.load_dir = folder});
}
std::unique_ptr<AnySaver> save_hub(const fs::path& folder) {
    return make_any_saver<HubSaver>(FamilySaverOptions{.save_dir = folder});
}
std::unique_ptr<AnySaver> save_megatron(const fs::path& folder) {
    return make_any_saver<MegatronCoreSaver>(MegatronCoreSaverOptions{.save_dir = folder});
}

/// A folder that a real tool made, and where it goes.
struct Way {
    std::string_view folder;
    std::unique_ptr<AnyLoader> (*load)(const fs::path&);
    std::unique_ptr<AnySaver> (*save)(const fs::path&);
    std::unique_ptr<AnyLoader> (*load_again)(const fs::path&);
};

constexpr std::array ways{
    Way{"hf/llama2-gqa", load_hub, save_hub, load_hub},
    Way{"hf/llama-sharded", load_hub, save_megatron, load_megatron},
    Way{"meta/llama2-gqa-mp2", load_hub, save_hub, load_hub},
    Way{"megatron-llm/llama2-gqa-tp2", load_megatron, save_hub, load_hub},
    Way{"megatron-core/llama2-gqa-local-tp2", load_megatron, save_megatron, load_megatron},
    Way{"megatron-lm/llama2-gqa-tp1", load_megatron, save_hub, load_hub},
};

/// Copies of the folders, and room for an input; in memory where that can be.
class Workplace {
public:
    Workplace() {
        const fs::path memory = "/dev/shm";
        std::string name =
            ((::access(memory.c_str(), W_OK) == 0 ? memory : fs::temp_directory_path()) / "crossdock-fuzz-XXXXXX")
                .string();
        if (!::mkdtemp(name.data())) fail("there is no room for folders");
        root_ = name;
        for (std::size_t i = 0; i < ways.size(); ++i) {
            fs::copy(fs::path("tests/data") / ways[i].folder, original(i), fs::copy_options::recursive);
            if (!fs::exists(original(i) / sidecar_name)) write_all(original(i) / sidecar_name, "{}");
            std::vector<fs::path> files;
            for (const auto& entry : fs::recursive_directory_iterator(original(i)))
                if (entry.is_regular_file()) files.push_back(fs::relative(entry.path(), original(i)));
            std::sort(files.begin(), files.end());
            files_.push_back(std::move(files));
        }
    }
    ~Workplace() {
        std::error_code ignored;
        fs::remove_all(root_, ignored);
    }

    fs::path original(std::size_t way) const { return root_ / std::to_string(way); }
    const std::vector<fs::path>& files(std::size_t way) const { return files_[way]; }
    fs::path input() const { return root_ / "input"; }
    fs::path results() const { return root_ / "results"; }

    void clear() const {
        fs::remove_all(input());
        fs::remove_all(results());
        fs::create_directory(results());
    }

private:
    fs::path root_;
    std::vector<std::vector<fs::path>> files_;
};

Workplace& workplace() {
    static Workplace place;
    return place;
}

bool is_torch(const fs::path& file) { return file.extension() == ".pt" || file.extension() == ".pth"; }

/// What of a file an input replaces: the pickle of a torch file, the header of a safetensors file, else all of it.
std::string changeable(const fs::path& file) {
    if (is_torch(file)) {
        const zip::Reader zip(std::make_shared<FileSource>(file));
        for (const zip::Entry& entry : zip.entries())
            if (entry.name.ends_with("/data.pkl")) {
                const auto bytes = zip.read(entry, 1U << 20);
                return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
            }
    }
    std::string all = read_all(file);
    if (file.extension() != ".safetensors") return all;
    return all.substr(8, load_little<std::uint64_t>(reinterpret_cast<const std::byte*>(all.data())));
}

void write_changed(const fs::path& from, const fs::path& to, std::string_view content) {
    if (is_torch(from)) {
        const zip::Reader zip(std::make_shared<FileSource>(from));
        zip::Writer out(to);
        for (const zip::Entry& entry : zip.entries()) {
            const auto bytes = zip.read(entry, 1U << 24);
            const bool is_pickle = entry.name.ends_with("/data.pkl");
            const auto written = is_pickle ? std::as_bytes(std::span(content)) : std::span<const std::byte>(bytes);
            out.add(entry.name, written.size()).write(0, written);
        }
        return out.finish();
    }
    if (from.extension() != ".safetensors") return write_all(to, content);
    const std::string all = read_all(from);
    const auto header = load_little<std::uint64_t>(reinterpret_cast<const std::byte*>(all.data()));
    std::string length(8, '\0');
    for (std::size_t i = 0; i < length.size(); ++i) length[i] = static_cast<char>(content.size() >> (8 * i) & 0xFF);
    write_all(to, length + std::string(content) + all.substr(8 + header));
}

/// The folder with one file changed; the others are links to the same content.
void lay_out(std::size_t way, std::size_t changed, std::string_view content) {
    const auto& files = workplace().files(way);
    for (std::size_t i = 0; i < files.size(); ++i) {
        const fs::path from = workplace().original(way) / files[i], to = workplace().input() / files[i];
        fs::create_directories(to.parent_path());
        if (i == changed)
            write_changed(from, to, content);
        else
            fs::create_hard_link(from, to);
    }
}

/// False when the folder is refused.
bool convert_input(const Way& way, const fs::path& out) {
    try {
        const auto loader = way.load(workplace().input());
        inspect(*loader);
        const auto saver = way.save(out);
        convert(*loader, *saver, {.threads = 1});
        return true;
    } catch (const Error&) {
        return false;
    }
}

void compare_result(const Way& way, const fs::path& out) {
    try {
        const auto before = way.load(workplace().input());
        const auto after = way.load_again(out);
        const VerifyReport report = verify(*before, *after, {.threads = 1});
        if (!report.equal())
            fail(to_text("became another model: ", report.differences[0].place, " ", report.differences[0].text));
    } catch (const Error& error) {
        fail(to_text("was written but cannot be read: ", std::string_view(error.what())));
    }
}

void write_seeds(const fs::path& directory) {
    fs::create_directories(directory);
    for (std::size_t way = 0; way < ways.size(); ++way)
        for (std::size_t file = 0; file < workplace().files(way).size(); ++file) {
            std::string seed{static_cast<char>(way), static_cast<char>(file)};
            if (workplace().files(way)[file] == sidecar_name) {
                workplace().clear();
                lay_out(way, file, "{}");
                if (!convert_input(ways[way], workplace().results() / "out")) fail("a real folder is refused");
                seed += read_all(workplace().results() / "out" / sidecar_name);
            } else {
                seed += changeable(workplace().original(way) / workplace().files(way)[file]);
            }
            write_all(directory / to_text(way, '-', file), seed);
        }
}

}  // namespace

extern "C" int LLVMFuzzerInitialize(int* count, char*** arguments) {
    write_seeds_if_asked(*count, *arguments, write_seeds);
    return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 2) return -1;
    const std::size_t way = data[0] % ways.size(), file = data[1] % workplace().files(way).size();
    workplace().clear();
    lay_out(way, file, {reinterpret_cast<const char*>(data) + 2, size - 2});
    const fs::path out = workplace().results() / "out";
    if (convert_input(ways[way], out))
        compare_result(ways[way], out);
    else if (!fs::is_empty(workplace().results()))
        fail("was refused, and something stays behind");
    return 0;
}
