// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "crossdock/container/json.hpp"
#include "crossdock/container/json_text.hpp"
#include "crossdock/core/checked.hpp"

/// Models over several files, as Hugging Face directories hold them: files with a part of the tensors each, and an
/// index.json that says which file has which. Format facts: huggingface_hub, serialization/_base.py and _torch.py.
namespace crossdock::sharded {

/// What a model's files are called in one container format.
struct FileNames {
    std::string_view stem;       ///< "model"
    std::string_view extension;  ///< ".safetensors"
    std::string_view index;      ///< "model.safetensors.index.json"

    /// The only file of a model: "model.safetensors".
    std::string single() const { return to_text(stem, extension); }

    /// The file `number`, from 1 on, of `count`: "model-00001-of-00003.safetensors".
    std::string numbered(std::size_t number, std::size_t count) const {
        return to_text(stem, '-', five_digits(number), "-of-", five_digits(count), extension);
    }

    /// Whether a file has a name as numbered() makes them.
    bool is_numbered(std::string_view file) const {
        const std::string beginning = to_text(stem, '-');
        return file.starts_with(beginning) && file.ends_with(extension) && file.find("-of-") != file.npos;
    }

private:
    static std::string five_digits(std::size_t number) {
        const std::string digits = std::to_string(number);
        return std::string(digits.size() < 5 ? 5 - digits.size() : 0, '0') + digits;
    }
};

inline constexpr FileNames safetensors_names{"model", ".safetensors", "model.safetensors.index.json"};
inline constexpr FileNames torch_names{"pytorch_model", ".bin", "pytorch_model.bin.index.json"};
inline constexpr FileNames consolidated_names{"consolidated", ".safetensors", "consolidated.safetensors.index.json"};

/// The Hub's default size of a file, decimal as there.
inline constexpr std::uint64_t default_shard_bytes = 5'000'000'000;

/// An index.json. The totals are what its writer says; readers do not rely on them.
struct Index {
    std::optional<std::uint64_t> total_size;
    std::optional<std::uint64_t> total_parameters;
    std::map<std::string, std::string> weight_map;  ///< tensor → file beside the index
};

namespace detail {

inline std::optional<std::uint64_t> find_total(const Json& index, const char* key) {
    const auto metadata = index.find("metadata");
    if (metadata == index.end() || !metadata->is_object()) return std::nullopt;
    const auto total = metadata->find(key);
    if (total == metadata->end() || !total->is_number_unsigned()) return std::nullopt;
    return total->get<std::uint64_t>();
}

/// A hostile index must not lead out of its directory.
inline void check_file_name(std::string_view tensor, std::string_view file) {
    if (std::ranges::any_of(file, [](char c) { return static_cast<unsigned char>(c) < 0x20; }))
        throw Error(to_text("weight_map: the file of tensor '", tensor, "' has control characters in its name"));
    if (file.empty() || file == "." || file == ".." || file.find_first_of("/\\") != file.npos)
        throw Error(to_text("weight_map sends tensor '", tensor, "' to '", file,
                            "', expected the plain name of a file beside the index"));
}

}  // namespace detail

/// Parses and checks an index.json. Throws Error; the caller says which file.
inline Index parse_index(std::string_view json) {
    const Json parsed = parse_json_file(json);
    const auto map = parsed.is_object() ? parsed.find("weight_map") : parsed.end();
    if (!parsed.is_object() || map == parsed.end() || !map->is_object())
        throw Error("has no weight_map, expected an object of tensor names and file names");
    Index index{detail::find_total(parsed, "total_size"), detail::find_total(parsed, "total_parameters"), {}};
    for (const auto& [tensor, file] : map->items()) {
        if (!file.is_string()) throw Error(to_text("weight_map: the file of tensor '", tensor, "' is not a string"));
        detail::check_file_name(tensor, file.get_ref<const std::string&>());
        index.weight_map.emplace(tensor, file.get<std::string>());
    }
    if (index.weight_map.empty()) throw Error("weight_map is empty, expected at least one tensor");
    return index;
}

/// The index as transformers writes it: keys sorted, indented by 2.
inline std::string index_text(const Index& index) {
    Json metadata = Json::object();
    if (index.total_parameters) metadata["total_parameters"] = *index.total_parameters;
    if (index.total_size) metadata["total_size"] = *index.total_size;
    std::vector<std::pair<std::string, Json>> weight_map(index.weight_map.begin(), index.weight_map.end());
    Json json = Json::object();
    json["metadata"] = std::move(metadata);
    json["weight_map"] = json_object(std::move(weight_map));
    return json_text(json) + "\n";
}

namespace detail {

struct SizeUnit {
    std::string_view name;
    std::uint64_t bytes;
};

inline constexpr std::array<SizeUnit, 10> size_units{{
    {"", 1},
    {"B", 1},
    {"KB", 1000},
    {"MB", 1000'000},
    {"GB", 1000'000'000},
    {"TB", 1000'000'000'000},
    {"KIB", 1ULL << 10},
    {"MIB", 1ULL << 20},
    {"GIB", 1ULL << 30},
    {"TIB", 1ULL << 40},
}};

}  // namespace detail

/// "5GB" → 5'000'000'000, "2GiB" → 2'147'483'648, "1000" → 1000; capitals or not. Throws UsageError for anything else.
inline std::uint64_t parse_size(std::string_view size) {
    std::uint64_t number = 0;
    const auto [end, failure] = std::from_chars(size.data(), size.data() + size.size(), number);
    std::string unit(end, size.data() + size.size());
    std::ranges::transform(unit, unit.begin(), [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
    const auto known = std::ranges::find(detail::size_units, std::string_view(unit), &detail::SizeUnit::name);
    std::uint64_t bytes = 0;
    if (failure != std::errc() || number == 0 || known == detail::size_units.end() ||
        __builtin_mul_overflow(number, known->bytes, &bytes))
        throw UsageError(to_text("'", size, "' is not a size, expected a whole number and a unit: 5GB, 500MB, 2GiB"));
    return bytes;
}

}  // namespace crossdock::sharded
