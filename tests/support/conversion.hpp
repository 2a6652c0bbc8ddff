// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "crossdock/container/json.hpp"
#include "crossdock/container/tensor_dict.hpp"
#include "crossdock/container/tensor_writer.hpp"
#include "crossdock/core/recipe.hpp"
#include "crossdock/plugin/any_loader.hpp"
#include "support/plugins.hpp"
#include "support/temporary_directory.hpp"

namespace crossdock::test {

/// A folder that a real tool made.
inline std::filesystem::path golden(std::string_view name) { return std::filesystem::path(CROSSDOCK_TEST_DATA) / name; }

std::unique_ptr<AnyLoader> load(std::string_view loader, const std::filesystem::path& directory,
                                OptionValues options = {});

/// Writes what the loader sends; returns what the user is told.
std::vector<std::string> save(AnyLoader& from, std::string_view saver, const std::filesystem::path& directory,
                              OptionValues options = {});
template <Loader L>
std::vector<std::string> save(L& from, std::string_view saver, const std::filesystem::path& directory,
                              OptionValues options = {}) {
    auto&& any = as_any_loader(from);
    return save(static_cast<AnyLoader&>(any), saver, directory, std::move(options));
}

/// What stops the work; empty when nothing does.
std::string refusal(const std::function<void()>& work);

/// In what two models differ, a line each.
std::vector<std::string> differences(AnyLoader& a, AnyLoader& b);
template <Loader A, Loader B>
std::vector<std::string> differences(A& a, B& b) {
    auto&& any_a = as_any_loader(a);
    auto&& any_b = as_any_loader(b);
    return differences(static_cast<AnyLoader&>(any_a), static_cast<AnyLoader&>(any_b));
}

inline const std::vector<std::string> none;

Json read_json(const std::filesystem::path& file);

/// Changes the object in a JSON file.
void edit_json(const std::filesystem::path& file, const std::function<void(Json&)>& edit);

void add_tensor(TensorWriter& writer, const std::string& name, const Tensor& tensor);

/// Writes model.safetensors anew: `edit` may change an entry, or return false to leave it out.
void edit_tensors(const std::filesystem::path& directory, const std::function<bool(NamedTensor&)>& edit);

/// A copy of a golden folder to be changed.
std::filesystem::path copied(std::string_view name, const TemporaryDirectory& scratch);

}  // namespace crossdock::test
