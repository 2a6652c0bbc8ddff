// SPDX-License-Identifier: Apache-2.0
#include "crossdock/plugin/table_saver.hpp"

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "crossdock/container/safetensors/reader.hpp"
#include "crossdock/container/safetensors/writer.hpp"
#include "crossdock/pipeline/convert.hpp"
#include "crossdock/pipeline/verify.hpp"
#include "crossdock/plugin/table_loader.hpp"
#include "support/catch.hpp"
#include "support/numbered_tensor.hpp"
#include "support/synthetic_model.hpp"
#include "support/temporary_directory.hpp"

using namespace crossdock;
using namespace crossdock::test;

// A format of the test's own: a file for each rank of a grid of pipeline stages, tensor-parallel and expert-parallel
// ranks. Expert-parallel ranks hold the same of all that is not an expert's.

namespace {

const TensorTable& grid_table() {
    using L = TransformerLayer;
    static const TensorTable table{
        .messages = {Rows<Embeddings>{{{&Embeddings::word}, {"words"}, as_is, Cut::rows}},
                     Rows<L>{{{&L::input_norm_weight}, {"{}.norm1"}},
                             {{&L::qkv_weight}, {"{}.qkv"}, as_is, Cut::rows},
                             {{&L::dense_weight}, {"{}.out"}, as_is, Cut::columns},
                             {{&L::post_norm_weight}, {"{}.norm2"}},
                             {{&L::gate_weight, &L::up_weight}, {"{}.gate_up"}, gate_over_up, Cut::rows},
                             {{&L::fc2_weight}, {"{}.down"}, as_is, Cut::columns}},
                     Rows<FinalNorm>{{{&FinalNorm::weight}, {"norm"}}}},
        .tied_copy = "head"};
    return table;
}

std::vector<RankCoordinates> ranks_of_stage(std::uint64_t stage) {
    std::vector<RankCoordinates> ranks;
    for (std::uint64_t tensor = 0; tensor < 2; ++tensor)
        for (std::uint64_t expert = 0; expert < 2; ++expert)
            ranks.push_back({.pipeline = stage, .tensor = tensor, .expert = expert});
    return ranks;
}

std::string file_of(const RankCoordinates& at) {
    return to_text("rank_", at.pipeline, "_", at.tensor, "_", at.expert, ".safetensors");
}

/// Layers 0 and 1 on the first stage, layer 2 on the second.
std::vector<LayerPlace> places() { return {{0, {"", 0}}, {0, {"", 1}}, {1, {"", 0}}}; }

class GridSaver final : public TableSaver {
public:
    explicit GridSaver(const std::filesystem::path& directory) : TableSaver(directory, false) {}

private:
    void prepare() override { table_ = grid_table(); }
    TargetCheckpoint open(const OutputPath& directory) override {
        TargetCheckpoint target{.layers = places()};
        for (std::uint64_t stage = 0; stage < 2; ++stage)
            for (const RankCoordinates& at : ranks_of_stage(stage))
                target.writers[at] = std::make_unique<safetensors::Writer>(directory / file_of(at), 4096);
        return target;
    }
    void close(TargetCheckpoint&, const OutputPath&) override {}
};

/// A tied model of three layers.
ModelHeader small_model() {
    ModelHeader header = llama_header(3, 4, 2, 8, 32, 48, 64, DType::bf16);
    header.tied_embeddings = true;
    return header;
}

void write_grid(const std::filesystem::path& directory) {
    SyntheticLoader source(small_model(), 1);
    GridSaver saver(directory);
    convert(source, saver);
}

/// Opens what GridSaver wrote; a tensor of the rank `altered` is another one.
TableLoader open_grid(const std::filesystem::path& directory, const std::string& name = {},
                      RankCoordinates altered = {}) {
    OpenCheckpoint open{
        .header = small_model(), .table = &grid_table(), .layers = places(), .description = directory.string()};
    for (std::uint64_t stage = 0; stage < 2; ++stage) {
        std::vector<TensorDict> ranks;
        for (const RankCoordinates& at : ranks_of_stage(stage)) {
            const TensorDict stored = safetensors::read(directory / file_of(at));
            TensorDict dict;
            for (NamedTensor entry : stored.entries()) {
                if (entry.name == name && at == altered)
                    entry.tensor = region(memory_source(std::string(entry.tensor.byte_count(), 'x')), 0,
                                          entry.tensor.dtype(), entry.tensor.shape());
                entry.file = file_of(at);
                dict.add(std::move(entry));
            }
            ranks.push_back(std::move(dict));
        }
        open.stages.emplace_back(std::move(ranks), ranks_of_stage(stage));
    }
    return TableLoader(std::move(open));
}

std::string error_of(TableLoader loader) {
    try {
        loader.begin();
    } catch (const Error& error) {
        return error.what();
    }
    return {};
}

}  // namespace

TEST_CASE("a grid of ranks is written and read by the ranks' coordinates", "[plugin][table_saver]") {
    const TemporaryDirectory directory;
    write_grid(directory / "grid");
    SyntheticLoader source(small_model(), 1);
    TableLoader loader = open_grid(directory / "grid");
    const VerifyReport report = verify(source, loader);
    CHECK(report.equal());
    CHECK(report.tensors == 1 + 3 * 7 + 1);
    CHECK(loader.storage().ranks.size() == 8);
    // Tensor-parallel ranks have halves, the last stage a copy of the embeddings for its head.
    const TensorDict last = safetensors::read(directory / "grid" / file_of({.pipeline = 1, .tensor = 1, .expert = 1}));
    CHECK(last.find("0.down")->tensor.shape() == Shape{32, 24});
    CHECK(last.find("head")->tensor.shape() == Shape{32, 32});
}

TEST_CASE("ranks that must hold the same and do not are named", "[plugin][table_saver]") {
    const TemporaryDirectory directory;
    write_grid(directory / "grid");
    CHECK(error_of(open_grid(directory / "grid", "0.qkv", {.pipeline = 1, .tensor = 1, .expert = 1})) ==
          "tensor '0.qkv' differs between tensor-parallel ranks 1 and 1 of expert-parallel rank 1 "
          "(rank_1_1_0.safetensors, rank_1_1_1.safetensors), which both hold all of it; the files are of different "
          "checkpoints, or one is damaged");
    CHECK(error_of(open_grid(directory / "grid", "1.norm2", {.pipeline = 0, .tensor = 1, .expert = 0})) ==
          "tensor '1.norm2' differs between tensor-parallel ranks 0 and 1 (rank_0_0_0.safetensors, "
          "rank_0_1_0.safetensors), which both hold all of it; the files are of different checkpoints, or one is "
          "damaged");
}

TEST_CASE("a layer that is not there is refused", "[plugin][table_saver]") {
    const TemporaryDirectory directory;
    write_grid(directory / "grid");
    TableLoader loader = open_grid(directory / "grid");
    CHECK_THROWS_WITH(loader.load<TransformerLayer>(3), (directory / "grid").string() + ": there is no layer 3 of 3");
}

TEST_CASE("a saver refuses messages before the header", "[plugin][table_saver]") {
    const TemporaryDirectory directory;
    GridSaver saver(directory / "grid");
    CHECK_THROWS_WITH(saver.write(Embeddings{}), "the saver is given a message before the header");
    CHECK_THROWS_WITH(saver.finish(), "the saver is given a message before the header");
}
