// SPDX-License-Identifier: Apache-2.0
#include "crossdock/pipeline/statistics.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <stop_token>
#include <string>
#include <vector>

#include "crossdock/core/from_memory.hpp"
#include "crossdock/core/recipe.hpp"
#include "crossdock/protocol/message_bytes.hpp"
#include "support/altered_loader.hpp"
#include "support/catch.hpp"
#include "support/conversion.hpp"

using namespace crossdock;
using test::AlteredLoader;

namespace {

/// A model whose tensors are of many blocks.
ModelHeader large_header() { return test::llama_header(2, 4, 2, 64, 256, 1024, 1000, DType::f32); }

}  // namespace

TEST_CASE("statistics tell of every tensor what its values are", "[pipeline][statistics]") {
    AlteredLoader model(large_header(), 1);
    const StatisticsReport report = statistics(model, {.threads = 2});
    CHECK(report.bytes == expected_model_bytes(large_header(), DType::f32));
    REQUIRE(report.tensors.size() == 17);
    CHECK(report.tensors[0].place == "embeddings / word embeddings");
    const Tensor words = *model.embeddings().word;
    const std::vector<std::byte> bytes = words.bytes();
    std::vector<float> values(words.element_count());
    std::memcpy(values.data(), bytes.data(), bytes.size());
    const Statistics& found = report.tensors[0].statistics;
    CHECK(found.nans == static_cast<std::uint64_t>(std::count_if(values.begin(), values.end(),
                                                                 [](float value) { return std::isnan(value); })));
    CHECK(found.nans > 0);  // the model's values are any bits
    std::erase_if(values, [](float value) { return !std::isfinite(value); });
    CHECK(found.min == *std::min_element(values.begin(), values.end()));
    CHECK(found.max == *std::max_element(values.begin(), values.end()));
}

TEST_CASE("statistics depend neither on threads nor on memory", "[pipeline][statistics]") {
    AlteredLoader model(large_header(), 1);
    const StatisticsReport once = statistics(model, {.threads = 1});
    const StatisticsReport again = statistics(model, {.threads = 5, .memory = std::uint64_t{64} << 20});
    REQUIRE(again.tensors.size() == once.tensors.size());
    for (std::size_t i = 0; i < once.tensors.size(); ++i) {
        CHECK(again.tensors[i].place == once.tensors[i].place);
        CHECK(again.tensors[i].statistics.mean == once.tensors[i].statistics.mean);
        CHECK(again.tensors[i].statistics.min == once.tensors[i].statistics.min);
    }
}

TEST_CASE("statistics read what is wanted, and tell how far they are", "[pipeline][statistics]") {
    AlteredLoader model(large_header(), 1);
    Progress last;
    const StatisticsReport report =
        statistics(model, {.threads = 2,
                           .progress = [&](const Progress& progress) { last = progress; },
                           .wanted = [](const std::string& place) { return place.ends_with("norm weight"); }});
    CHECK(report.tensors.size() == 4);
    CHECK(report.bytes == 4 * large_header().hidden_size * sizeof(float));
    CHECK(last.bytes == report.bytes);
    CHECK(last.total_bytes == report.bytes);
}

TEST_CASE("statistics stop when they are told to", "[pipeline][statistics]") {
    AlteredLoader model(large_header(), 1);
    std::stop_source stop;
    stop.request_stop();
    CHECK_THROWS_AS(statistics(model, {.stop = stop.get_token()}), Cancelled);
}

TEST_CASE("any tensors have statistics", "[pipeline][statistics]") {
    const std::vector<NamedTensor> tensors{{"a", from_vector(std::vector<float>{1, 2, 6}, {3}), {}},
                                           {"b", from_vector(std::vector<float>{}, {0, 2}), {}},
                                           {"c", from_vector(std::vector<float>{-7}, Shape{}), {}}};
    const StatisticsReport report = statistics(tensors);
    REQUIRE(report.tensors.size() == 3);
    CHECK(report.tensors[0].statistics.mean == 3.0);
    CHECK_FALSE(report.tensors[1].statistics.mean);
    CHECK(report.tensors[2].statistics.max == -7.0);
}
