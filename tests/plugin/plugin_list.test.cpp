// SPDX-License-Identifier: Apache-2.0
#include "crossdock/plugin/plugin_list.hpp"

#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "support/altered_loader.hpp"
#include "support/catch.hpp"
#include "support/recording_saver.hpp"

using namespace crossdock;
using test::small_header;

namespace {

/// A loader that can be chosen by name, with a model type of its own.
struct HeronLoader : test::SyntheticLoader {
    struct Options {
        std::uint64_t seed = 1;
    };
    static std::string name() { return "heron"; }
    static std::string summary() { return "reads herons"; }
    static std::vector<OptionSpec<Options>> options() {
        return {option<Options>("seed", "N", "of the tensors", &Options::seed)};
    }
    static bool recognises(const std::filesystem::path& directory) { return directory == "nest"; }
    static std::vector<std::string> model_types() { return {"heron", "bird"}; }

    explicit HeronLoader(const Options& options)
        : SyntheticLoader(small_header(), static_cast<std::uint32_t>(options.seed)) {}
};

/// One that has no more than it must.
struct EgretLoader : HeronLoader {
    static std::string name() { return "egret"; }
    static bool recognises(const std::filesystem::path&) { return true; }
    static std::vector<std::string> model_types() { return {"egret", "bird"}; }
    using HeronLoader::HeronLoader;
};

struct HeronSaver : test::RecordingSaver {
    struct Options {};
    static std::string name() { return "heron"; }
    static std::string summary() { return "keeps herons"; }
    static std::vector<OptionSpec<Options>> options() { return {}; }

    explicit HeronSaver(const Options&) {}
};

using Loaders = LoaderList<HeronLoader>::with<EgretLoader>;
using Savers = SaverList<HeronSaver>;

}  // namespace

TEST_CASE("plugins are chosen by name", "[plugin][list]") {
    CHECK(Loaders::names() == std::vector<std::string>{"heron", "egret"});
    CHECK(Loaders::summary("egret") == "reads herons");
    CHECK(Loaders::options("heron").at(0).name == "seed");
    CHECK(Loaders::make("egret", {{"seed", "7"}})->header().hidden_size == 32);
    const auto of_seed = [](const std::string& seed) {
        return Loaders::make("heron", {{"seed", seed}})->load<TransformerLayer>(1).dense_weight->bytes();
    };
    CHECK(of_seed("7") == of_seed("7"));
    CHECK(of_seed("7") != of_seed("8"));
    CHECK(Savers::make("heron", {})->notices().empty());
}

TEST_CASE("what no plugin has is refused with the nearest name", "[plugin][list]") {
    CHECK_THROWS_WITH(Loaders::make("hero", {}),
                      "no loader is called 'hero'; did you mean 'heron'? Known: heron, egret");
    CHECK_THROWS_AS(Savers::make("egret", {}), UsageError);
    CHECK_THROWS_AS(Loaders::make("heron", {{"sed", "1"}}), UsageError);
    CHECK_THROWS_WITH(Loaders::make("heron", {{"seed", "-1"}}),
                      "seed: '-1' is not a whole number that is not negative");
}

TEST_CASE("the first loader that recognises a directory is found", "[plugin][list]") {
    CHECK(Loaders::recognise("nest") == "heron");
    CHECK(Loaders::recognise("elsewhere") == "egret");
    CHECK(LoaderList<HeronLoader>::recognise("elsewhere").empty());
}

TEST_CASE("model types are those of the loaders, each once", "[plugin][list]") {
    CHECK(Loaders::model_types() == std::vector<std::string>{"heron", "bird", "egret"});
    CHECK(Loaders::hub_types().empty());
}
