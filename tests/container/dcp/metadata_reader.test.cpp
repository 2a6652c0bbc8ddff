// SPDX-License-Identifier: Apache-2.0
#include "crossdock/container/dcp/metadata_reader.hpp"

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "crossdock/container/dcp/metadata.hpp"
#include "crossdock/core/error.hpp"
#include "support/catch.hpp"
#include "support/dcp_metadata.hpp"
#include "support/memory_source.hpp"
#include "support/temporary_directory.hpp"

using namespace crossdock;
using namespace crossdock::test;
using Catch::Matchers::ContainsSubstring;

namespace {

const std::filesystem::path data = CROSSDOCK_TEST_DATA;

dcp::Metadata read(const std::string& pickle) { return dcp::read_metadata(*memory_source(pickle)); }
dcp::Metadata read(const DcpMetadata& metadata) { return read(metadata.pickled()); }

std::string refusal(const std::string& pickle) {
    try {
        read(pickle);
    } catch (const Error& error) {
        return error.what();
    }
    return "accepted";
}
std::string refusal(const DcpMetadata& metadata) { return refusal(metadata.pickled()); }

/// "weight" [4, 3] in two chunks of two rows.
DcpMetadata two_chunks() {
    DcpMetadata made;
    made.tensor("weight", {4, 3});
    made.chunk({0, 0}, {2, 3}, {"__0_0.distcp", 0, 1000});
    made.chunk({2, 0}, {2, 3}, {"__1_0.distcp", 7, 1001});
    return made;
}

}  // namespace

TEST_CASE("metadata reader says what Megatron-Core wrote", "[dcp][metadata]") {
    const dcp::Metadata metadata =
        dcp::read_metadata(data / "megatron-dist/llama2-gqa-mcore0.16-tp2pp2vpp2/iter_0000001/.metadata");
    REQUIRE(metadata.tensors.size() == 9);
    REQUIRE(metadata.bytes.size() == 16);
    const dcp::TensorItem& projection = metadata.tensors[2];
    CHECK(projection.name == "decoder.layers.self_attention.linear_proj.weight");
    CHECK(projection.dtype == DType::bf16);
    CHECK(projection.shape == Shape{4, 64, 64});
    REQUIRE(projection.chunks.size() == 8);
    // What the folder's own torch.distributed.checkpoint prints for these.
    CHECK(projection.chunks[1].offsets == std::vector<std::uint64_t>{2, 0, 0});
    CHECK(projection.chunks[1].sizes == Shape{1, 64, 32});
    CHECK(projection.chunks[1].place.file == "__0_1.distcp");
    CHECK(projection.chunks[1].place.offset == 26159);
    CHECK(projection.chunks[1].place.length == 5673);
    CHECK(metadata.bytes[0].name == "decoder.layers.self_attention.linear_proj._extra_state/shard_0_4");
    CHECK(metadata.bytes[0].place.length == 1261);
}

TEST_CASE("metadata reader takes what other versions write", "[dcp][metadata]") {
    SECTION("TensorProperties of PyTorch up to 2.2, an attribute of later ones") {
        const dcp::Metadata metadata = dcp::read_metadata(data / "dcp/old/.metadata");
        REQUIRE(metadata.tensors.size() == 1);
        CHECK(metadata.tensors[0].dtype == DType::bf16);
        REQUIRE(metadata.bytes.size() == 1);
        CHECK(metadata.bytes[0].name == "state/shard_0_1");
    }
    SECTION("a version, and attributes that are not known") {
        DcpMetadata made = two_chunks();
        made.further = {{"version", "1.0.0"}, {"all_local_plans", DcpMetadata::object("megatron", "Plan", {})}};
        CHECK(read(made).tensors.size() == 1);
    }
    SECTION("a type that Crossdock does not know") {
        DcpMetadata made;
        made.tensor("state", {2}, "complex64");
        made.chunk({0}, {2}, {});
        CHECK_FALSE(read(made).tensors.at(0).dtype);
    }
    SECTION("chunks without elements, which need no place") {
        DcpMetadata made = two_chunks();
        made.claim({4, 0}, {0, 3});
        made.claim({4, 0}, {0, 3});
        CHECK(read(made).tensors.at(0).chunks.size() == 2);
    }
    SECTION("a scalar") {
        DcpMetadata made;
        made.tensor("step", {});
        made.chunk({}, {}, {});
        CHECK(read(made).tensors.at(0).shape == Shape{});
    }
}

TEST_CASE("metadata reader refuses chunks that do not tile their tensor", "[dcp][metadata]") {
    DcpMetadata made;
    made.tensor("weight", {4, 3});
    SECTION("a hole") {
        made.chunk({0, 0}, {2, 3}, {});
        made.chunk({3, 0}, {1, 3}, {});
        CHECK(refusal(made) ==
              "memory: item 'weight': its 2 chunks hold 9 elements, its shape [4, 3] has 12; chunks "
              "are missing, was it saved by all ranks?");
    }
    SECTION("an overlap") {
        made.chunk({0, 0}, {3, 3}, {});
        made.chunk({2, 0}, {2, 3}, {});
        CHECK_THAT(refusal(made), ContainsSubstring("its 2 chunks overlap, they hold 15 elements"));
    }
    SECTION("an overlap and a hole of the same size") {
        made.chunk({0, 0}, {2, 3}, {});
        made.chunk({1, 0}, {2, 3}, {});
        CHECK_THAT(refusal(made), ContainsSubstring("its 2 chunks overlap"));
    }
    SECTION("twice the same") {
        made.chunk({0, 0}, {4, 3}, {});
        made.claim({0, 0}, {4, 3});
        CHECK_THAT(refusal(made), ContainsSubstring("its 2 chunks overlap"));
    }
    SECTION("outside") {
        made.chunk({1, 0}, {4, 3}, {});
        CHECK(refusal(made) ==
              "memory: item 'weight': its chunk [4, 3] at [1, 0] lies outside it, its shape is [4, 3]; "
              "the file is damaged");
    }
    SECTION("far outside, where sums overflow") {
        made.chunk({std::uint64_t{1} << 62, 0}, {std::uint64_t{1} << 62, 1}, {});
        CHECK_THAT(refusal(made), ContainsSubstring("lies outside it"));
    }
    SECTION("of another rank") {
        made.chunk({0}, {4}, {});
        CHECK_THAT(refusal(made), ContainsSubstring("its chunk [4] at [0] lies outside it"));
    }
    SECTION("none") { CHECK_THAT(refusal(made), ContainsSubstring("its 0 chunks hold 0 elements")); }
    SECTION("along too many axes") {
        made.tensor("deep", {2, 2, 2, 2, 2, 2, 2});
        for (std::uint64_t chunk = 0; chunk < 128; ++chunk) {
            DcpMetadata::Numbers offsets;
            for (unsigned axis = 0; axis < 7; ++axis) offsets.push_back(chunk >> axis & 1);
            made.chunk(offsets, {1, 1, 1, 1, 1, 1, 1}, {});
        }
        made.items.erase(made.items.begin());
        CHECK_THAT(refusal(made),
                   ContainsSubstring("item 'deep': its chunks are cut along 7 axes, at most 6 are read"));
    }
}

TEST_CASE("metadata reader refuses places that it cannot trust", "[dcp][metadata]") {
    DcpMetadata made;
    made.tensor("weight", {4, 3});
    SECTION("outside the folder") {
        const auto name =
            GENERATE(as<std::string>(), "../__0_0.distcp", "/etc/passwd", "a/b", "..", ".", "", std::string("a\0b", 3));
        made.chunk({0, 0}, {4, 3}, {name, 0, 2000});
        CHECK_THAT(refusal(made), ContainsSubstring("expected the name of a file in the checkpoint's own directory"));
    }
    SECTION("none") {
        made.claim({0, 0}, {4, 3});
        CHECK(refusal(made) ==
              "memory: item 'weight': its chunk at [0, 0] has no place in any file; it was not saved, or "
              "the file is damaged");
        made.bytes("state", {});
        made.items.erase(made.items.begin());
        made.places.clear();
        CHECK_THAT(refusal(made), ContainsSubstring("item 'state': it has no place in any file"));
    }
    SECTION("two") {
        made.chunk({0, 0}, {4, 3}, {});
        made.places.push_back(made.places.front());
        CHECK(refusal(made) == "memory: item 'weight' is placed twice");
    }
    SECTION("of a name that is listed twice") {
        made.chunk({0, 0}, {4, 3}, {});
        made.items.push_back(made.items.front());
        CHECK(refusal(made) == "memory: item 'weight' is listed twice");
    }
    SECTION("negative") {
        made.chunk({0, 0}, {4, 3}, {});
        made.places.front().value.edit<pickle::Object>()->state.edit<pickle::Dict>()->entries[1].value = -1;
        CHECK_THAT(refusal(made), ContainsSubstring("the offset of an item is -1, expected a number that is not"));
    }
    SECTION("transformed") {
        made.chunk({0, 0}, {4, 3}, {});
        auto& info = made.places.front().value.edit<pickle::Object>()->state.edit<pickle::Dict>()->entries;
        info.push_back({"transform_descriptors", pickle::List{}});
        CHECK(refusal(made) == "accepted");
        info.back().value = pickle::List{{"stream.zstd"}};
        CHECK_THAT(refusal(made), ContainsSubstring("it is stored transformed (stream.zstd), perhaps compressed"));
    }
}

TEST_CASE("metadata reader refuses what is no index that it knows", "[dcp][metadata]") {
    SECTION("of another version") {
        DcpMetadata made = two_chunks();
        made.further = {{"version", "2.0.0"}};
        CHECK(refusal(made) ==
              "memory: is of version 2.0.0, expected 1.0.0, which PyTorch 2.0 to 2.13 write; save it "
              "again with one of these");
    }
    SECTION("another value") {
        CHECK(refusal(pickle::write(pickle::Dict{})) ==
              "memory: holds a dict with nothing for 'state_dict_metadata', expected the Metadata of "
              "torch.distributed.checkpoint with a dict, as PyTorch 2.0 to 2.13 write it");
    }
    SECTION("another class for an item") {
        DcpMetadata made = two_chunks();
        made.items.push_back({"more", DcpMetadata::object("torch", "NewStorageMetadata", {})});
        CHECK_THAT(refusal(made), ContainsSubstring("item 'more': it is described by an object of "
                                                    "torch.NewStorageMetadata, expected TensorStorageMetadata"));
    }
    SECTION("no pickle") {
        CHECK_THAT(refusal("words"), ContainsSubstring("memory offset 0: opcode 119 is none that protocols 2 to 5"));
        CHECK_THAT(refusal(""), ContainsSubstring("probably truncated"));
    }
    SECTION("cut anywhere") {
        const std::string whole = read_file(data / "dcp/old/.metadata");
        for (std::size_t bytes = 0; bytes < whole.size(); ++bytes) CHECK_THROWS_AS(read(whole.substr(0, bytes)), Error);
    }
}

TEST_CASE("metadata reader is not held up by a small file that mentions a part of it often", "[dcp][metadata]") {
    DcpMetadata made;
    SECTION("a chunk") {
        made.tensor("weight", {std::uint64_t{1} << 40, 3});
        made.chunk({0, 0}, {std::uint64_t{1} << 30, 3}, {});
        made.repeat_last_chunk(200'000);
        CHECK(refusal(made) ==
              "memory: item 'weight': it has 200001 chunks, more than the file has room for; it is "
              "damaged");
    }
    SECTION("a chunk without elements, in many tensors") {
        for (int number = 0; number < 40; ++number) {
            made.tensor(std::to_string(number), {0, 3});
            made.claim({0, 0}, {0, 3});
            made.repeat_last_chunk(2'000);
        }
        CHECK_THAT(refusal(made), ContainsSubstring("more than the file has room for"));
    }
    SECTION("a name") {
        made.bytes(std::string(5'000, 'x'), {});
        CHECK_THAT(refusal(made), ContainsSubstring("has a name of more than 4096 bytes"));
    }
    SECTION("the name of a file") {
        made.bytes("state", {std::string(256, 'x'), 0, 1});
        CHECK_THAT(refusal(made), ContainsSubstring("expected the name of a file in the checkpoint's own directory"));
    }
    SECTION("an object") {
        made.bytes("state", {});
        auto& info = made.places.front().value.edit<pickle::Object>()->state.edit<pickle::Dict>()->entries;
        info.insert(info.begin(), 300, {1, 2});
        CHECK_THAT(refusal(made), ContainsSubstring("has no 'relative_path'"));
    }
}
