// SPDX-License-Identifier: Apache-2.0
#include <cstddef>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "crossdock/container/torch/reader.hpp"
#include "crossdock/container/torch/writer.hpp"
#include "crossdock/family/megatron/dialects.hpp"
#include "crossdock/pipeline/convert.hpp"
#include "crossdock/plugin/megatron/args_in_pickle.hpp"
#include "support/catch.hpp"
#include "support/conversion.hpp"
#include "support/one_in.hpp"
#include "support/recording_saver.hpp"

using namespace crossdock;
using namespace crossdock::test;
namespace fs = std::filesystem;

namespace {

/// What no description of a model should hold, and what another one might.
const std::vector<Json> hostile_values{
    0,   -1,      1,    3,  7,   std::uint64_t{1} << 31, std::uint64_t{1} << 63, ~std::uint64_t{0}, 1e308,
    0.5, nullptr, true, "", "x", Json::array(),          Json::array({1, 2}),    Json::object()};

using Places = std::vector<Json::json_pointer>;

/// Every place in a description and in the objects in it.
Places places_in(const Json& description) {
    Places found;
    for (const auto& [key, value] : description.items()) {
        found.push_back(Json::json_pointer() / key);
        if (!value.is_object()) continue;
        for (const auto& [inner, ignored] : value.items()) found.push_back(Json::json_pointer() / key / inner);
    }
    return found;
}

/// Reads all of a model, to its last byte. Returns the text of the Error that stops it.
std::optional<std::string> reading_error(std::string_view loader, const fs::path& directory) {
    try {
        const std::unique_ptr<AnyLoader> source = load(loader, directory);
        RecordingSaver target;
        convert(*source, target);
        for (const auto& [name, tensor] : target.tensors) CHECK(tensor.bytes().size() == tensor.byte_count());
    } catch (const Error& error) {
        return error.what();
    }
    return std::nullopt;
}

/// The places that a dialect reads.
Places places_of(const ConfigTable& table) {
    Places found;
    for (const ConfigEntry& line : table)
        for (const std::string_view key : line.keys)
            if (line.read) found.push_back(Json::json_pointer() / std::string(key));
    return found;
}

/// Tries one in so many pairs of a place and a value, in turns, so that all places and all values are tried; `write` puts
/// the description where the loader finds it.
template <class Write>
void try_all(std::string_view loader, const fs::path& directory, const Json& sound, const Places& places,
             Write&& write) {
    constexpr std::size_t step = 4 * one_in;
    std::size_t refused = 0;
    for (std::size_t i = 0; i < places.size(); ++i)
        for (std::size_t j = i % step; j < hostile_values.size(); j += step) {
            const Json::json_pointer& place = places[i];
            const Json& value = hostile_values[j];
            Json description = sound;
            description[place] = value;
            write(description);
            const auto error = reading_error(loader, directory);
            INFO(place.to_string() << " = " << value << ": " << error.value_or("read"));
            if (!error) continue;
            CHECK(error->find(directory.string()) != std::string::npos);
            ++refused;
        }
    CHECK(refused > hostile_values.size() / step);  // the sizes of the model at least
}

/// With what a pickle's 64 bits hold of numbers beyond them, which no saver writes.
Json in_64_bits(Json value) {
    if (value.is_number_unsigned()) return value.get<std::int64_t>();
    if (value.is_structured())
        for (Json& item : value) item = in_64_bits(std::move(item));
    return value;
}

}  // namespace

TEST_CASE("whatever config.json and params.json say, the model is read or refused", "[plugin][bad_input]") {
    const auto [loader, name, file] = GENERATE(
        table<std::string, std::string, std::string>({{"llama", "hf/llama3.2-tied", "config.json"},
                                                      {"mistral", "hf/mistral-nemo", "config.json"},
                                                      {"falcon", "hf/falcon-40b", "config.json"},
                                                      {"gemma", "hf/gemma-mqa", "config.json"},
                                                      {"qwen", "hf/qwen3", "config.json"},
                                                      {"gemma", "hf/gemma3", "config.json"},
                                                      {"deepseek", "hf/deepseek-v3", "config.json"},
                                                      {"glm", "hf/glm4.5", "config.json"},
                                                      {"gpt2", "hf/gpt2", "config.json"},
                                                      {"bert", "hf/bert", "config.json"},
                                                      {"llama", "meta/llama3-gqa-mp2", "params.json"},
                                                      {"mistral", "meta/mistral-nemo-native", "params.json"}}));
    CAPTURE(name);
    const TemporaryDirectory scratch;
    const fs::path directory = copied(name, scratch), description_file = directory / file;
    const Json sound = read_json(description_file);
    try_all(loader, directory, sound, places_in(sound),
            [&](const Json& description) { write_file(description_file, description.dump()); });
}

TEST_CASE("whatever Megatron's args say, the model is read or refused", "[plugin][bad_input]") {
    const auto [loader, name, dialect, stated_version] =
        GENERATE(table<std::string, std::string, const MegatronDialect*, double>(
            {{"megatron", "megatron-llm/llama2-gqa", &megatron_llm(), 3.0},
             {"megatron", "megatron-lm/gpt", &megatron_lm(), 3.0},
             {"megatron", "megatron-lm/gpt", &megatron_lm(), 0.0},
             {"mcore", "megatron-core/llama2-gqa-te-tp1", &megatron_core_te(false), 3.0}}));
    const double version = stated_version;
    CAPTURE(name, version);
    const fs::path source = golden(name);
    fs::path file;
    for (const auto& entry : fs::recursive_directory_iterator(source))
        if (entry.path().extension() == ".pt") file = entry.path().lexically_relative(source);
    const pickle::Value root = torch::read(source / file);
    const TemporaryDirectory scratch;
    const fs::path directory = copied(name, scratch);
    const Json sound = read_args(root.find("args")).values;
    try_all(loader, directory, sound, places_of(dialect->args), [&](const Json& args) {
        fs::remove(directory / file);
        torch::Writer writer(directory / file);
        writer.put("args", namespace_of_json(in_64_bits(args)));
        writer.put("checkpoint_version", version);
        const TensorDict dict = torch::tensors(*root.find("model"), "model");
        for (const NamedTensor& entry : dict.entries()) add_tensor(writer, "model/" + entry.name, entry.tensor);
        writer.finish();
    });
}
