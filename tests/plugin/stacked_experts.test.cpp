// SPDX-License-Identifier: Apache-2.0
// All experts of a layer in one tensor, which is read and never written.
#include <optional>
#include <string>
#include <vector>

#include "crossdock/container/safetensors/reader.hpp"
#include "crossdock/container/safetensors/writer.hpp"
#include "crossdock/core/recipe.hpp"
#include "crossdock/family/tensor_table.hpp"
#include "crossdock/layout/stack.hpp"
#include "support/catch.hpp"
#include "support/conversion.hpp"
#include "support/megatron_rank_file.hpp"

using namespace crossdock;
using namespace crossdock::test;
using Catch::Matchers::ContainsSubstring;

namespace {

/// The tensors with those of experts, which `pattern` names with "{e}", stacked as `name`.
std::vector<NamedTensor> stacked(std::vector<NamedTensor> tensors, const std::vector<std::string>& patterns,
                                 const std::string& name) {
    const auto take = [&](const std::string& wanted) {
        for (auto entry = tensors.begin(); entry != tensors.end(); ++entry)
            if (entry->name == wanted) {
                const Tensor found = entry->tensor;
                tensors.erase(entry);
                return std::optional(found);
            }
        return std::optional<Tensor>();
    };
    std::vector<Tensor> experts;
    for (std::uint64_t expert = 0;; ++expert) {
        std::vector<Tensor> parts;
        for (const std::string& pattern : patterns)
            if (const auto part = take(stored_name(pattern, 0, expert))) parts.push_back(*part);
        if (parts.empty()) break;
        experts.push_back(concatenate(parts, 0));
    }
    if (!experts.empty()) tensors.push_back({name, stack_elements(experts), {}});
    return tensors;
}

/// A copy of a golden folder of Hugging Face's whose experts lie in memory as transformers 5 has them.
std::filesystem::path in_memory_names(const char* name, const std::vector<std::string>& gate_up,
                                      const std::string& down, const TemporaryDirectory& scratch) {
    const auto copy = copied(name, scratch);
    std::vector<NamedTensor> tensors = safetensors::read(golden(name) / "model.safetensors").entries();
    for (const char* layer : {"0", "1", "2"}) {
        const std::string file = to_text("model.layers.", layer, '.'), memory = file + "mlp.";
        tensors = stacked(tensors, {file + gate_up[0], file + gate_up[1]}, memory + "experts.gate_up_proj");
        tensors = stacked(tensors, {file + down}, memory + "experts.down_proj");
    }
    std::filesystem::remove(copy / "model.safetensors");
    safetensors::Writer writer(copy / "model.safetensors", 1U << 14);
    for (const NamedTensor& entry : tensors)
        add_tensor(writer, replaced(entry.name, "block_sparse_moe.gate.", "mlp.gate."), entry.tensor);
    writer.finish();
    return copy;
}

const std::string expert = "mlp.experts.{e}.";

std::filesystem::path qwen_in_memory(const char* name, const TemporaryDirectory& scratch) {
    return in_memory_names(name, {expert + "gate_proj.weight", expert + "up_proj.weight"}, expert + "down_proj.weight",
                           scratch);
}

}  // namespace

TEST_CASE("experts as transformers 5 has them in memory are read", "[plugin][hub][experts]") {
    for (const char* name : {"hf/qwen2-moe", "hf/qwen3-moe"}) {
        const TemporaryDirectory scratch;
        const auto folder = qwen_in_memory(name, scratch);
        INFO(name);
        CHECK(differences(*load("qwen", folder), *load("qwen", golden(name))) == none);
    }
    const TemporaryDirectory scratch;
    const std::string block = "block_sparse_moe.experts.{e}.";
    const auto folder =
        in_memory_names("hf/mixtral", {block + "w1.weight", block + "w3.weight"}, block + "w2.weight", scratch);
    CHECK(differences(*load("mistral", folder), *load("mistral", golden("hf/mixtral"))) == none);
    save(*load("mistral", folder), "mistral", scratch / "out");
    const TensorDict written = safetensors::read(scratch / "out" / "model.safetensors");
    CHECK(written.find("model.layers.0.block_sparse_moe.experts.1.w3.weight"));
    CHECK_FALSE(written.find("model.layers.0.mlp.experts.gate_up_proj"));
}

TEST_CASE("stacked experts that cannot be are refused by name", "[plugin][hub][experts]") {
    const TemporaryDirectory scratch;
    const auto folder = qwen_in_memory("hf/qwen3-moe", scratch);
    const auto why = [&](const std::function<Tensor(const Tensor&)>& change) {
        edit_tensors(folder, [&](NamedTensor& entry) {
            if (entry.name == "model.layers.1.mlp.experts.gate_up_proj") entry.tensor = change(entry.tensor);
            return true;
        });
        return refusal([&] { load("qwen", folder)->load<TransformerLayer>(1); });
    };
    CHECK_THAT(why([](const Tensor& all) { return slice(all, 0, 0, all.shape()[0] - 1); }),
               ContainsSubstring("tensor 'model.layers.1.mlp.experts.") && ContainsSubstring("is missing"));
    CHECK_THAT(why([](const Tensor& all) { return slice(all, 1, 0, all.shape()[1] - 1); }),
               ContainsSubstring("model.safetensors: tensor 'model.layers.1.mlp.experts.gate_up_proj' has shape [") &&
                   ContainsSubstring("2 matrices of equal size in each"));
    CHECK_THAT(why([](const Tensor& all) {
                   return Tensor(all.dtype(), {1U << 20, 2, 0}, all.recipe());
               }),
               ContainsSubstring("expected at most 65536 experts"));
}

TEST_CASE("a grouped weight of all experts of a rank is read, as newer releases of Megatron-Core may have it",
          "[plugin][megatron][experts]") {
    const char* name = "megatron-core/qwen3-moe-te-grouped-tp2ep2etp1";
    const TemporaryDirectory scratch;
    const auto copy = copied(name, scratch);
    for (const char* rank : {"mp_rank_00_000", "mp_rank_01_001"})
        edit_rank(rank_file(copy, rank), [](RankFile& file) {
            for (const char* layer : {"0", "1", "2"})
                for (const char* linear : {"linear_fc1.weight", "linear_fc2.weight"}) {
                    const std::string whole = to_text("decoder.layers.", layer, ".mlp.experts.", linear);
                    file.tensors = stacked(file.tensors, {whole + "{e}"}, whole);
                }
        });
    CHECK(differences(*load("mcore", copy), *load("mcore", golden(name))) == none);
}
