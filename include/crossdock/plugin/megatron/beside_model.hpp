// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "crossdock/container/pickle/value.hpp"
#include "crossdock/core/text.hpp"
#include "crossdock/plugin/storage.hpp"

namespace crossdock::detail {

/// Lists the tensors in a rank's file that are none of the model: what an optimizer or a random generator remembers.
class BesideModel {
public:
    explicit BesideModel(std::string file) : file_(std::move(file)) {}

    /// Adds those below the file's entries other than `chunks`; none where the file itself is the model.
    void add(const pickle::Value& root, const std::vector<std::string>& chunks, std::vector<SourceTensor>& tensors) {
        const auto* entries = root.entries();
        if (!entries || chunks.front().empty()) return;
        for (const pickle::Entry& entry : *entries)
            if (const std::string* key = entry.key.as_string();
                key && std::find(chunks.begin(), chunks.end(), *key) == chunks.end())
                walk(*key, to_text("not of the model: '", shortened(*key), "' of the training run"), entry.value, 0,
                     tensors);
    }

private:
    // Shared lists may spell far more values than the file has bytes.
    static constexpr unsigned deepest = 16;
    static constexpr std::size_t most = 1'000'000;

    void walk(const std::string& name, const std::string& why, const pickle::Value& value, unsigned depth,
              std::vector<SourceTensor>& tensors) {
        if (depth > deepest || ++visited_ > most) return;
        const auto list = [&](std::string of, const Tensor& tensor) {
            tensors.push_back({.name = std::move(of),
                               .file = file_,
                               .dtype = tensor.dtype(),
                               .use = TensorUse::ignored,
                               .shape = tensor.shape(),
                               .bytes = tensor.byte_count(),
                               .why = why});
        };
        if (const auto* tensor = value.get<Tensor>()) list(name, *tensor);
        if (const auto* apart = value.tensors_apart())
            for (const NamedTensor& entry : *apart)
                if (++visited_ <= most) list(to_text(name, '.', entry.name), entry.tensor);
        if (const auto* entries = value.entries())
            for (const pickle::Entry& entry : *entries)
                walk(to_text(name, '.', key_text(entry.key)), why, entry.value, depth + 1, tensors);
        if (const auto* items = value.items())
            for (std::size_t i = 0; i < items->size(); ++i)
                walk(to_text(name, '.', i), why, (*items)[i], depth + 1, tensors);
    }

    static std::string key_text(const pickle::Value& key) {
        if (const std::string* text = key.as_string()) return *text;
        const auto number = key.as_integer();
        return number ? std::to_string(*number) : key.describe();
    }

    std::string file_;
    std::size_t visited_ = 0;
};

}  // namespace crossdock::detail
