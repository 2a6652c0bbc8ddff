// SPDX-License-Identifier: Apache-2.0
#include "crossdock/plugin/companions.hpp"

#include <sys/stat.h>

#include <filesystem>
#include <string>
#include <vector>

#include "support/catch.hpp"
#include "support/conversion.hpp"

using namespace crossdock;
using namespace crossdock::test;
using Catch::Matchers::ContainsSubstring;
namespace fs = std::filesystem;

namespace {

/// The golden Llama with what stands beside the weights on a hub.
fs::path published(const TemporaryDirectory& scratch) {
    const auto source = copied("hf/llama2-gqa", scratch);
    for (const char* name :
         {"tokenizer.json", "tokenizer.model", "qwen.tiktoken", "chat_template.jinja", "README.md", "LICENSE.txt",
          "NOTICE", "USE_POLICY.md", "modules.json", "sentence_bert_config.json", "config_sentence_transformers.json"})
        write_file(source / name, std::string("the ") + name);
    fs::create_directory(source / "1_Pooling");
    write_file(source / "1_Pooling" / "config.json", "{}");
    fs::create_directory(source / "additional_chat_templates");
    write_file(source / "additional_chat_templates" / "rag.jinja", "{{ documents }}");
    write_file(source / "optimizer.pt", "not the model's");
    return source;
}

std::vector<std::string> names_of(const std::vector<Companion>& companions) {
    std::vector<std::string> names;
    for (const Companion& companion : companions) names.push_back(companion.name);
    return names;
}

std::vector<std::string> found_in(const fs::path& directory, std::vector<std::string>& notices) {
    return names_of(find_companions(directory, notices));
}

}  // namespace

TEST_CASE("what belongs to a model travels through Megatron and back, byte for byte", "[plugin][companions]") {
    const TemporaryDirectory scratch;
    const auto source = published(scratch), there = scratch / "there", back = scratch / "back";
    save(*load("llama", source), "mcore", there);
    fs::remove(there / "crossdock.json");
    save(*load("mcore", there), "llama", back);
    std::vector<std::string> notices;
    const auto names = found_in(source, notices);
    CHECK(names.size() == 14);
    for (const std::string& name : names) CHECK(read_file(source / name) == read_file(back / name));
    CHECK_FALSE(fs::exists(there / "optimizer.pt"));
    CHECK(notices == none);
}

TEST_CASE("a link out of a stranger's folder is not followed, and said", "[plugin][companions]") {
    const TemporaryDirectory scratch;
    const auto source = copied("hf/llama2-gqa", scratch);
    write_file(scratch / "secret", "secret");
    fs::remove(source / "generation_config.json");
    for (const char* name : {"tokenizer.json", "generation_config.json"})
        fs::create_symlink(scratch / "secret", source / name);
    fs::create_symlink("../secret", source / "chat_template.jinja");
    fs::create_symlink("nowhere", source / "vocab.txt");
    const auto loader = load("llama", source);
    const auto told = save(*loader, "llama", scratch / "out");
    CHECK(loader->header().origin.companions.empty());
    for (const char* name : {"tokenizer.json", "generation_config.json", "chat_template.jinja", "vocab.txt"}) {
        CHECK_FALSE(fs::exists(scratch / "out" / name));
        CHECK_THAT(joined_list(told), ContainsSubstring((source / name).string() + ": is a link to "));
    }
    CHECK_THAT(read_file(scratch / "out" / "crossdock.json"), !ContainsSubstring("secret"));
}

TEST_CASE("links within the checkpoint and into a hub's cache are followed", "[plugin][companions]") {
    const TemporaryDirectory scratch;
    const auto model = scratch / "models--x", snapshot = model / "snapshots" / "abc";
    fs::create_directories(snapshot);
    fs::create_directories(model / "blobs");
    write_file(model / "blobs" / "0123", "words");
    write_file(model / "refs", "not a blob");
    fs::create_symlink("../../blobs/0123", snapshot / "tokenizer.json");
    fs::create_symlink("tokenizer.json", snapshot / "vocab.json");
    fs::create_symlink("../../refs", snapshot / "merges.txt");
    std::vector<std::string> notices;
    CHECK(found_in(snapshot, notices) == std::vector<std::string>{"tokenizer.json", "vocab.json"});
    REQUIRE(notices.size() == 1);
    CHECK_THAT(notices[0], ContainsSubstring("merges.txt: is a link to "));
    fs::create_symlink(snapshot, scratch / "by-another-name");
    CHECK(found_in(scratch / "by-another-name", notices).size() == 2);
}

TEST_CASE("what is no file, or too large for one beside the weights, is left out", "[plugin][companions]") {
    const TemporaryDirectory scratch;
    REQUIRE(::mkfifo((scratch / "tokenizer.model").c_str(), 0600) == 0);
    fs::create_directory(scratch / "tokenizer");
    write_file(scratch / "vocab.json", "{}");
    fs::resize_file(scratch / "vocab.json", std::uintmax_t{1} << 32);
    std::vector<std::string> notices;
    CHECK(found_in(scratch.path(), notices).empty());
    REQUIRE(notices.size() == 2);
    CHECK_THAT(notices[0], ContainsSubstring("tokenizer.model: is not a regular file; it is left out"));
    CHECK_THAT(notices[1], ContainsSubstring("vocab.json: holds 4294967296 bytes"));
}

TEST_CASE("a copy has none of the modes of its source", "[plugin][companions]") {
    const TemporaryDirectory scratch;
    write_file(scratch / "LICENSE", "free");
    fs::permissions(scratch / "LICENSE", fs::perms::set_uid | fs::perms::all);
    ModelHeader header;
    std::vector<std::string> notices;
    header.origin.companions = find_companions(scratch.path(), notices);
    fs::create_directory(scratch / "out");
    copy_companions(header, scratch / "out");
    CHECK(read_file(scratch / "out" / "LICENSE") == "free");
    CHECK((fs::status(scratch / "out" / "LICENSE").permissions() & (fs::perms::set_uid | fs::perms::owner_exec)) ==
          fs::perms::none);
}
