// SPDX-License-Identifier: Apache-2.0
#include "crossdock/container/dcp/reader.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "crossdock/container/dcp/metadata.hpp"
#include "crossdock/container/pickle/writer.hpp"
#include "crossdock/container/torch/writer.hpp"
#include "crossdock/container/zip/crc32.hpp"
#include "crossdock/core/error.hpp"
#include "crossdock/layout/stack.hpp"
#include "support/catch.hpp"
#include "support/dcp_metadata.hpp"
#include "support/temporary_directory.hpp"
#include "support/zip_bytes.hpp"

using namespace crossdock;
using namespace crossdock::test;
using Catch::Matchers::ContainsSubstring;

namespace {

const std::filesystem::path data = CROSSDOCK_TEST_DATA;
const std::filesystem::path vpp = data / "megatron-dist/llama2-gqa-mcore0.16-tp2pp2vpp2/iter_0000001";

const dcp::TensorItem& tensor_item(const dcp::Reader& reader, std::string_view name) {
    const auto& all = reader.metadata().tensors;
    const auto found = std::find_if(all.begin(), all.end(), [&](const auto& item) { return item.name == name; });
    if (found == all.end()) throw Error(to_text("no tensor ", name));
    return *found;
}

/// One line of expected.txt, which PyTorch's own reader made.
std::string line_of(const std::string& folder, const dcp::TensorItem& item, const Tensor& tensor) {
    constexpr std::string_view digits = "0123456789abcdef";
    const std::uint32_t crc = zip::crc32(tensor.bytes());
    std::string out = to_text(folder, '|', item.name, '|', torch_name(tensor.dtype()), '|', tensor.shape(), '|');
    for (unsigned shift = 32; shift > 0; shift -= 4) out += digits[crc >> (shift - 4) & 15U];
    return out;
}

/// What torch.save writes of a tensor: a list that holds one more where it is not alone.
std::string saved(const std::string& elements, const DcpMetadata::Numbers& shape, std::string_view storage_class,
                  bool in_list = false) {
    pickle::Tuple sizes, strides;
    std::uint64_t count = 1;
    for (const std::uint64_t extent : shape) sizes.items.emplace_back(extent), count *= extent;
    std::uint64_t stride = count;
    for (const std::uint64_t extent : shape) strides.items.emplace_back(stride /= extent);
    pickle::Object hooks, call;
    hooks.module = "collections";
    hooks.name = "OrderedDict";
    hooks.args = pickle::Tuple{};
    call.module = "torch._utils";
    call.name = "_rebuild_tensor_v2";
    const pickle::PersistentId storage{
        pickle::Tuple{{"storage", pickle::Global{"torch", std::string(storage_class)}, "0", "cpu", count}}};
    call.args = pickle::Tuple{{storage, 0, sizes, strides, false, hooks}};
    const pickle::Value root = in_list ? pickle::Value(pickle::List{{call}}) : pickle::Value(call);
    return zip_bytes(
        {{"archive/data.pkl", pickle::write(root)}, {"archive/version", "3\n"}, {"archive/data/0", elements}});
}

/// "weight" [2, 3] of f32, of which the second row is stored so.
std::string error_of_row(const std::string& item, const std::string& read_first = {}) {
    const TemporaryDirectory directory;
    const std::string row = saved(std::string(12, 'a'), {1, 3}, "FloatStorage");
    DcpMetadata made;
    made.tensor("weight", {2, 3});
    made.chunk({0, 0}, {1, 3}, {"__0_0.distcp", 0, row.size()});
    made.chunk({1, 0}, {1, 3}, {"__0_0.distcp", row.size(), item.size()});
    write_file(directory / ".metadata", made.pickled());
    write_file(directory / "__0_0.distcp", row + item + read_first);
    const dcp::Reader reader(directory.path());
    const Tensor tensor = reader.tensor(reader.metadata().tensors.at(0));
    CHECK(take_element(tensor, 0).bytes().size() == 12);  // nothing is wrong with the first row
    std::string error = "none";
    for (int attempt = 0; attempt < 2; ++attempt) {
        try {
            tensor.bytes();
        } catch (const Error& found) {
            CHECK((attempt == 0 || error == found.what()));  // whoever reads is told
            error = found.what();
        }
    }
    const std::string path = directory.path().string();
    for (std::size_t at; (at = error.find(path)) != error.npos;) error.replace(at, path.size(), "DIR");
    return error;
}

}  // namespace

TEST_CASE("dcp reader gives every tensor as PyTorch's own reader does", "[dcp][reader]") {
    std::ifstream in(data / "dcp/expected.txt");
    std::vector<std::string> expected, found;
    for (std::string line; std::getline(in, line);) expected.push_back(line);
    std::vector<std::string> folders;
    for (const std::string& line : expected)
        if (const std::string folder = line.substr(0, line.find('|')); folders.empty() || folders.back() != folder)
            folders.push_back(folder);
    for (const std::string& folder : folders) {
        const dcp::Reader reader(data / folder);
        for (const dcp::TensorItem& item : reader.metadata().tensors)
            if (item.dtype) found.push_back(line_of(folder, item, reader.tensor(item)));
    }
    std::erase_if(expected, [](const std::string& line) { return line.find("|complex64|") != line.npos; });
    CHECK(expected.size() > 50);
    CHECK(found == expected);
}

TEST_CASE("dcp reader takes chunks that are stored without leading axes of one", "[dcp][reader]") {
    const dcp::Reader squeezed(data / "dcp/squeezed"), grids(data / "dcp/grids");
    CHECK(squeezed.tensor(tensor_item(squeezed, "uneven")).bytes() ==
          grids.tensor(tensor_item(grids, "uneven")).bytes());
}

TEST_CASE("dcp reader gives bytes items as values", "[dcp][reader]") {
    const dcp::Reader state(vpp), common(data / "megatron-dist/llama2-gqa-mcore0.19-perlayer/iter_0000001");
    const pickle::Value none = state.value(state.metadata().bytes.at(0));
    REQUIRE(none.items());
    REQUIRE(none.items()->size() == 1);
    CHECK(none.items()->front().is_none());
    for (const dcp::BytesItem& item : common.metadata().bytes) {
        if (item.name != "common_state/shard_0_1") continue;
        const pickle::Value list = common.value(item);
        REQUIRE(list.items());
        const pickle::Value* args = list.items()->at(0).find("args");
        REQUIRE(args);
        CHECK(args->attribute("num_layers")->as_integer() == 4);
        return;
    }
    FAIL("no common state");
}

TEST_CASE("dcp reader reads a layer from its own chunks alone", "[dcp][reader]") {
    const TemporaryDirectory directory;
    std::filesystem::copy(vpp, directory / "copy");
    const dcp::Reader whole(vpp), reader(directory / "copy");
    const std::string name = "decoder.layers.self_attention.linear_proj.weight";
    for (const dcp::Chunk& chunk : tensor_item(reader, name).chunks) {
        if (chunk.offsets[0] == 2) continue;
        std::fstream file(directory / "copy" / chunk.place.file.str(), std::ios::binary | std::ios::in | std::ios::out);
        file.seekp(static_cast<std::streamoff>(chunk.place.offset));
        file << std::string(chunk.place.length, 'x');
    }
    const Tensor expected = whole.tensor(tensor_item(whole, name)), damaged = reader.tensor(tensor_item(reader, name));
    CHECK(take_element(damaged, 2).bytes() == take_element(expected, 2).bytes());
    CHECK_THROWS_WITH(take_element(damaged, 1).bytes(), ContainsSubstring("does not begin with PK"));
}

TEST_CASE("dcp reader opens no file before bytes are asked for", "[dcp][reader]") {
    const TemporaryDirectory directory;
    std::filesystem::copy(vpp, directory / "copy");
    for (const auto& entry : std::filesystem::directory_iterator(directory / "copy"))
        if (entry.path().extension() == ".distcp")
            write_file(entry.path(), std::string(std::filesystem::file_size(entry.path()), 'x'));
    const dcp::Reader reader(directory / "copy");
    const Tensor tensor = reader.tensor(tensor_item(reader, "decoder.final_layernorm.weight"));
    CHECK(tensor.shape() == Shape{64});
    CHECK_THROWS_WITH(tensor.bytes(), ContainsSubstring("tensor 'decoder.final_layernorm.weight', chunk at [0]: "));
}

TEST_CASE("dcp tensors are read by several threads at once, and outlive their reader", "[dcp][reader]") {
    const auto open = [] {
        const dcp::Reader reader(vpp);
        return reader.tensor(tensor_item(reader, "decoder.layers.mlp.linear_fc1.weight"));
    };
    const std::vector<std::byte> expected = open().bytes();
    const Tensor tensor = open();
    std::vector<std::vector<std::byte>> found(4);
    {
        std::vector<std::jthread> threads;
        for (auto& bytes : found) threads.emplace_back([&tensor, &bytes] { bytes = tensor.bytes(); });
    }
    for (const auto& bytes : found) CHECK(bytes == expected);
}

TEST_CASE("dcp reader says which item is damaged", "[dcp][reader]") {
    const std::string good = saved(std::string(12, 'b'), {1, 3}, "FloatStorage");
    CHECK(error_of_row(good) == "none");
    CHECK(error_of_row(saved(std::string(12, 'b'), {3}, "FloatStorage")) == "none");
    CHECK(error_of_row(saved(std::string(24, 'b'), {1, 3}, "DoubleStorage")) ==
          "tensor 'weight', chunk at [1, 0]: DIR/__0_0.distcp holds a tensor [1, 3] of f64, .metadata says [1, 3] of "
          "f32; "
          "one of the files is damaged or of another save");
    CHECK_THAT(error_of_row(saved(std::string(12, 'b'), {3, 1}, "FloatStorage")),
               ContainsSubstring("holds a tensor [3, 1] of f32, .metadata says [1, 3] of f32"));
    CHECK_THAT(error_of_row(saved(std::string(12, 'b'), {1, 3}, "FloatStorage", true)),
               ContainsSubstring("DIR/__0_0.distcp holds a list, expected a tensor"));
    CHECK_THAT(error_of_row(std::string("\x40\0\0\0\0\0\0\0{\"tensor\"", 17) + std::string(100, ' ')),
               ContainsSubstring("does not begin with PK as a file of torch.save does; it is damaged, or written in "
                                 "another serialization format (safetensors); save it again with torch_save"));
    CHECK_THAT(error_of_row(good.substr(0, good.size() - 1)),
               ContainsSubstring("no zip directory is found at its end"));
    // What follows belongs to another item.
    CHECK_THAT(error_of_row(good.substr(0, good.size() - 1), good.substr(good.size() - 1)),
               ContainsSubstring("no zip directory is found at its end"));
    // The pickle is the row's before, which is known; what it speaks of is not as it says.
    CHECK_THAT(error_of_row(saved(std::string(8, 'b'), {1, 3}, "FloatStorage")),
               ContainsSubstring("its storage '0' should hold 3 elements of 4 bytes, the file has 8 bytes for it"));
    std::string damaged = good;
    damaged[damaged.find("bbbb")] ^= 1;
    CHECK_THAT(error_of_row(damaged), ContainsSubstring("does not have the checksum that the directory gives"));
}

TEST_CASE("dcp reader gives what chunks hold, read whole, in parts, and again", "[dcp][reader]") {
    const TemporaryDirectory directory;
    const std::vector<std::string> rows{"abcdefghijkl", "mnopqrstuvwx", "ABCDEFGHIJKL"};
    DcpMetadata made;
    made.tensor("weight", {3, 3});
    std::string file;
    for (std::size_t row = 0; row < rows.size(); ++row) {
        const std::string item = saved(rows[row], {1, 3}, "FloatStorage");
        made.chunk({row, 0}, {1, 3}, {"__0_0.distcp", file.size(), item.size()});
        file += item;
    }
    write_file(directory / ".metadata", made.pickled());
    write_file(directory / "__0_0.distcp", file);
    const auto text = [](const Tensor& tensor) {
        const auto bytes = tensor.bytes();
        return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    };
    const dcp::Reader reader(directory.path());
    const Tensor tensor = reader.tensor(reader.metadata().tensors.at(0));
    CHECK(text(slice(tensor, 1, 1, 2)) == "efghqrstEFGH");
    for (int time = 0; time < 2; ++time) CHECK(text(tensor) == rows[0] + rows[1] + rows[2]);
    CHECK(text(slice(tensor, 1, 2, 3)) == "ijkluvwxIJKL");
    file[file.find("JKL")] ^= 1;
    write_file(directory / "__0_0.distcp", file);
    const dcp::Reader again(directory.path());
    const Tensor damaged = again.tensor(again.metadata().tensors.at(0));
    CHECK(text(slice(damaged, 0, 0, 2)) == rows[0] + rows[1]);
    CHECK_THROWS_WITH(slice(damaged, 1, 0, 1).bytes(),
                      ContainsSubstring("does not have the checksum that the directory gives"));
}

TEST_CASE("dcp reader refuses files that do not fit .metadata", "[dcp][reader]") {
    const TemporaryDirectory directory;
    std::filesystem::copy(vpp, directory / "copy");
    const std::filesystem::path copy = directory / "copy";
    SECTION("no .metadata") {
        std::filesystem::remove(copy / ".metadata");
        CHECK_THROWS_WITH(dcp::Reader(copy), ContainsSubstring(".metadata: cannot be opened"));
    }
    SECTION("a file is missing") {
        std::filesystem::remove(copy / "__2_1.distcp");
        CHECK_THROWS_WITH(dcp::Reader(copy),
                          ContainsSubstring("__2_1.distcp: is missing; .metadata places 19 items there, "
                                            "'decoder.layers.self_attention.linear_qkv.layer_norm_weight' for one"));
    }
    SECTION("a file is cut") {
        std::filesystem::resize_file(copy / "__2_1.distcp", 40000);
        CHECK_THROWS_WITH(dcp::Reader(copy), ContainsSubstring("leaves the file, which holds 40000; it is probably "
                                                               "truncated"));
    }
    SECTION("a file is a directory") {
        std::filesystem::remove(copy / "__2_1.distcp");
        std::filesystem::create_directory(copy / "__2_1.distcp");
        CHECK_THROWS_AS(dcp::Reader(copy), Error);
    }
}

TEST_CASE("dcp reader refuses places that contradict each other", "[dcp][reader]") {
    const TemporaryDirectory directory;
    write_file(directory / "__0_0.distcp", std::string(100, 'x'));
    DcpMetadata made;
    made.tensor("weight", {2, 3});
    SECTION("items overlap") {
        made.chunk({0, 0}, {1, 3}, {"__0_0.distcp", 0, 50});
        made.chunk({1, 0}, {1, 3}, {"__0_0.distcp", 49, 50});
        write_file(directory / ".metadata", made.pickled());
        CHECK_THROWS_WITH(dcp::Reader(directory.path()),
                          ContainsSubstring("__0_0.distcp: item 'weight' at offset 49 with 50 bytes overlaps the item "
                                            "before it, which ends at 50; .metadata is damaged"));
    }
    SECTION("an item is too small") {
        made.chunk({0, 0}, {2, 3}, {"__0_0.distcp", 0, 23});
        write_file(directory / ".metadata", made.pickled());
        CHECK_THROWS_WITH(dcp::Reader(directory.path()), ContainsSubstring("is too small, its elements take 24"));
    }
    SECTION("an item ends beyond 64 bits") {
        made.chunk({0, 0}, {2, 3}, {"__0_0.distcp", 10, (std::uint64_t{1} << 63) - 1});
        write_file(directory / ".metadata", made.pickled());
        CHECK_THROWS_WITH(dcp::Reader(directory.path()), ContainsSubstring("leaves the file, which holds 100"));
    }
}

TEST_CASE("dcp reader refuses a tensor of a type that it does not know when it is asked for", "[dcp][reader]") {
    const dcp::Reader reader(data / "dcp/torch");
    CHECK_THROWS_WITH(reader.tensor(tensor_item(reader, "complex")),
                      ContainsSubstring("tensor 'complex': is of an element type that is not known"));
}
