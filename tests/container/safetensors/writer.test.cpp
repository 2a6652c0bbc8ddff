// SPDX-License-Identifier: Apache-2.0
#include "crossdock/container/safetensors/writer.hpp"

#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "crossdock/container/safetensors/reader.hpp"
#include "support/catch.hpp"
#include "support/safetensors_bytes.hpp"
#include "support/temporary_directory.hpp"

using namespace crossdock;
using crossdock::test::read_file;
using crossdock::test::TemporaryDirectory;

namespace {

void put(const std::shared_ptr<TensorSlot>& slot, std::string_view bytes, std::uint64_t at = 0) {
    slot->write(at, std::as_bytes(std::span(bytes)));
}

}  // namespace

TEST_CASE("safetensors writer writes these bytes", "[container][safetensors]") {
    const TemporaryDirectory directory;
    safetensors::Writer writer(directory / "x", 170);
    put(writer.add("b\"", DType::bf16, Shape{2, 3}), "abcdefghijkl");
    put(writer.add("a", DType::f8_e4m3, Shape{}), "m");
    writer.finish();
    const std::string json = R"({"__metadata__":{"format":"pt"},"b\"":{"dtype":"BF16","shape":[2,3],"data_offsets":)"
                             R"([0,12]},"a":{"dtype":"F8_E4M3","shape":[],"data_offsets":[12,13]}})";
    // 170 grows to 176, so that the data begins at a multiple of 8.
    CHECK(read_file(directory / "x") ==
          std::string("\xB0\0\0\0\0\0\0\0", 8) + json + std::string(176 - json.size(), ' ') + "abcdefghijklm");
}

TEST_CASE("safetensors writer takes blocks in any order, also after it took the next tensor",
          "[container][safetensors]") {
    const TemporaryDirectory directory;
    safetensors::Writer writer(directory / "x", 500);
    const auto first = writer.add("first", DType::u8, Shape{6}), second = writer.add("second", DType::u8, Shape{2});
    put(second, "gh");
    put(first, "def", 3);
    put(first, "abc");
    writer.finish();
    CHECK(read_file(directory / "x").substr(8 + 504) == "abcdefgh");
}

TEST_CASE("safetensors writer writes a file without data", "[container][safetensors]") {
    const TemporaryDirectory directory;
    safetensors::Writer writer(directory / "x", safetensors::header_capacity(1, 5));
    writer.add("empty", DType::f32, Shape{0, 3});
    writer.finish();
    const TensorDict tensors = safetensors::read(directory / "x");
    REQUIRE(tensors.entries().size() == 1);
    CHECK(tensors.entries()[0].tensor.shape() == Shape{0, 3});
}

TEST_CASE("safetensors writer refuses what its header has no room for", "[container][safetensors]") {
    const TemporaryDirectory directory;
    safetensors::Writer writer(directory / "x", 90);
    writer.add("a", DType::u8, Shape{1});
    CHECK_THROWS_WITH(
        writer.add("b", DType::u8, Shape{1}),
        (directory / "x").string() + ": tensor 'b': the header grows to 136 bytes, 96 are reserved; reserve more");
    CHECK_THROWS_WITH(safetensors::Writer(directory / "y", 100'000'001),
                      (directory / "y").string() +
                          ": a header of 100000001 bytes is asked for, the format allows "
                          "100000000; write more and smaller files");
}

TEST_CASE("safetensors writer refuses names that the format does not have", "[container][safetensors]") {
    const TemporaryDirectory directory;
    const std::string file = (directory / "x").string();
    safetensors::Writer writer(directory / "x", 1000);
    writer.add("a", DType::u8, Shape{1});
    CHECK_THROWS_WITH(writer.add("a", DType::u8, Shape{1}), file + ": tensor 'a' is written twice");
    CHECK_THROWS_WITH(writer.add("", DType::u8, Shape{1}), file + ": a tensor has no name");
    CHECK_THROWS_WITH(writer.add("a\n", DType::u8, Shape{1}), file + ": a tensor's name has control characters");
    CHECK_THROWS_WITH(writer.add("__metadata__", DType::u8, Shape{1}),
                      file + ": a tensor cannot be called '__metadata__'");
    CHECK_THROWS_WITH(writer.add("\xFF", DType::u8, Shape{1}), file + ": a tensor's name is not UTF-8");
}

TEST_CASE("safetensors writer refuses to finish while a tensor is not filled", "[container][safetensors]") {
    const TemporaryDirectory directory;
    safetensors::Writer writer(directory / "x", 1000);
    put(writer.add("a", DType::u8, Shape{4}), "abc");
    CHECK_THROWS_WITH(writer.finish(), (directory / "x").string() + ": tensor 'a' was given 3 bytes, expected 4");
}

TEST_CASE("safetensors writer refuses to write over a file", "[container][safetensors]") {
    const TemporaryDirectory directory;
    test::write_file(directory / "x", "precious");
    CHECK_THROWS_WITH(safetensors::Writer(directory / "x", 100),
                      (directory / "x").string() + ": cannot be created: File exists");
    CHECK(read_file(directory / "x") == "precious");
}
