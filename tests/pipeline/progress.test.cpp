// SPDX-License-Identifier: Apache-2.0
#include "crossdock/pipeline/progress_reporter.hpp"
#include "support/altered_loader.hpp"
#include "support/catch.hpp"

using namespace crossdock;
using detail::ProgressReporter;

TEST_CASE("the header tells the bytes of the whole model", "[pipeline]") {
    test::SyntheticLoader loader(test::small_header(), 1);
    std::uint64_t bytes =
        byte_count(loader.embeddings()) + byte_count(loader.final_norm()) + byte_count(loader.output_layer());
    for (std::uint64_t index = 0; index < 3; ++index) bytes += byte_count(loader.layer(index));
    CHECK(expected_model_bytes(loader.header(), DType::f32) == bytes);
    CHECK(expected_model_bytes(loader.header(), DType::bf16) == bytes / 2);
}

TEST_CASE("the total follows what the messages turn out to be", "[pipeline]") {
    test::SyntheticLoader loader(test::small_header(), 1);
    ProgressReporter reporter;
    Progress last;
    const ProgressReporter::Listening listening(reporter, [&](const Progress& progress) { last = progress; });
    reporter.took(loader.header(), DType::bf16);
    CHECK(last.message == "header");
    const std::uint64_t expected = last.total_bytes, embeddings = 100 * 32 * 2;
    reporter.took(loader.embeddings());  // in f32
    CHECK(last.total_bytes == expected + embeddings);
    reporter.planned(1000);
    reporter.planned(1000);
    reporter.took(loader.layer(0));
    CHECK(last.message == "transformer layer 0");
    CHECK(last.total_bytes == expected + embeddings - byte_count(loader.layer(0)) / 2 + 2000);
    reporter.done(500);
    CHECK(last.bytes == 500);
}

TEST_CASE("nobody hears of what is reported too late", "[pipeline]") {
    ProgressReporter reporter;
    int calls = 0;
    {
        const ProgressReporter::Listening listening(reporter, [&](const Progress&) { ++calls; });
        reporter.done(1);
    }
    reporter.done(1);
    CHECK(calls == 1);
    CHECK(reporter.bytes() == 2);
}
