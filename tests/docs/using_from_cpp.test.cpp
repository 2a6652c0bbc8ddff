// SPDX-License-Identifier: Apache-2.0
// The excerpts of docs/using-from-cpp.md, and what the page says of them.
#include <crossdock/crossdock.hpp>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <sstream>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "support/catch.hpp"
#include "support/temporary_directory.hpp"

using crossdock::test::TemporaryDirectory;

namespace {

const std::filesystem::path llama_dir = std::filesystem::path(CROSSDOCK_SOURCE_DIR) / "examples/data/llama-tiny";

/// What a program of one's own has in memory.
struct Weights {
    std::vector<float> values;
};

}  // namespace

TEST_CASE("a plugin is chosen by name at run time", "[docs]") {
    const std::filesystem::path directory = llama_dir;
    // [by-name]
    const std::string name = crossdock::BuiltinLoaders::recognise(directory);  // empty when no loader knows it
    const auto loader = crossdock::BuiltinLoaders::make(name, {{"load_dir", directory.string()}});
    // [by-name]
    CHECK(name == "llama");
    CHECK(loader->header().num_layers > 0);
}

TEST_CASE("two checkpoints are compared from code", "[docs]") {
    const TemporaryDirectory scratch;
    const std::filesystem::path megatron_dir = scratch.path() / "megatron";
    {
        crossdock::LlamaLoader loader({.load_dir = llama_dir});
        crossdock::MegatronSaver saver({.save_dir = megatron_dir, .target_tensor_parallel_size = 2});
        crossdock::convert(loader, saver);
    }
    std::ostringstream out;
    // [verify]
    crossdock::LlamaLoader source({.load_dir = llama_dir});
    crossdock::MegatronLoader target({.load_dir = megatron_dir});
    const crossdock::VerifyReport report = crossdock::verify(source, target);
    for (const crossdock::Difference& difference : report.differences)
        out << difference.place << ": " << difference.text << '\n';
    out << report.tensors << " tensors compared, " << (report.equal() ? "equal" : "different") << '\n';
    // [verify]
    CHECK(out.str() == "31 tensors compared, equal\n");
}

TEST_CASE("a cancelled conversion leaves nothing behind", "[docs]") {
    const TemporaryDirectory scratch;
    const std::filesystem::path save_dir = scratch.path() / "megatron";
    crossdock::LlamaLoader loader({.load_dir = llama_dir});
    crossdock::MegatronSaver saver({.save_dir = save_dir});
    // [cancel]
    std::stop_source stop;
    crossdock::ConvertOptions options;
    options.stop = stop.get_token();
    options.progress = [&](const crossdock::Progress& progress) {
        if (progress.bytes > 100'000) stop.request_stop();  // from here, from a button, from another thread
    };
    CHECK_THROWS_AS(crossdock::convert(loader, saver, options), crossdock::Cancelled);
    // [cancel]
    CHECK(!std::filesystem::exists(save_dir));
}

TEST_CASE("what a progress callback throws ends the conversion", "[docs]") {
    const TemporaryDirectory scratch;
    crossdock::LlamaLoader loader({.load_dir = llama_dir});
    crossdock::MegatronSaver saver({.save_dir = scratch.path() / "megatron"});
    crossdock::ConvertOptions options;
    options.progress = [](const crossdock::Progress&) { throw 7; };
    CHECK_THROWS_AS(crossdock::convert(loader, saver, options), int);
    CHECK(!std::filesystem::exists(scratch.path() / "megatron"));
}

TEST_CASE("tensors are made of a program's own memory", "[docs]") {
    using namespace crossdock;
    // [vector]
    const Tensor matrix = from_vector(std::vector<float>{1, 2, 3, 4, 5, 6}, {2, 3});
    const Tensor halves = from_vector(std::vector<std::uint16_t>{0x3F80, 0x4000}, {2}, DType::bf16);  // 1 and 2
    // [vector]
    const auto weights = std::make_shared<Weights>(Weights{{1, 2, 3, 4}});
    // [bytes]
    const Tensor view = from_bytes(std::as_bytes(std::span(weights->values)), weights, DType::f32, {2, 2});
    // [bytes]
    // [recipe]
    const Tensor turned = transpose(cast(view, DType::f64));
    // [recipe]
    CHECK(matrix.dtype() == DType::f32);
    CHECK(cast(halves, DType::f32).bytes() == from_vector(std::vector<float>{1, 2}, {2}).bytes());
    CHECK(turned.bytes() == from_vector(std::vector<double>{1, 3, 2, 4}, {2, 2}).bytes());

    std::ostringstream file;
    std::size_t hashed = 0;
    const auto hash = [&](std::span<const std::byte> block) { hashed += block.size(); };
    // [blocks]
    write_to(file, turned);
    for_each_block(turned, [&](std::span<const std::byte> block) { hash(block); });
    // [blocks]
    CHECK(file.str().size() == 32);
    CHECK(hashed == 32);
}
