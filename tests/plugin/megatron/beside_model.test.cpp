// SPDX-License-Identifier: Apache-2.0
#include "crossdock/plugin/megatron/beside_model.hpp"

#include <string>
#include <vector>

#include "crossdock/container/torch/reader.hpp"
#include "crossdock/container/torch/writer.hpp"
#include "crossdock/core/from_memory.hpp"
#include "support/catch.hpp"
#include "support/conversion.hpp"

using namespace crossdock;
using test::TemporaryDirectory;

TEST_CASE("what a rank's file holds beside the model is listed, with what it belongs to", "[plugin][megatron]") {
    const TemporaryDirectory scratch;
    const auto file = scratch / "model_optim_rng.pt";
    {
        torch::Writer writer(file);
        const Tensor tensor = from_vector(std::vector<float>{1, 2, 3}, {3});
        test::add_tensor(writer, "model/norm/weight", tensor);
        test::add_tensor(writer, "optimizer/state/exp_avg", tensor);
        test::add_tensor(writer, "rng_state/cuda", tensor);
        writer.finish();
    }
    const pickle::Value root = torch::read(file);
    std::vector<SourceTensor> tensors;
    detail::BesideModel(file.string()).add(root, {"model"}, tensors);
    REQUIRE(tensors.size() == 2);
    CHECK(tensors[0].name == "optimizer.state.exp_avg");
    CHECK(tensors[0].use == TensorUse::ignored);
    CHECK(tensors[0].why == "not of the model: 'optimizer' of the training run");
    CHECK(tensors[0].bytes == 12);
    CHECK(tensors[0].file == file.string());
    CHECK(tensors[1].name == "rng_state.cuda");
    tensors.clear();
    detail::BesideModel(file.string()).add(root, {""}, tensors);
    CHECK(tensors.empty());
}
