// SPDX-License-Identifier: Apache-2.0
// Reads PyTorch's distributed checkpoints of which one file is anything: .metadata, or a .distcp file. A folder may be
// refused with an Error; or each tensor is read, and holds what its chunks hold.
//
//   tests/fuzz/run.sh builds and runs it. An input is a byte that says which folder of tests/data/dcp, a byte that says
//   which file, 255 for the first with a hole of a gigabyte behind it, and its content. .metadata is changed instruction by instruction, a .distcp file, which is several zips,
//   by its bytes.

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "crossdock/container/dcp/reader.hpp"
#include "crossdock/core/recipe.hpp"
#include "inputs.hpp"
#include "mutate_pickle.hpp"

using namespace crossdock;
using namespace crossdock::test;
namespace fs = std::filesystem;

namespace {

/// A copy of a folder, gone with the program.
class Folder {
public:
    explicit Folder(const fs::path& original) {
        const fs::path memory = "/dev/shm";
        const fs::path room = ::access(memory.c_str(), W_OK) == 0 ? memory : fs::temp_directory_path();
        std::string name = (room / "crossdock-fuzz-XXXXXX").string();
        if (!::mkdtemp(name.data())) fail("no temporary directory");
        path_ = name;
        for (const auto& entry : fs::directory_iterator(original)) {
            files_.push_back(entry.path().filename());
            fs::copy_file(entry.path(), path_ / entry.path().filename());
        }
        std::sort(files_.begin(), files_.end());
    }
    Folder(const Folder&) = delete;
    Folder& operator=(const Folder&) = delete;
    ~Folder() {
        std::error_code ignored;
        fs::remove_all(path_, ignored);
    }

    const fs::path& path() const { return path_; }
    const std::vector<fs::path>& files() const { return files_; }

private:
    fs::path path_;
    std::vector<fs::path> files_;
};

const std::array<Folder, 4>& folders() {
    static const fs::path data = "tests/data/dcp";
    static const std::array<Folder, 4> all{Folder(data / "grids"), Folder(data / "old"), Folder(data / "squeezed"),
                                           Folder(data / "torch")};
    return all;
}

constexpr unsigned char with_hole = 0xFF;

/// The name of the file that an input is the content of; .metadata comes first.
const fs::path& chosen_file(const Folder& folder, unsigned char choice) {
    return folder.files()[choice == with_hole ? 0 : choice % folder.files().size()];
}

/// The part of a tensor that a chunk is.
Tensor part(Tensor tensor, const dcp::Chunk& chunk) {
    for (std::size_t axis = 0; axis < chunk.offsets.size(); ++axis)
        tensor = slice(tensor, axis, chunk.offsets[axis], chunk.offsets[axis] + chunk.sizes[axis]);
    return tensor;
}

void read_tensor(const fs::path& folder, const dcp::Reader& reader, const dcp::TensorItem& item) {
    const Tensor tensor = reader.tensor(item);
    if (item.shape.element_count() > 4096) return;  // what a test has the time for
    tensor.bytes();
    for (const dcp::Chunk& chunk : item.chunks) {
        const auto file = std::make_shared<FileSource>(folder / chunk.place.file.str());
        const pickle::Value stored = dcp::read_item(file, chunk.place);
        if (stored.get<Tensor>()->bytes() != part(tensor, chunk).bytes()) fail("a chunk is put elsewhere");
    }
}

void read_folder(const fs::path& folder) {
    try {
        const dcp::Reader reader(folder);
        for (const dcp::TensorItem& item : reader.metadata().tensors)
            if (item.dtype) read_tensor(folder, reader, item);
        for (const dcp::BytesItem& item : reader.metadata().bytes) reader.value(item);
    } catch (const Error&) {
    }
}

/// The file as it is, cut, and with what it refers to renamed.
std::vector<std::string> variants(const std::string& content) {
    constexpr std::array<std::array<std::string_view, 2>, 4> renamed{
        // a larger type than stands there, and a smaller
        {{"PK", "XX"}, {"__0_0", "__9_9"}, {"float32", "float64"}, {"float32", "float16"}}};
    std::vector<std::string> all{content, content.substr(0, content.size() / 2)};
    for (const auto& [from, to] : renamed) {
        std::string changed = content;
        for (std::size_t at = 0; (at = changed.find(from, at)) != std::string::npos;)
            changed.replace(at, from.size(), to);
        if (changed != content) all.push_back(std::move(changed));
    }
    return all;
}

void write_seeds(const fs::path& directory) {
    fs::create_directories(directory);
    write_all(directory / "hole", std::string{'\0', static_cast<char>(with_hole)});
    for (std::size_t folder = 0; folder < folders().size(); ++folder)
        for (std::size_t file = 0; file < folders()[folder].files().size(); ++file) {
            const std::string head{static_cast<char>(folder), static_cast<char>(file)};
            std::size_t number = 0;
            for (const std::string& content :
                 variants(read_all(folders()[folder].path() / folders()[folder].files()[file])))
                write_all(directory / to_text(folder, '-', file, '-', number++), head + content);
        }
}

}  // namespace

extern "C" int LLVMFuzzerInitialize(int* count, char*** arguments) {
    write_seeds_if_asked(*count, *arguments, write_seeds);
    return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 2) return -1;
    const Folder& folder = folders()[data[0] % folders().size()];
    const fs::path file = folder.path() / chosen_file(folder, data[1]);
    const std::string original = read_all(file);
    write_all(file, {reinterpret_cast<const char*>(data) + 2, size - 2});
    if (data[1] == with_hole) fs::resize_file(file, std::uintmax_t{1} << 30);
    read_folder(folder.path());
    write_all(file, original);
    return 0;
}

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t most, unsigned seed) {
    return mutate_input(data, size, most, seed, [](const std::string& input, std::size_t limit, Random& random) {
        if (input.size() < 2) throw Error("no choice");
        const Folder& folder = folders()[static_cast<unsigned char>(input[0]) % folders().size()];
        if (chosen_file(folder, static_cast<unsigned char>(input[1])) != ".metadata") throw Error("no pickle");
        return input.substr(0, 2) + mutate_pickle(input.substr(2), limit, random);
    });
}
