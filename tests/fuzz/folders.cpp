// SPDX-License-Identifier: Apache-2.0
// Converts whole checkpoint folders of which one file is anything: a description, an index, a tracker, the header of a
// safetensors file, the pickle of a torch file. A folder may be refused with an Error, and then nothing stays behind; or
// it is converted, and then the target is read again and holds the same model. Each fuzz program that says which folders
// is linked with this, and with the library.
//
// An input is a byte that says which folder, one that says which file of it, one that says where it goes, and the file's
// content; without any, the file is missing. It is changed value by value or instruction by instruction, as the file's kind asks for.

#include "folders.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "crossdock/container/little_endian.hpp"
#include "crossdock/pipeline/convert.hpp"
#include "crossdock/pipeline/inspect.hpp"
#include "crossdock/pipeline/verify.hpp"
#include "crossdock/plugin/builtin.hpp"
#include "crossdock/plugin/sidecar.hpp"
#include "inputs.hpp"
#include "mutate_json.hpp"
#include "mutate_pickle.hpp"
#include "room.hpp"
#include "zip_parts.hpp"

using namespace crossdock;
using namespace crossdock::test;
namespace fs = std::filesystem;

namespace {

constexpr std::string_view no_sidecar = "{}";

struct Target {
    std::string_view saver;
    OptionValues options;
};

const std::vector<Target>& targets() {
    static const std::vector<Target> all{
        {"hf", {}},
        {"hf", {{"max_shard_size", "100KB"}}},
        {"mcore", {{"ckpt_format", "torch"}, {"target_tensor_parallel_size", "2"}}},
        {"mcore", {{"ckpt_format", "torch_dist"}}},
        {"megatron", {{"target_pipeline_parallel_size", "2"}}},
    };
    return all;
}

bool is_torch(const fs::path& file) {
    return file.extension() == ".pt" || file.extension() == ".pth" || file.extension() == ".bin";
}

bool is_pickle_of(const ZipPart& part) { return part.name.ends_with("/data.pkl"); }

/// What of a file an input replaces: the pickle of a torch file, the header of a safetensors file, else all of it.
std::string changeable(const fs::path& file) {
    std::string all = read_all(file);
    if (is_torch(file) && all.starts_with("PK"))
        for (ZipPart& part : zip_parts(all))
            if (is_pickle_of(part)) return std::move(part.content);
    if (file.extension() != ".safetensors") return all;
    return all.substr(8, load_little<std::uint64_t>(bytes_of(all).data()));
}

/// The file's bytes with that part replaced.
std::string replaced(const fs::path& file, const std::string& content) {
    const std::string all = read_all(file);
    if (is_torch(file) && all.starts_with("PK")) {
        std::vector<ZipPart> parts = zip_parts(all);
        for (ZipPart& part : parts)
            if (is_pickle_of(part)) part.content = content;
        return zip_of(parts);
    }
    if (file.extension() != ".safetensors") return content;
    const auto header = load_little<std::uint64_t>(bytes_of(all).data());
    return test::detail::little(content.size(), 8) + content + all.substr(8 + header);
}

/// A folder that a real tool made, copied.
struct Folder {
    fs::path path;
    std::vector<fs::path> files;       // relative
    std::vector<std::string> content;  // of each, what an input replaces; empty where that is too long
};

/// Copies of the folders, and room for an input; in memory where that can be.
class Workplace {
public:
    Workplace() {
        for (const std::string_view data : folders)
            for (const auto& entry : fs::directory_iterator(fs::path("tests/data") / data))
                if (entry.is_directory()) originals_.push_back(entry.path());
        std::sort(originals_.begin(), originals_.end());
        for (const fs::path& original : originals_) add(original);
    }

    const std::vector<Folder>& all() const { return all_; }
    fs::path input() const { return room_.path() / "input"; }
    fs::path results() const { return room_.path() / "results"; }

    /// Lays out the folder with a file changed; the others are links to the same content.
    void lay_out(const Folder& folder, std::size_t changed, const std::string& content) const {
        fs::remove_all(input());
        fs::remove_all(results());
        fs::create_directory(results());
        for (std::size_t i = 0; i < folder.files.size(); ++i) {
            const fs::path from = folder.path / folder.files[i], to = input() / folder.files[i];
            fs::create_directories(to.parent_path());
            if (i != changed)
                fs::create_hard_link(from, to);
            else if (!content.empty())
                write_all(to, replaced(from, content));
        }
    }

private:
    void add(const fs::path& original) {
        Folder folder{room_.path() / std::to_string(all_.size()), {}, {}};
        fs::copy(original, folder.path, fs::copy_options::recursive);
        if (!fs::exists(folder.path / sidecar_name)) write_all(folder.path / sidecar_name, no_sidecar);
        for (const auto& entry : fs::recursive_directory_iterator(folder.path))
            if (entry.is_regular_file()) folder.files.push_back(fs::relative(entry.path(), folder.path));
        std::sort(folder.files.begin(), folder.files.end());
        for (const fs::path& file : folder.files) {
            constexpr std::size_t most = 60'000;
            std::string content = changeable(folder.path / file);
            folder.content.push_back(content.size() > most ? std::string() : std::move(content));
        }
        all_.push_back(std::move(folder));
    }

    Room room_;
    std::vector<fs::path> originals_;
    std::vector<Folder> all_;
};

Workplace& workplace() {
    static Workplace place;
    return place;
}

/// What the first bytes of an input say.
struct Choice {
    const Folder& folder;
    std::size_t file;
    const Target& target;
    std::string content;
};

constexpr std::size_t head_bytes = 3;

Choice choice_of(std::string_view input) {
    const auto number = [&](std::size_t at) { return static_cast<std::size_t>(static_cast<unsigned char>(input[at])); };
    const Folder& folder = workplace().all()[number(0) % workplace().all().size()];
    return {folder, number(1) % folder.files.size(), targets()[number(2) % targets().size()],
            std::string(input.substr(head_bytes))};
}

std::unique_ptr<AnyLoader> load(const fs::path& folder) {
    const std::string loader = BuiltinLoaders::recognise(folder);
    if (loader.empty()) throw Error("is not recognised");
    return BuiltinLoaders::make(loader, {{"load_dir", folder.string()}});
}

/// False when the folder is refused.
bool convert_input(const Target& target, const fs::path& out) {
    return accepts([&] {
        const auto loader = load(workplace().input());
        inspect(*loader);
        OptionValues options = target.options;
        options.emplace("save_dir", out.string());
        const auto saver = BuiltinSavers::make(target.saver, options);
        convert(*loader, *saver, {.threads = 1, .memory = std::uint64_t{1} << 26});
    });
}

void compare_result(const fs::path& out) {
    try {
        const auto before = load(workplace().input());
        const auto after = load(out);
        const VerifyReport report = verify(*before, *after, {.threads = 1});
        if (!report.equal())
            fail(to_text("became another model: ", report.differences[0].place, " ", report.differences[0].text));
    } catch (const Error& error) {
        fail(to_text("was written but cannot be read: ", std::string_view(error.what())));
    }
}

/// An index that lacks its last tensor, and one that has another besides.
std::vector<std::string> wrong_indices(const std::string& content) {
    Json without = parse_json(content), with = without;
    Json& map = without["weight_map"];
    map.erase(std::prev(map.end()));
    with["weight_map"]["another"] = *map.begin();
    return {json_text(without), json_text(with)};
}

/// Of each file: as it is, and missing. Of those without a crossdock.json one is enough to have an empty one.
void write_folder_seeds(const fs::path& directory) {
    fs::create_directories(directory);
    std::size_t number = 0;
    for (std::size_t folder = 0; folder < workplace().all().size(); ++folder) {
        const Folder& all = workplace().all()[folder];
        for (std::size_t file = 0; file < all.files.size(); ++file) {
            const std::string& content = all.content[file];
            if (content == no_sidecar && folder > 0) continue;
            std::vector<std::string> seeds{content, ""};
            if (all.files[file].string().ends_with(".index.json"))
                for (std::string& wrong : wrong_indices(content)) seeds.push_back(std::move(wrong));
            for (const std::string& seed : seeds) {
                const std::string head{static_cast<char>(folder), static_cast<char>(file),
                                       static_cast<char>(number % targets().size())};
                write_all(directory / to_text(folder, '-', file, '-', number++), head + seed);
            }
        }
    }
}

/// Another file, as it is.
std::string other_file(Random& random) {
    const auto& all = workplace().all();
    const std::size_t folder = below(all.size(), random), file = below(all[folder].files.size(), random);
    const std::string head{static_cast<char>(folder), static_cast<char>(file),
                           static_cast<char>(below(targets().size(), random))};
    return head + all[folder].content[file];
}

std::string mutate_folder(const std::string& input, std::size_t most, Random& random) {
    std::string chosen = input.size() <= head_bytes || below(8, random) == 0 ? other_file(random) : input;
    const std::string head = chosen.substr(0, head_bytes), content = chosen.substr(head_bytes);
    const Choice choice = choice_of(chosen);
    const fs::path& file = choice.folder.files[choice.file];
    const bool is_pickle = is_torch(file) || file.filename() == ".metadata";
    const bool is_json = file.extension() == ".json" || file.extension() == ".safetensors";
    return head + (is_pickle ? mutate_pickle(content, most, random)
                   : is_json ? mutate_json(content, most, random)
                             : mutate_bytes(content, content.size() + 16));
}

}  // namespace

extern "C" int LLVMFuzzerInitialize(int* count, char*** arguments) {
    write_seeds_if_asked(*count, *arguments, write_folder_seeds);
    return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < head_bytes) return -1;
    const Choice choice = choice_of(text_of(data, size));
    workplace().lay_out(choice.folder, choice.file, choice.content);
    const fs::path out = workplace().results() / "out";
    if (convert_input(choice.target, out))
        compare_result(out);
    else if (!fs::is_empty(workplace().results()))
        fail("was refused, and something stays behind");
    return 0;
}

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t most, unsigned seed) {
    return mutate_input(data, size, most, seed, mutate_folder);
}
