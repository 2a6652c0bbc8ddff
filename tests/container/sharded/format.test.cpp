// SPDX-License-Identifier: Apache-2.0
#include "crossdock/container/sharded/format.hpp"

#include <string>

#include "support/catch.hpp"

using namespace crossdock;
using sharded::parse_index;
using sharded::parse_size;

TEST_CASE("sharded file names are those of the Hub", "[container][sharded]") {
    CHECK(sharded::safetensors_names.single() == "model.safetensors");
    CHECK(sharded::safetensors_names.numbered(1, 3) == "model-00001-of-00003.safetensors");
    CHECK(sharded::torch_names.single() == "pytorch_model.bin");
    CHECK(sharded::torch_names.numbered(12, 123456) == "pytorch_model-00012-of-123456.bin");
}

TEST_CASE("sharded index tells the file of each tensor", "[container][sharded]") {
    const auto index = parse_index(R"({"metadata":{"total_size":12,"total_parameters":6},)"
                                   R"("weight_map":{"b":"y.bin","a":"..x.bin"}})");
    CHECK(index.total_size == 12);
    CHECK(index.total_parameters == 6);
    CHECK(index.weight_map == std::map<std::string, std::string>{{"a", "..x.bin"}, {"b", "y.bin"}});
}

TEST_CASE("sharded index may do without totals, or hold odd ones", "[container][sharded]") {
    CHECK_FALSE(parse_index(R"({"weight_map":{"a":"x"}})").total_size);
    CHECK_FALSE(parse_index(R"({"metadata":null,"weight_map":{"a":"x"}})").total_size);
    CHECK_FALSE(parse_index(R"({"metadata":{"total_size":1.5},"weight_map":{"a":"x"}})").total_size);
}

TEST_CASE("sharded index refuses to be something else", "[container][sharded]") {
    const std::string refusal = "has no weight_map, expected an object of tensor names and file names";
    CHECK_THROWS_WITH(parse_index("[]"), refusal);
    CHECK_THROWS_WITH(parse_index("{}"), refusal);
    CHECK_THROWS_WITH(parse_index(R"({"weight_map":[]})"), refusal);
    CHECK_THROWS_WITH(parse_index(R"({"weight_map":{}})"), "weight_map is empty, expected at least one tensor");
    CHECK_THROWS_WITH(parse_index(R"({"weight_map":{"a":1}})"), "weight_map: the file of tensor 'a' is not a string");
    CHECK_THROWS_WITH(parse_index(R"({"weight_map":{"a":"x","a":"y"}})"), "names the key 'a' twice");
}

TEST_CASE("sharded index refuses to lead out of its directory", "[container][sharded]") {
    for (const std::string file : {"../x", "/etc/passwd", "a/b", "..", ".", "", "a\\\\b", "..\\\\x"}) {
        const std::string shown = nlohmann::json::parse("\"" + file + "\"").get<std::string>();
        CHECK_THROWS_WITH(
            parse_index(R"({"weight_map":{"a":")" + file + "\"}}"),
            "weight_map sends tensor 'a' to '" + shown + "', expected the plain name of a file beside the index");
    }
}

TEST_CASE("sharded index refuses file names with control characters", "[container][sharded]") {
    CHECK_THROWS_WITH(parse_index(R"({"weight_map":{"a":"x\u0000"}})"),
                      "weight_map: the file of tensor 'a' has control characters in its name");
}

TEST_CASE("sharded index is written as transformers does", "[container][sharded]") {
    CHECK(sharded::index_text({331648, 165824, {{"b", "y"}, {"a", "x"}}}) ==
          "{\n  \"metadata\": {\n    \"total_parameters\": 165824,\n    \"total_size\": 331648\n  },\n"
          "  \"weight_map\": {\n    \"a\": \"x\",\n    \"b\": \"y\"\n  }\n}\n");
}

TEST_CASE("sizes are read with decimal and binary units", "[container][sharded]") {
    CHECK(parse_size("5GB") == 5'000'000'000);
    CHECK(parse_size("500MB") == 500'000'000);
    CHECK(parse_size("500mb") == 500'000'000);
    CHECK(parse_size("2GiB") == 2'147'483'648);
    CHECK(parse_size("3KiB") == 3072);
    CHECK(parse_size("7TB") == 7'000'000'000'000);
    CHECK(parse_size("1000") == 1000);
    CHECK(parse_size("1B") == 1);
}

TEST_CASE("sizes that are none are refused", "[container][sharded]") {
    for (const std::string size : {"", "GB", "0", "0GB", "-1GB", "1.5GB", "5 GB", "5GBs", "5G", "18446744073709551616",
                                   "18446744073709551615KB", "+5GB"})
        CHECK_THROWS_WITH(parse_size(size),
                          "'" + size + "' is not a size, expected a whole number and a unit: 5GB, 500MB, 2GiB");
    CHECK_THROWS_AS(parse_size("many"), UsageError);
}
