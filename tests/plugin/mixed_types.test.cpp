// SPDX-License-Identifier: Apache-2.0
#include <filesystem>

#include "crossdock/container/torch/writer.hpp"
#include "crossdock/family/original/files.hpp"
#include "crossdock/pipeline/convert.hpp"
#include "crossdock/pipeline/inspect.hpp"
#include "crossdock/pipeline/verify.hpp"
#include "support/catch.hpp"
#include "support/conversion.hpp"
#include "support/memory_source.hpp"
#include "support/plugins.hpp"
#include "support/temporary_directory.hpp"

using namespace crossdock;
using namespace crossdock::test;
using Catch::Matchers::ContainsSubstring;

// Training writes what it holds: a checkpoint may have float types that differ from tensor to tensor. Where two of them
// become one, that is refused by name, and done where the user says which type he wants.

namespace {

/// llama2-gqa with the tensors whose names hold `part` in f32.
std::filesystem::path mixed(const TemporaryDirectory& scratch, const std::string& part) {
    const auto folder = copied("hf/llama2-gqa", scratch);
    edit_tensors(folder, [&](NamedTensor& entry) {
        const bool is_meant = entry.name.find(part) != std::string::npos;
        entry.tensor = cast(entry.tensor, is_meant ? DType::f32 : DType::bf16);
        return true;
    });
    return folder;
}

std::string refusal_of(const std::filesystem::path& from, std::string_view saver, const std::filesystem::path& to) {
    return refusal([&] {
        const auto loader = load("llama", from);
        save(*loader, saver, to);
    });
}

void convert_as_bf16(std::string_view loader, const std::filesystem::path& from, std::string_view saver,
                     const std::filesystem::path& to, OptionValues options = {}) {
    const auto in = load(loader, from);
    options["save_dir"] = to.string();
    const auto out = make_saver(saver, options);
    convert(*in, *out, {.dtype = DType::bf16});
}

/// All tensors as bf16, which is what a conversion with that type must give.
void cast_all(const std::filesystem::path& folder) {
    edit_tensors(folder, [](NamedTensor& entry) {
        entry.tensor = cast(entry.tensor, DType::bf16);
        return true;
    });
}

}  // namespace

TEST_CASE("gate and up of different types do not become one tensor by accident", "[plugin][mixed]") {
    const TemporaryDirectory scratch;
    for (const std::string part : {"gate_proj", "up_proj"})
        for (const std::string saver : {"megatron", "mcore"}) {
            const TemporaryDirectory place;
            const std::string text = refusal_of(mixed(place, part), saver, scratch.path() / "out");
            CHECK_THAT(text, ContainsSubstring("'mlp l0 weight W' is ") && ContainsSubstring("'mlp l0 weight V' is ") &&
                                 ContainsSubstring("give the option dtype to cast them to one type"));
            CHECK(std::filesystem::is_empty(scratch.path()));
        }
}

TEST_CASE("gate and up of different types stay two tensors where the target has two", "[plugin][mixed]") {
    const TemporaryDirectory scratch, place;
    const auto from = mixed(place, "gate_proj");
    const auto loader = load("llama", from);
    save(*loader, "llama", scratch.path() / "out");
    CHECK(differences(*load("llama", from), *load("llama", scratch.path() / "out")) == none);
}

TEST_CASE("q, k and v of different types are refused, before anything is written, and named", "[plugin][mixed]") {
    const TemporaryDirectory scratch, place;
    const std::string text = refusal_of(mixed(place, "k_proj"), "llama", scratch.path() / "out");
    CHECK_THAT(text, ContainsSubstring("'model.layers.0.self_attn.k_proj.weight' is f32, "
                                       "'model.layers.0.self_attn.q_proj.weight' is bf16; they make one tensor: "
                                       "give the option dtype to cast them to one type"));
    CHECK(std::filesystem::is_empty(scratch.path()));
}

TEST_CASE("with a type, tensors of different types are cast before they become one", "[plugin][mixed]") {
    for (const std::string part : {"gate_proj", "q_proj", "v_proj"}) {
        INFO(part);
        const TemporaryDirectory scratch, place;
        const auto from = mixed(place, part);
        convert_as_bf16("llama", from, "mcore", scratch.path() / "mcore");
        const auto back = load("mcore", scratch.path() / "mcore");
        cast_all(from);
        CHECK(differences(*load("llama", from), *back) == none);
    }
}

TEST_CASE("what no type holds is refused, with a type and without", "[plugin][mixed]") {
    const TemporaryDirectory scratch, place;
    const auto from = copied("hf/llama2-gqa", place);
    edit_tensors(from, [](NamedTensor& entry) {
        if (entry.name.ends_with("k_proj.weight"))
            entry.tensor = region(memory_source(std::string(entry.tensor.element_count(), '\1')), 0, DType::i8,
                                  entry.tensor.shape());
        return true;
    });
    CHECK(refusal_of(from, "llama", scratch.path() / "out") != "");
    CHECK(std::filesystem::is_empty(scratch.path()));
}

TEST_CASE("parts of Meta's checkpoint of different types are refused by name, or cast", "[plugin][mixed]") {
    const TemporaryDirectory scratch, place;
    const auto from = copied("meta/llama2-gqa-mp2", place);
    const std::vector<TensorDict> parts = read_original_parts(from).parts;
    const DType before = parts[1].entries().front().tensor.dtype();
    const DType other = before == DType::f32 ? DType::bf16 : DType::f32;
    {
        torch::Writer writer(from / "consolidated.01.pth.new");
        for (const NamedTensor& entry : parts[1].entries())  // but not what both parts hold whole
            add_tensor(writer, entry.name, entry.tensor.shape().rank() == 2 ? cast(entry.tensor, other) : entry.tensor);
        writer.finish();
    }
    std::filesystem::rename(from / "consolidated.01.pth.new", from / "consolidated.01.pth");
    const std::string text = refusal_of(from, "llama", scratch.path() / "out");
    CHECK_THAT(text, ContainsSubstring("consolidated.01.pth: tensor '") && ContainsSubstring("give the option dtype"));
    CHECK(std::filesystem::is_empty(scratch.path()));
    convert_as_bf16("llama", from, "llama", scratch.path() / "out");
    CHECK_FALSE(std::filesystem::is_empty(scratch.path()));
}

TEST_CASE("mixed types can be inspected and compared, and are told", "[plugin][mixed]") {
    const TemporaryDirectory place;
    const auto from = mixed(place, "k_proj");
    const auto loader = load("llama", from);
    const Inspection found = inspect(*loader);
    REQUIRE(found.notices.size() == 1);
    CHECK_THAT(found.notices[0], ContainsSubstring("they make one tensor, read in a type that holds them all"));
    CHECK_THAT(found.notices[0], !ContainsSubstring("the option dtype"));
    const auto a = load("llama", from), b = load("llama", from);
    const VerifyReport report = verify(*a, *b);
    CHECK(report.equal());
    CHECK(report.notices.size() == 2);
    const auto uniform = load("llama", golden("hf/llama2-gqa"));
    const auto again = load("llama", from);
    const VerifyReport other = verify(*again, *uniform);
    CHECK_FALSE(other.equal());
}
