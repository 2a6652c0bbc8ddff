// SPDX-License-Identifier: Apache-2.0
// FP8 in blocks is read as bf16; other quantizations are refused by name.
#include <cstdint>
#include <string>
#include <vector>

#include "crossdock/container/safetensors/reader.hpp"
#include "crossdock/container/safetensors/writer.hpp"
#include "crossdock/core/float_formats.hpp"
#include "crossdock/core/from_memory.hpp"
#include "crossdock/core/same_bytes.hpp"
#include "support/catch.hpp"
#include "support/conversion.hpp"

using namespace crossdock;
using namespace crossdock::test;
using Catch::Matchers::ContainsSubstring;

namespace {

constexpr const char* source = "hf/llama3-gqa";
constexpr std::uint64_t rows_of_block = 5, columns_of_block = 24;  // which divide no size of the model

/// A quantized weight and its scales, made up, and what they are as bf16.
struct Quantized {
    explicit Quantized(const Shape& shape) {
        const std::uint64_t rows = shape[0], columns = shape[1];
        const std::uint64_t down = (rows + rows_of_block - 1) / rows_of_block,
                            across = (columns + columns_of_block - 1) / columns_of_block;
        std::vector<std::uint8_t> bits(rows * columns);
        std::vector<float> factors(down * across);
        std::vector<std::uint16_t> values(bits.size());
        for (std::uint64_t i = 0; i < bits.size(); ++i)
            bits[i] = static_cast<std::uint8_t>(i * 29 % 127 + i % 3 / 2 * 128);
        for (std::uint64_t i = 0; i < factors.size(); ++i) factors[i] = 0.0003F * static_cast<float>(i + 1);
        for (std::uint64_t i = 0; i < bits.size(); ++i)
            values[i] = f32_to_bf16(f8_e4m3_to_f32(bits[i]) *
                                    factors[i / columns / rows_of_block * across + i % columns / columns_of_block]);
        codes = from_vector(std::move(bits), shape, DType::f8_e4m3);
        scales = from_vector(std::move(factors), {down, across});
        plain = from_vector(std::move(values), shape, DType::bf16);
    }

    Tensor codes{}, scales{}, plain{};
};

/// A model whose linear layers are FP8, and the same dequantized.
class Fp8Folders {
public:
    Fp8Folders() {
        std::filesystem::create_directory(fp8);
        std::filesystem::create_directory(plain);
        safetensors::Writer codes(fp8 / "model.safetensors", 1U << 14), values(plain / "model.safetensors", 1U << 14);
        for (const NamedTensor& entry : safetensors::read(golden(source) / "model.safetensors").entries()) {
            if (entry.name.find("_proj.") == std::string::npos) {
                add_tensor(codes, entry.name, entry.tensor);
                add_tensor(values, entry.name, entry.tensor);
                continue;
            }
            const Quantized weight(entry.tensor.shape());
            add_tensor(codes, entry.name, weight.codes);
            add_tensor(codes, entry.name + "_scale_inv", weight.scales);
            add_tensor(values, entry.name, weight.plain);
        }
        codes.finish();
        values.finish();
        for (const auto& directory : {fp8, plain})
            std::filesystem::copy(golden(source) / "config.json", directory / "config.json");
        edit_json(fp8 / "config.json", [](Json& config) {
            config["quantization_config"] = {{"quant_method", "fp8"},
                                             {"fmt", "e4m3"},
                                             {"activation_scheme", "dynamic"},
                                             {"weight_block_size", {rows_of_block, columns_of_block}}};
        });
    }

private:
    TemporaryDirectory scratch_;

public:
    const std::filesystem::path fp8 = scratch_ / "fp8", plain = scratch_ / "plain", out = scratch_ / "out";
};

std::string config_refusal(const char* key, const Json& value) {
    const TemporaryDirectory scratch;
    const auto copy = copied(source, scratch);
    edit_json(copy / "config.json", [&](Json& config) { config[key] = value; });
    return refusal([&] { load("llama", copy); });
}

std::string fp8_refusal(const char* key, const Json& value) {
    Json quantization{{"quant_method", "fp8"}, {"weight_block_size", {128, 128}}};
    quantization[key] = value;
    return config_refusal("quantization_config", quantization);
}

}  // namespace

TEST_CASE("FP8 in blocks is the model that its weights times their scales are", "[plugin][hub]") {
    const Fp8Folders folders;
    const auto fp8 = load("llama", folders.fp8), plain = load("llama", folders.plain);
    CHECK(differences(*fp8, *plain) == none);
    CHECK(fp8->header().params_dtype == DType::bf16);
    REQUIRE(fp8->notices().size() == 1);
    CHECK_THAT(fp8->notices()[0],
               ContainsSubstring("config.json: the weights are FP8 in blocks of 5 × 24; 14 tensors are "
                                 "dequantized to bf16, and quantization_config is left out"));
}

TEST_CASE("what FP8 becomes says nothing of it, and is cut at any place", "[plugin][hub]") {
    const Fp8Folders folders;
    save(*load("llama", folders.fp8), "llama", folders.out);
    CHECK_FALSE(read_json(folders.out / "config.json").contains("quantization_config"));
    const TensorDict got = safetensors::read(folders.out / "model.safetensors"),
                     want = safetensors::read(folders.plain / "model.safetensors");
    REQUIRE(got.entries().size() == want.entries().size());
    for (const NamedTensor& entry : want.entries()) {
        INFO(entry.name);
        REQUIRE(got.find(entry.name));
        CHECK(got.find(entry.name)->tensor.dtype() == DType::bf16);
        CHECK(got.find(entry.name)->tensor.bytes() == entry.tensor.bytes());
    }
    std::filesystem::remove_all(folders.out);
    save(*load("llama", folders.fp8), "mcore", folders.out,
         {{"target_tensor_parallel_size", "2"}, {"ckpt_format", "torch"}});
    CHECK(differences(*load("mcore", folders.out), *load("llama", folders.plain)) == none);
}

TEST_CASE("DeepSeek's FP8 becomes what PyTorch makes of it", "[plugin][hub]") {
    const TemporaryDirectory scratch;
    save(*load("hf", golden("fp8/deepseek-v3")), "hf", scratch / "out");
    const TensorDict got = safetensors::read(scratch / "out" / "model.safetensors"),
                     want = safetensors::read(golden("fp8/dequantized.safetensors"));
    CHECK(got.entries().size() == want.entries().size());
    for (const NamedTensor& entry : want.entries()) {
        INFO(entry.name);
        REQUIRE(got.find(entry.name));
        CHECK(same_bytes(got.find(entry.name)->tensor, entry.tensor));
    }
}

TEST_CASE("FP8 weights without scales that fit are refused by name", "[plugin][hub]") {
    const Fp8Folders folders;
    const std::string name = "model.layers.1.mlp.up_proj.weight", scale = name + "_scale_inv";
    const auto why = [&](const std::function<bool(NamedTensor&)>& edit) {
        edit_tensors(folders.fp8, edit);
        return refusal([&] { load("llama", folders.fp8); });
    };
    CHECK_THAT(why([&](NamedTensor& entry) {
                   if (entry.name == scale) entry.tensor = slice(entry.tensor, 0, 1, entry.tensor.shape()[0]);
                   return true;
               }),
               ContainsSubstring("model.safetensors: tensor '" + scale + "': a tensor [") &&
                   ContainsSubstring("in blocks of 5 × 24 has scales ["));
    CHECK_THAT(why([&](NamedTensor& entry) { return entry.name != scale; }),
               ContainsSubstring("tensor '" + name + "' is f8_e4m3, and its scales '" + scale + "' are missing"));
    CHECK_THAT(why([&](NamedTensor& entry) {
                   if (entry.name == name) entry.name = scale;  // scales of nothing
                   return true;
               }),
               ContainsSubstring("tensor '" + scale + "' is f8_e4m3"));
}

TEST_CASE("FP8 of another kind is refused with what is read", "[plugin][hub]") {
    CHECK_THAT(
        fp8_refusal("fmt", "e5m2"),
        ContainsSubstring("config.json: 'quantization_config' asks for quantized weights (fp8 with fmt \"e5m2\", "
                          "only e4m3 is read), which are not supported; load it with transformers and "
                          "FineGrainedFP8Config(dequantize=True) and save that"));
    CHECK_THAT(fp8_refusal("activation_scheme", "static"), ContainsSubstring("only dynamic is read"));
    CHECK_THAT(fp8_refusal("weight_block_size", nullptr), ContainsSubstring("fp8 without blocks"));
    for (const Json& size : {Json(128), Json{128}, Json{128, 0}, Json{128, -1}, Json{128, 1.5}, Json{1, 2, 3}})
        CHECK_THAT(fp8_refusal("weight_block_size", size),
                   ContainsSubstring("expected the rows and columns of a block, as [128, 128]"));
    CHECK(fp8_refusal("modules_to_not_convert", {"lm_head"}).empty());  // and no weight is FP8
}

TEST_CASE("other quantizations are refused with a way out", "[plugin][hub]") {
    const auto why = [](const char* method) {
        return config_refusal("quantization_config", {{"quant_method", method}});
    };
    CHECK_THAT(why("mxfp4"), ContainsSubstring("(mxfp4), which are not supported; load it with transformers and "
                                               "Mxfp4Config(dequantize=True) and save that"));
    CHECK_THAT(why("bitsandbytes"), ContainsSubstring("call dequantize() on the model"));
    CHECK_THAT(why("compressed-tensors"), ContainsSubstring("CompressedTensorsConfig(dequantize=True)"));
    for (const char* method : {"gptq", "awq", "fbgemm_fp8"})
        CHECK_THAT(why(method), ContainsSubstring("convert the model that it was made from"));
    CHECK_THAT(why("exl3"), ContainsSubstring("(exl3), which are not supported; dequantize the model first"));
}
