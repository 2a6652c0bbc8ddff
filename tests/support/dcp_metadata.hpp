// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "crossdock/container/pickle/value.hpp"
#include "crossdock/container/pickle/writer.hpp"

namespace crossdock::test {

/// The values of a .metadata file, put together by hand, so that they may contradict each other.
class DcpMetadata {
public:
    using Numbers = std::vector<std::uint64_t>;
    using Attributes = std::vector<pickle::Entry>;

    struct Place {
        std::string file = "__0_0.distcp";
        std::uint64_t offset = 0, length = 2000;
    };

    static pickle::Value object(std::string_view module, std::string_view name, pickle::Value state) {
        pickle::Object made;
        made.module = module;
        made.name = name;
        made.construction = pickle::Construction::new_instance;
        made.args = pickle::Tuple{};
        made.state = std::move(state);
        return made;
    }

    static pickle::Value size(const Numbers& numbers) {
        pickle::Tuple tuple;
        for (const std::uint64_t number : numbers) tuple.items.emplace_back(number);
        pickle::Object made;
        made.module = "torch";
        made.name = "Size";
        made.args = pickle::Tuple{{std::move(tuple)}};
        return made;
    }

    /// A tensor without chunks so far.
    void tensor(const std::string& name, const Numbers& shape, std::string_view dtype = "float32") {
        const pickle::Value type = pickle::Global{"torch", std::string(dtype)};
        const pickle::Value properties = metadata("TensorProperties", pickle::Tuple{{type, {}, false, 0, false}});
        chunks_ = pickle::List{};
        items.push_back(
            {name, metadata("TensorStorageMetadata",
                            pickle::Dict{{{"properties", properties}, {"size", size(shape)}, {"chunks", chunks_}}})});
    }

    /// A chunk of the last tensor, and where it lies.
    void chunk(const Numbers& offsets, const Numbers& sizes, const Place& place) {
        claim(offsets, sizes);
        places.push_back({index(*items.back().key.as_string(), offsets), info(place)});
    }

    /// A chunk of the last tensor that lies nowhere.
    void claim(const Numbers& offsets, const Numbers& sizes) {
        chunks_.edit<pickle::List>()->items.push_back(
            metadata("ChunkStorageMetadata", pickle::Dict{{{"offsets", size(offsets)}, {"sizes", size(sizes)}}}));
    }

    /// The last chunk, so many times more.
    void repeat_last_chunk(std::size_t times) {
        auto& chunks = chunks_.edit<pickle::List>()->items;
        chunks.insert(chunks.end(), times, pickle::Value(chunks.back()));
    }

    void bytes(const std::string& name, const Place& place) {
        items.push_back({name, metadata("BytesStorageMetadata", {})});
        places.push_back({index(name, std::nullopt), info(place)});
    }

    static pickle::Value index(const std::string& name, const std::optional<Numbers>& offsets) {
        pickle::Dict state{{{"fqn", name}}};
        if (offsets) state.entries.push_back({"offset", size(*offsets)});
        return metadata("MetadataIndex", std::move(state));
    }

    static pickle::Value info(const Place& place) {
        return object(
            "torch.distributed.checkpoint.filesystem", "_StorageInfo",
            pickle::Dict{{{"relative_path", place.file}, {"offset", place.offset}, {"length", place.length}}});
    }

    std::string pickled() const {
        pickle::Dict state{{{"state_dict_metadata", pickle::Dict{items}},
                            {"planner_data", {}},
                            {"storage_data", pickle::Dict{places}}}};
        state.entries.insert(state.entries.end(), further.begin(), further.end());
        return pickle::write(metadata("Metadata", std::move(state)));
    }

    std::vector<pickle::Entry> items, places, further;

private:
    static pickle::Value metadata(std::string_view name, pickle::Value state) {
        return object("torch.distributed.checkpoint.metadata", name, std::move(state));
    }

    pickle::Value chunks_;
};

}  // namespace crossdock::test
