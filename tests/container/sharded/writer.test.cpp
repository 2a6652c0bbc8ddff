// SPDX-License-Identifier: Apache-2.0
#include "crossdock/container/sharded/writer.hpp"

#include <filesystem>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <string_view>

#include "crossdock/container/safetensors/writer.hpp"
#include "crossdock/container/sharded/reader.hpp"
#include "support/catch.hpp"
#include "support/temporary_directory.hpp"

using namespace crossdock;
using crossdock::test::read_file;
using crossdock::test::TemporaryDirectory;

namespace {

sharded::Writer safetensors_writer(const TemporaryDirectory& directory, std::uint64_t max_shard_bytes) {
    return {directory.path(), sharded::safetensors_names, max_shard_bytes,
            [](const std::filesystem::path& path, std::shared_ptr<NameTable> tensors) {
                return std::make_unique<safetensors::Writer>(path, 1000, std::move(tensors));
            }};
}

/// Adds and fills a tensor of bytes.
void put(TensorWriter& writer, const std::string& name, std::string_view bytes) {
    writer.add(name, DType::u8, Shape{bytes.size()})->write(0, std::as_bytes(std::span(bytes)));
}

std::set<std::string> files(const TemporaryDirectory& directory) {
    std::set<std::string> out;
    for (const auto& file : std::filesystem::directory_iterator(directory.path()))
        out.insert(file.path().filename().string());
    return out;
}

}  // namespace

TEST_CASE("sharded writer writes one file without an index when all fits", "[container][sharded]") {
    const TemporaryDirectory directory;
    auto writer = safetensors_writer(directory, 6);
    put(writer, "b", "abc");
    put(writer, "a", "def");
    writer.finish();
    CHECK(files(directory) == std::set<std::string>{"model.safetensors"});
    CHECK(sharded::read_directory(directory.path()).tensors.entries().size() == 2);
}

TEST_CASE("sharded writer starts a file when the next tensor would be too much", "[container][sharded]") {
    const TemporaryDirectory directory;
    auto writer = safetensors_writer(directory, 6);
    put(writer, "d", "abc");
    put(writer, "c", "def");
    put(writer, "b", "g");
    put(writer, "huge", "0123456789");
    put(writer, "a", "h");
    writer.finish();
    CHECK(files(directory) ==
          std::set<std::string>{"model-00001-of-00004.safetensors", "model-00002-of-00004.safetensors",
                                "model-00003-of-00004.safetensors", "model-00004-of-00004.safetensors",
                                "model.safetensors.index.json"});
    CHECK(read_file(directory / "model.safetensors.index.json") == R"({
  "metadata": {
    "total_parameters": 18,
    "total_size": 18
  },
  "weight_map": {
    "a": "model-00004-of-00004.safetensors",
    "b": "model-00002-of-00004.safetensors",
    "c": "model-00001-of-00004.safetensors",
    "d": "model-00001-of-00004.safetensors",
    "huge": "model-00003-of-00004.safetensors"
  }
}
)");
    const auto contents = sharded::read_directory(directory.path());
    CHECK(contents.warnings.empty());
    CHECK(contents.tensors.find("huge")->tensor.byte_count() == 10);
}

TEST_CASE("sharded writer gives no file to a large first tensor's absent predecessors", "[container][sharded]") {
    const TemporaryDirectory directory;
    auto writer = safetensors_writer(directory, 2);
    put(writer, "empty", "");
    put(writer, "huge", "0123456789");
    writer.finish();
    CHECK(files(directory) == std::set<std::string>{"model.safetensors"});
}

TEST_CASE("sharded writer counts bytes in total_size and elements in total_parameters", "[container][sharded]") {
    const TemporaryDirectory directory;
    auto writer = safetensors_writer(directory, 12);
    writer.add("a", DType::bf16, Shape{2, 3})->write(0, std::as_bytes(std::span("abcdefghijkl", 12)));
    writer.add("b", DType::f32, Shape{1})->write(0, std::as_bytes(std::span("mnop", 4)));
    writer.finish();
    const auto index = sharded::parse_index(read_file(directory / "model.safetensors.index.json"));
    CHECK(index.total_size == 16);
    CHECK(index.total_parameters == 7);
}

TEST_CASE("sharded writer writes a model without tensors", "[container][sharded]") {
    const TemporaryDirectory directory;
    safetensors_writer(directory, 6).finish();
    CHECK(sharded::read_directory(directory.path()).tensors.entries().empty());
}

TEST_CASE("sharded writer refuses a name twice, in whichever file", "[container][sharded]") {
    const TemporaryDirectory directory;
    auto writer = safetensors_writer(directory, 1);
    put(writer, "a", "x");
    put(writer, "b", "y");
    CHECK_THROWS_WITH(put(writer, "a", "z"), directory.path().string() + ": tensor 'a' is written twice");
}
