// SPDX-License-Identifier: Apache-2.0
#include "golden/checkpoint_files.hpp"

#include <regex>

#include "crossdock/container/safetensors/reader.hpp"
#include "crossdock/container/torch/reader.hpp"

namespace crossdock::test {

std::map<std::string, Tensor> read_checkpoint(const std::filesystem::path& directory) {
    static const std::regex no_weight("rng_state|optimizer|rerun|_extra_state|inv_freq|rope\\.freqs");
    const bool is_hub = std::filesystem::exists(directory / "config.json");
    std::map<std::string, Tensor> tensors;
    for (const auto& file : std::filesystem::recursive_directory_iterator(directory)) {
        const std::string extension = file.path().extension().string();
        TensorDict dict;
        if (extension == ".safetensors")
            dict = safetensors::read(file.path());
        else if (extension == ".pt" || extension == ".pth" || extension == ".bin")
            dict = torch::tensors(torch::read(file.path()), file.path().string());
        const std::string place = file.path().lexically_relative(directory).string();
        const std::string prefix = is_hub ? "" : std::regex_replace(place, std::regex("^[^/]*/(?=mp_rank)"), "") + "::";
        for (const NamedTensor& entry : dict.entries())
            if (!std::regex_search(entry.name, no_weight)) tensors[prefix + entry.name] = entry.tensor;
    }
    return tensors;
}

std::vector<std::string> differences(const std::filesystem::path& expected, const std::filesystem::path& found) {
    const auto want = read_checkpoint(expected), got = read_checkpoint(found);
    std::vector<std::string> lines;
    if (want.empty()) lines.push_back("nothing expected");
    for (const auto& [name, tensor] : got)
        if (!want.contains(name)) lines.push_back("unexpected " + name);
    for (const auto& [name, tensor] : want) {
        const auto other = got.find(name);
        if (other == got.end())
            lines.push_back("missing " + name);
        else if (other->second.dtype() != tensor.dtype())
            lines.push_back("dtype of " + name);
        else if (other->second.shape() != tensor.shape())
            lines.push_back("shape of " + name);
        else if (other->second.bytes() != tensor.bytes())
            lines.push_back("content of " + name);
    }
    return lines;
}

}  // namespace crossdock::test
