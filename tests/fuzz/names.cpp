// SPDX-License-Identifier: Apache-2.0
// Asks of a folder that is seldom a checkpoint what it is: it may be refused with an Error, and nothing else.
//
//   tests/fuzz/run.sh builds and runs it. An input is a line for each path in the folder: one that ends with "/" is a
//   folder, of another what stands behind a tab is the file's content. Lines are changed one by one.

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "crossdock/container/foreign_directory.hpp"
#include "crossdock/container/sharded/reader.hpp"
#include "inputs.hpp"
#include "room.hpp"

using namespace crossdock;
using namespace crossdock::test;
namespace fs = std::filesystem;

namespace {

std::vector<std::string> lines_of(std::string_view text) {
    std::vector<std::string> lines;
    while (!text.empty()) {
        const std::size_t end = std::min(text.find('\n'), text.size());
        lines.emplace_back(text.substr(0, end));
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    return lines;
}

/// The folder that an input describes.
fs::path folder() {
    static const Room room;
    return room.path() / "folder";
}

/// What leads out of the folder, or cannot be there, is not.
void add(const std::string& line) {
    const std::size_t tab = line.find('\t');
    const std::string path = line.substr(0, tab);
    if (path.empty() || path.find('\0') != path.npos || path.front() == '/' || path.find("..") != path.npos) return;
    std::error_code ignored;
    fs::create_directories((folder() / path).parent_path(), ignored);
    std::ofstream(folder() / path, std::ios::binary) << (tab == line.npos ? std::string() : line.substr(tab + 1));
}

void lay_out(const std::vector<std::string>& lines) {
    fs::remove_all(folder());
    fs::create_directory(folder());
    for (const std::string& line : lines) add(line);
}

/// Of the names that a folder is known by, a "*" in them is anything.
std::string known_line(Random& random) {
    static constexpr std::array others{"config.json",
                                       "params.json",
                                       "snapshots/a/",
                                       "refs/main\ta",
                                       "a/config.json",
                                       "model.safetensors",
                                       "model-00001-of-00002.safetensors",
                                       "model.safetensors.index.json",
                                       "pytorch_model.bin",
                                       "pytorch_model-00001-of-00002.bin"};
    const std::size_t number = below(others.size() + crossdock::detail::foreign_marks.size(), random);
    if (number < others.size()) return others[number];
    return std::string(crossdock::detail::foreign_marks[number - others.size()].pattern);
}

std::string mutate_lines(const std::string& text, std::size_t, Random& random) {
    std::vector<std::string> lines = lines_of(text);
    const std::size_t at = lines.empty() ? 0 : below(lines.size(), random);
    const auto place = lines.begin() + static_cast<std::ptrdiff_t>(at);
    if (lines.empty() || below(3, random) == 0)
        lines.insert(place, known_line(random));
    else if (below(3, random) == 0)
        lines.erase(place);
    else
        *place = mutate_bytes(*place, place->size() + 8);
    std::string out;
    for (const std::string& line : lines) out += line + '\n';
    return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    lay_out(lines_of(text_of(data, size)));
    accepts([] { foreign_directory(folder()); });
    accepts([] { sharded::read_directory(folder()); });
    sharded::holds_weights(folder());
    std::vector<fs::path> inside{folder() / "nothing"};
    for (const auto& entry : fs::directory_iterator(folder())) inside.push_back(entry.path());
    for (const fs::path& path : inside) accepts([&] { require_directory(path); });
    return 0;
}

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t most, unsigned seed) {
    return mutate_input(data, size, most, seed, mutate_lines);
}
