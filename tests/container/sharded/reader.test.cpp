// SPDX-License-Identifier: Apache-2.0
#include "crossdock/container/sharded/reader.hpp"

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "support/catch.hpp"
#include "support/safetensors_bytes.hpp"
#include "support/temporary_directory.hpp"

using namespace crossdock;
using crossdock::test::TemporaryDirectory;
using crossdock::test::write_file;
using sharded::read_directory;

namespace {

/// Writes a safetensors file of one-byte tensors; a tensor's value is the first letter of its name.
void write_shard(const std::filesystem::path& path, const std::vector<std::string>& names) {
    std::string header, data;
    for (const std::string& name : names) {
        header += to_text(header.empty() ? "{" : ",", "\"", name, R"(":{"dtype":"U8","shape":[1],"data_offsets":[)",
                          data.size(), ",", data.size() + 1, "]}");
        data += name.front();
    }
    write_file(path, test::safetensors_bytes(header + "}", data));
}

/// A directory of two shards and an index with this weight_map.
void write_sharded(const TemporaryDirectory& directory, std::string_view weight_map) {
    write_shard(directory / "x.safetensors", {"a", "b"});
    write_shard(directory / "y.safetensors", {"c"});
    write_file(directory / "model.safetensors.index.json", to_text(R"({"weight_map":{)", weight_map, "}}"));
}

std::vector<std::string> names(const TensorDict& tensors) {
    std::vector<std::string> out;
    for (const NamedTensor& entry : tensors.entries()) out.push_back(entry.name);
    return out;
}

std::filesystem::path golden(std::string_view name) { return std::filesystem::path(CROSSDOCK_TEST_DATA) / "hf" / name; }

void check_same_tensors(const TensorDict& a, const TensorDict& b) {
    CHECK(a.entries().size() == b.entries().size());
    for (const NamedTensor& entry : a.entries()) {
        CAPTURE(entry.name);
        const NamedTensor* twin = b.find(entry.name);
        REQUIRE(twin);
        CHECK(twin->tensor.dtype() == entry.tensor.dtype());
        CHECK(twin->tensor.shape() == entry.tensor.shape());
        CHECK(twin->tensor.bytes() == entry.tensor.bytes());
    }
}

}  // namespace

TEST_CASE("sharded reader gives the tensors of all shards", "[container][sharded]") {
    const TemporaryDirectory directory;
    write_sharded(directory, R"("c":"y.safetensors","b":"x.safetensors","a":"x.safetensors")");
    const auto contents = read_directory(directory.path());
    CHECK(names(contents.tensors) == std::vector<std::string>{"a", "b", "c"});
    CHECK(contents.warnings.empty());
    CHECK(contents.tensors.find("c")->tensor.bytes() == std::vector{std::byte{'c'}});
    CHECK(contents.tensors.find("c")->file == (directory / "y.safetensors").string());
}

TEST_CASE("sharded reader follows links to shards, as the Hub's cache has them", "[container][sharded]") {
    const TemporaryDirectory blobs, directory;
    write_sharded(blobs, R"("a":"x.safetensors","b":"x.safetensors","c":"y.safetensors")");
    for (const auto& blob : std::filesystem::directory_iterator(blobs.path()))
        std::filesystem::create_symlink(blob.path(), directory / blob.path().filename().string());
    CHECK(read_directory(directory.path()).tensors.entries().size() == 3);
}

TEST_CASE("sharded reader refuses an index that names a missing file", "[container][sharded]") {
    const TemporaryDirectory directory;
    write_sharded(directory, R"("a":"x.safetensors","b":"z.safetensors")");
    CHECK_THROWS_WITH(
        read_directory(directory.path()),
        (directory / "z.safetensors").string() + ": is missing; model.safetensors.index.json places 1 tensors there");
}

TEST_CASE("sharded reader refuses an index that names a file whose name no file system takes", "[container][sharded]") {
    const TemporaryDirectory directory;
    const std::string name(300, 'x');
    write_sharded(directory, R"("a":"x.safetensors","b":")" + name + '"');
    CHECK_THROWS_WITH(
        read_directory(directory.path()),
        (directory / name).string() + ": is missing; model.safetensors.index.json places 1 tensors there");
}

TEST_CASE("sharded reader refuses an index that places a tensor in the wrong file", "[container][sharded]") {
    const TemporaryDirectory directory;
    write_sharded(directory, R"("a":"x.safetensors","b":"y.safetensors","c":"y.safetensors")");
    CHECK_THROWS_WITH(read_directory(directory.path()),
                      (directory / "y.safetensors").string() +
                          ": tensor 'b' is missing; model.safetensors.index.json says that it is here");
}

TEST_CASE("sharded reader refuses an index that leads out of the directory", "[container][sharded]") {
    const TemporaryDirectory directory;
    write_sharded(directory, R"("a":"../x.safetensors")");
    CHECK_THROWS_WITH(
        read_directory(directory.path()),
        (directory / "model.safetensors.index.json").string() +
            ": weight_map sends tensor 'a' to '../x.safetensors', expected the plain name of a file beside "
            "the index");
}

TEST_CASE("sharded reader warns of tensors that the index does not place where they are", "[container][sharded]") {
    const TemporaryDirectory directory;
    write_sharded(directory, R"("a":"x.safetensors","c":"y.safetensors")");
    const auto contents = read_directory(directory.path());
    CHECK(names(contents.tensors) == std::vector<std::string>{"a", "c"});
    CHECK(contents.warnings == std::vector<std::string>{(directory / "x.safetensors").string() +
                                                        ": left out what the index does not place here: b"});
}

TEST_CASE("sharded reader takes a tensor that stands in two files from the one in the index", "[container][sharded]") {
    const TemporaryDirectory directory;
    write_sharded(directory, R"("a":"x.safetensors","b":"x.safetensors","c":"y.safetensors")");
    write_shard(directory / "y.safetensors", {"a", "b", "x", "y", "z", "c"});
    const auto contents = read_directory(directory.path());
    CHECK(contents.tensors.find("a")->file == (directory / "x.safetensors").string());
    CHECK(contents.warnings ==
          std::vector<std::string>{(directory / "y.safetensors").string() +
                                   ": left out what the index does not place here: a, b, x and 2 more"});
}

TEST_CASE("sharded reader prefers what transformers prefers, and warns of the rest", "[container][sharded]") {
    const TemporaryDirectory directory;
    write_sharded(directory, R"("c":"y.safetensors")");
    write_shard(directory / "model.safetensors", {"whole"});
    write_file(directory / "pytorch_model.bin", "never opened");
    const auto contents = read_directory(directory.path());
    CHECK(names(contents.tensors) == std::vector<std::string>{"whole"});
    CHECK(contents.warnings ==
          std::vector<std::string>{directory.path().string() +
                                   ": also holds model.safetensors.index.json, pytorch_model.bin, not read; "
                                   "model.safetensors comes first"});
}

TEST_CASE("sharded reader says what it looked for", "[container][sharded]") {
    const TemporaryDirectory directory;
    CHECK_THROWS_WITH(read_directory(directory.path()),
                      directory.path().string() +
                          ": has none of model.safetensors, model.safetensors.index.json, pytorch_model.bin, "
                          "pytorch_model.bin.index.json; is it a Hugging Face model?");
}

TEST_CASE("sharded reader reads what save_pretrained wrote", "[container][sharded]") {
    const auto contents = read_directory(golden("llama-sharded"));
    CHECK(contents.warnings.empty());
    CHECK(contents.tensors.entries().size() == 30);
    CHECK(contents.tensors.find("model.layers.0.mlp.down_proj.weight")->tensor.shape() == Shape{64, 112});
}

TEST_CASE("sharded reader gives the same tensors from every container", "[container][sharded]") {
    const auto whole = read_directory(golden("llama2-gqa")).tensors;
    check_same_tensors(whole, read_directory(golden("llama2-gqa-bin")).tensors);
    check_same_tensors(whole, read_directory(golden("llama2-gqa-bin-sharded")).tensors);
}
