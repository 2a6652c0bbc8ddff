// SPDX-License-Identifier: Apache-2.0
#include "crossdock/container/safetensors/reader.hpp"

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "support/catch.hpp"
#include "support/safetensors_bytes.hpp"
#include "support/temporary_directory.hpp"
#include "support/temporary_file.hpp"

using namespace crossdock;
using crossdock::test::safetensors_bytes;
using crossdock::test::TemporaryFile;

namespace {

TemporaryFile file_of(std::string_view bytes) { return TemporaryFile(std::as_bytes(std::span(bytes))); }

std::string bytes_of(const TensorDict& tensors, std::string_view name) {
    const auto bytes = tensors.find(name)->tensor.bytes();
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

constexpr std::string_view two_tensors = R"({"late":{"dtype":"U8","shape":[3],"data_offsets":[4,7]},)"
                                         R"("early":{"dtype":"BF16","shape":[2,1],"data_offsets":[0,4]}})";

}  // namespace

TEST_CASE("safetensors reader gives the tensors in file order", "[container][safetensors]") {
    const auto file = file_of(safetensors_bytes(two_tensors, "abcdefg"));
    const TensorDict tensors = safetensors::read(file.path());
    REQUIRE(tensors.entries().size() == 2);
    CHECK(tensors.entries()[0].name == "early");
    CHECK(tensors.entries()[0].file == file.name());
    CHECK(tensors.entries()[0].tensor.dtype() == DType::bf16);
    CHECK(tensors.entries()[0].tensor.shape() == Shape{2, 1});
    CHECK(bytes_of(tensors, "early") == "abcd");
    CHECK(bytes_of(tensors, "late") == "efg");
}

TEST_CASE("safetensors reader takes a padded header, and one that leaves the data unaligned",
          "[container][safetensors]") {
    for (std::size_t padding = 0; padding < 9; ++padding) {
        const auto file = file_of(safetensors_bytes(std::string(two_tensors) + std::string(padding, ' '), "abcdefg"));
        CHECK(bytes_of(safetensors::read(file.path()), "late") == "efg");
    }
}

TEST_CASE("safetensors reader takes a file without tensors", "[container][safetensors]") {
    CHECK(safetensors::read(file_of(safetensors_bytes("{}")).path()).entries().empty());
}

TEST_CASE("safetensors reader refuses a file that is cut anywhere", "[container][safetensors]") {
    const std::string whole = safetensors_bytes(two_tensors, "abcdefg");
    for (std::size_t bytes = 0; bytes < whole.size(); ++bytes) {
        const auto file = file_of(whole.substr(0, bytes));
        CAPTURE(bytes);
        CHECK_THROWS_AS(safetensors::read(file.path()), Error);
    }
}

TEST_CASE("safetensors reader refuses a file that is too short for a length", "[container][safetensors]") {
    const auto file = file_of("1234567");
    CHECK_THROWS_WITH(safetensors::read(file.path()),
                      file.name() + ": holds 7 bytes, a safetensors file begins with the 8 of its header's length");
}

TEST_CASE("safetensors reader refuses a header length beyond the format's limit", "[container][safetensors]") {
    const auto file = file_of(test::header_length(100'000'001) + "{}");
    CHECK_THROWS_WITH(safetensors::read(file.path()), file.name() +
                                                          ": header claims 100000001 bytes, the format allows "
                                                          "100000000; is it a safetensors file?");
    const auto largest = file_of(std::string(8, '\xFF'));
    CHECK_THROWS_WITH(safetensors::read(largest.path()),
                      largest.name() +
                          ": header claims 18446744073709551615 bytes, the format allows 100000000; is it "
                          "a safetensors file?");
}

TEST_CASE("safetensors reader refuses a header longer than the file", "[container][safetensors]") {
    const auto file = file_of(test::header_length(3) + "{}");
    CHECK_THROWS_WITH(safetensors::read(file.path()),
                      file.name() + ": header claims 3 bytes, the file holds 10; it is probably truncated");
}

TEST_CASE("safetensors reader says which file is wrong", "[container][safetensors]") {
    const auto file = file_of(safetensors_bytes(two_tensors, "abcdefgh"));
    CHECK_THROWS_WITH(safetensors::read(file.path()),
                      file.name() +
                          ": the tensors end at byte 7 of the data, the file holds 8 bytes of it; nothing may "
                          "follow the last tensor");
    CHECK_THROWS_WITH(safetensors::read(std::filesystem::path("/nowhere/model.safetensors")),
                      "/nowhere/model.safetensors: cannot be opened: No such file or directory");
}

TEST_CASE("safetensors reader's tensors find a file that was cut since", "[container][safetensors]") {
    const auto file = file_of(safetensors_bytes(two_tensors, "abcdefg"));
    const TensorDict tensors = safetensors::read(file.path());
    file.resize(safetensors_bytes(two_tensors).size() + 5);
    for (const std::string name : {"early", "late"}) CHECK_THROWS_AS(bytes_of(tensors, name), Error);
}

TEST_CASE("safetensors reader reads what save_pretrained wrote", "[container][safetensors]") {
    const TensorDict tensors =
        safetensors::read(std::filesystem::path(CROSSDOCK_TEST_DATA) / "hf/llama2-gqa/model.safetensors");
    CHECK(tensors.entries().size() == 39);
    CHECK(tensors.entries().front().name == "lm_head.weight");
    const Tensor& norm = tensors.find("model.norm.weight")->tensor;
    CHECK(norm.dtype() == DType::bf16);
    CHECK(norm.shape() == Shape{64});
    const std::string file =
        test::read_file(std::filesystem::path(CROSSDOCK_TEST_DATA) / "hf/llama2-gqa/model.safetensors");
    CHECK(bytes_of(tensors, "model.norm.weight") == file.substr(file.size() - 128));
    CHECK(tensors.find("lm_head.weight")->tensor.shape() == Shape{600, 64});
}
