// SPDX-License-Identifier: Apache-2.0
#include "crossdock/container/foreign_files.hpp"

#include <algorithm>

#include "crossdock/container/foreign_directory.hpp"
#include "crossdock/container/safetensors/reader.hpp"
#include "crossdock/container/torch/writer.hpp"
#include "support/catch.hpp"
#include "support/conversion.hpp"
#include "support/run_program.hpp"

using namespace crossdock;
using namespace crossdock::test;
using Catch::Matchers::ContainsSubstring;
using Catch::Matchers::EndsWith;
namespace fs = std::filesystem;

namespace {

const std::string lfs_pointer =
    "version https://git-lfs.github.com/spec/v1\noid sha256:" + std::string(64, '0') + "\nsize 4976698672\n";

/// A Hugging Face Llama whose file was changed into this.
std::string refusal_of_file(const char* file, std::string_view content) {
    const TemporaryDirectory scratch;
    const auto copy = copied("hf/llama2-gqa", scratch);
    if (file != std::string_view("config.json")) fs::remove(copy / "model.safetensors");
    write_file(copy / file, content);
    return refusal([&] { load("llama", copy); });
}

/// What the program says of a folder with these files, when nobody names a loader.
std::string said_of(const std::vector<std::pair<std::string, std::string>>& files) {
    const TemporaryDirectory scratch;
    for (const auto& file : files) {
        fs::create_directories((scratch / file.first).parent_path());
        write_file(scratch / file.first, file.second);
    }
    const ProgramResult result = crossdock_program({"inspect", scratch.path().string()});
    CHECK(result.exit_code == 1);
    CHECK(result.out.empty());
    CHECK(std::count(result.err.begin(), result.err.end(), '\n') == 1);
    return result.err;
}

}  // namespace

TEST_CASE("a file that is something else is called what it is", "[plugin][foreign]") {
    const std::vector<std::pair<std::string, std::string>> contents{
        {lfs_pointer, "is a Git LFS pointer, not the file itself; git lfs pull in its repository fetches it"},
        {"<!DOCTYPE html><title>401</title>", "is a web page, not the file itself"},
        {"\n  <html lang=en>", "is a web page, not the file itself"},
        {"Entry not found", "holds only the text 'Entry not found'; the download failed"},
        {"", "is empty; the download did not finish"},
        {std::string(4096, '\0'), "begins with nothing but zeros; the download did not finish"},
        {std::string("GGUF\3\0\0\0\0\0\0\0", 12), "is a GGUF file of llama.cpp"},
        {"\x89HDF\r\n\x1a\n........", "is an HDF5 file"},
        {std::string("\x1f\x8b\x08\0\0\0\0\0\0\0", 10), "is a gzip archive"}};
    for (const auto& line : contents)
        for (const char* file : {"model.safetensors", "pytorch_model.bin"}) {
            CAPTURE(line.second, file);
            const std::string said = refusal_of_file(file, line.first);
            CHECK_THAT(said, ContainsSubstring(to_text("/", file, ": ", line.second)));
            CHECK(said.find('\n') == said.npos);
        }
    CHECK_THAT(refusal_of_file("model.safetensors", "PK\3\4\x14\x14\x14\x14\x14\x14\x14"),
               ContainsSubstring("is a zip archive"));
    CHECK_THAT(refusal_of_file("pytorch_model.bin", std::string("\x02\0\0\0\0\0\0\0{}", 10)),
               ContainsSubstring("is a safetensors file; rename it"));
}

TEST_CASE("a config.json that is something else is called what it is", "[plugin][foreign]") {
    for (const std::string& content :
         {lfs_pointer, std::string("<html>"), std::string("Entry not found"), std::string()})
        CHECK_THAT(refusal_of_file("config.json", content),
                   ContainsSubstring(to_text("/config.json: ", foreign_content(content, content.size()))));
    CHECK_THAT(said_of({{"config.json", lfs_pointer}}), ContainsSubstring("/config.json: is a Git LFS pointer"));
    CHECK_THAT(said_of({{"params.json", "<html>"}}), ContainsSubstring("/params.json: is a web page"));
    CHECK_THAT(said_of({{"config.json", "{\"model_type\": \"llama\","}}),
               ContainsSubstring("/config.json: is not valid JSON"));
    CHECK_THAT(said_of({{"config.json", "[]"}}), ContainsSubstring("/config.json: expected a JSON object"));
}

TEST_CASE("files that are what they should be are not taken for something else", "[plugin][foreign]") {
    for (const std::string_view head : {"{\"a\": 1}", "{}", "ordinary", "\x80\x03 whatever"})
        CHECK(foreign_content(head, head.size()).empty());
    CHECK(foreign_directory(golden("hf/llama2-gqa")).empty());
    CHECK(foreign_directory(golden("meta/llama2-gqa")).empty());
}

TEST_CASE("a folder that is something else is called what it is, with what to do", "[plugin][foreign]") {
    const auto says = [](const std::vector<std::pair<std::string, std::string>>& files, const std::string& what) {
        const std::string said = said_of(files);
        CAPTURE(said, what);
        CHECK(said.find(what) != said.npos);
    };
    says({{"adapter_config.json", "{}"}, {"adapter_model.safetensors", ""}},
         "holds a LoRA adapter and no model; merge");
    says({{"snapshots/abc/config.json", "{}"}}, "is the root of a hub cache entry; the model is in snapshots/abc");
    says({{"snapshots/a/config.json", "{}"}, {"snapshots/b/config.json", "{}"}, {"refs/main", "b"}},
         "snapshots/b, give");
    says({{"models--x--y/snapshots/a/config.json", "{}"}}, "there is one in models--x--y/snapshots/a");
    says({{"model.Q4_K_M.gguf", "GGUF"}}, "holds a GGUF file of llama.cpp");
    says({{"iter_1.distcp", ""}, {".metadata", ""}}, "is a distributed checkpoint");
    says({{"zero_to_fp32.py", ""}, {"global_step5/mp_rank_00_model_states.pt", ""}}, "zero_to_fp32.py");
    says({{"model_index.json", "{}"}, {"unet/config.json", "{}"}}, "is a pipeline of diffusers");
    says({{"tf_model.h5", ""}}, "holds weights of TensorFlow");
    says({{"flax_model.msgpack", ""}}, "holds weights of Flax");
    says({{"model.onnx", ""}}, "holds an exported graph");
    says({{"llama.nemo", ""}}, "holds a .nemo file");
    says({{"model.tar.gz", ""}}, "holds an archive; unpack it");
    says({{"a/config.json", "{}"}, {"b/config.json", "{}"}},
         "holds several folders with models, none itself: a, b; give one");
    says({{"original/params.json", "{}"}}, "holds no model itself; there is one in original, give that folder");
    says({{"model.safetensors", ""}}, "holds model.safetensors but no config.json");
    says({{"consolidated.00.pth", ""}}, "holds consolidated.00.pth but no params.json");
    says({{"config.json", R"({"model_type": "phi3"})"}},
         "model_type is 'phi3', a family that is not read; read are llama");
    says({{"config.json", R"({"error": "Access is restricted"})"}}, "a server's message, 'Access is restricted'");
    says({{"config.json", "{}"}}, "config.json: has no model_type");
    says({{"params.json", "{}"}}, "params.json: has no 'dim'");
    says({{"config.json", R"({"model_type": "llama"})"}}, "config.json: ");
    says({}, ": is empty");
}

TEST_CASE("a loader that is named says the same of folders", "[plugin][foreign]") {
    const TemporaryDirectory scratch;
    fs::create_directories(scratch / "cache/snapshots/abc");
    CHECK_THAT(refusal([&] { load("llama", scratch / "cache"); }), ContainsSubstring("the model is in snapshots/abc"));
    const auto copy = copied("hf/llama2-gqa", scratch);
    fs::rename(copy / "model.safetensors", copy / "model-00001-of-00002.safetensors");
    CHECK_THAT(refusal([&] { load("llama", copy); }),
               ContainsSubstring("holds model-00001-of-00002.safetensors but no index (model.safetensors.index.json)"));
    fs::remove(copy / "model-00001-of-00002.safetensors");
    write_file(copy / "tf_model.h5", "");
    CHECK_THAT(refusal([&] { load("llama", copy); }), ContainsSubstring("holds weights of TensorFlow"));
    CHECK_THAT(refusal([&] { load("llama", copy / "config.json"); }),
               EndsWith("config.json: is not a directory; give the folder that holds the file"));
    write_file(copy / "model.gguf", "GGUF");
    CHECK_THAT(refusal([&] { load("llama", copy / "model.gguf"); }), ContainsSubstring("it is a GGUF file"));
}

TEST_CASE("an index of safetensors may name files of torch", "[plugin][foreign]") {
    const TemporaryDirectory scratch;
    const auto source = load("llama", golden("hf/llama2-gqa"));
    const auto copy = copied("hf/llama2-gqa", scratch);
    const TensorDict dict = safetensors::read(copy / "model.safetensors");
    Json map;
    {
        torch::Writer writer(copy / "pytorch_model.bin");
        for (const NamedTensor& entry : dict.entries()) {
            add_tensor(writer, entry.name, entry.tensor);
            map[entry.name] = "pytorch_model.bin";
        }
        writer.finish();
    }
    fs::remove(copy / "model.safetensors");
    write_file(copy / "model.safetensors.index.json", Json{{"weight_map", map}}.dump());
    const auto loaded = load("llama", copy);
    CHECK(loaded->notices() == none);
    CHECK(differences(*source, *loaded) == none);
}

TEST_CASE("an adapter or a pointer beside a model is a warning", "[plugin][foreign]") {
    const TemporaryDirectory scratch;
    const auto copy = copied("hf/llama2-gqa", scratch);
    write_file(copy / "adapter_config.json", "{}");
    write_file(copy / "adapter_model.safetensors", "");
    write_file(copy / "tokenizer.model", lfs_pointer);
    const auto notices = load("llama", copy)->notices();
    REQUIRE(notices.size() == 2);
    CHECK_THAT(notices[0], ContainsSubstring("adapter_config.json: the adapter beside the model is not applied"));
    CHECK_THAT(notices[1], ContainsSubstring("tokenizer.model: is a Git LFS pointer"));
}
