// SPDX-License-Identifier: Apache-2.0
#include "support/conversion.hpp"

#include "crossdock/container/json_text.hpp"
#include "crossdock/container/safetensors/reader.hpp"
#include "crossdock/container/safetensors/writer.hpp"
#include "crossdock/pipeline/convert.hpp"
#include "crossdock/pipeline/verify.hpp"

namespace crossdock::test {

std::unique_ptr<AnyLoader> load(std::string_view loader, const std::filesystem::path& directory, OptionValues options) {
    options["load_dir"] = directory.string();
    return make_loader(loader, options);
}

std::vector<std::string> save(AnyLoader& from, std::string_view saver, const std::filesystem::path& directory,
                              OptionValues options) {
    options["save_dir"] = directory.string();
    const auto to = make_saver(saver, options);
    return convert(from, *to).warnings;
}

std::string refusal(const std::function<void()>& work) {
    try {
        work();
    } catch (const Error& error) {
        return error.what();
    }
    return {};
}

std::vector<std::string> differences(AnyLoader& a, AnyLoader& b) {
    std::vector<std::string> lines;
    for (const Difference& difference : verify(a, b).differences)
        lines.push_back(difference.place + ": " + difference.text);
    return lines;
}

Json read_json(const std::filesystem::path& file) { return parse_json(read_file(file), file.string()); }

void edit_json(const std::filesystem::path& file, const std::function<void(Json&)>& edit) {
    Json json = read_json(file);
    edit(json);
    write_file(file, json_text(json));
}

void add_tensor(TensorWriter& writer, const std::string& name, const Tensor& tensor) {
    writer.add(name, tensor.dtype(), tensor.shape())->write(0, tensor.bytes());
}

void edit_tensors(const std::filesystem::path& directory, const std::function<bool(NamedTensor&)>& edit) {
    const auto file = directory / "model.safetensors", edited = directory / "edited.safetensors";
    {
        const TensorDict dict = safetensors::read(file);
        safetensors::Writer writer(edited, 1U << 16);
        for (NamedTensor entry : dict.entries())
            if (edit(entry)) add_tensor(writer, entry.name, entry.tensor);
        writer.finish();
    }
    std::filesystem::rename(edited, file);
}

std::filesystem::path copied(std::string_view name, const TemporaryDirectory& scratch) {
    const auto copy = scratch / std::filesystem::path(name).filename().string();
    std::filesystem::copy(golden(name), copy, std::filesystem::copy_options::recursive);
    return copy;
}

}  // namespace crossdock::test
