// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <crossdock/crossdock.hpp>

/// Reads what RawSaver writes. Only model.json is read here; tensors are regions of weights.raw.
class RawLoader {
public:
    struct Options {
        std::filesystem::path load_dir;
    };
    static std::string name() { return "raw"; }
    static std::string summary() { return "reads model.json and weights.raw"; }
    static std::vector<crossdock::OptionSpec<Options>> options() {
        return {crossdock::option<Options>("load_dir", "DIR", "the checkpoint", &Options::load_dir)};
    }
    static bool recognises(const std::filesystem::path& directory) {
        return std::filesystem::exists(directory / "weights.raw");
    }

    explicit RawLoader(const Options& options)
        : weights_(std::make_shared<crossdock::FileSource>(options.load_dir / "weights.raw")) {
        const crossdock::Json json = crossdock::read_json_object(options.load_dir / "model.json");
        crossdock::header_from_json(json, header_);
        header_.vocab_rows = json.at("vocab_rows");
        header_.params_dtype = crossdock::parse_dtype(json.at("dtype").get<std::string>()).value();
        header_.origin.directory = options.load_dir;
        header_.origin.format = "raw";
    }

    crossdock::ModelHeader header() {
        offset_ = 0;
        return header_;
    }
    /// Messages are asked for in protocol order, so each one's tensors follow those of the one before.
    template <class Message>
    Message load(std::uint64_t index) {
        Message message;
        if constexpr (requires { message.index; }) message.index = index;
        for (const auto& field : crossdock::tensor_fields<Message>)
            if (const auto shape = field.expected(header_, index)) {
                message.*field.tensor = crossdock::region(weights_, offset_, header_.params_dtype, *shape);
                offset_ += (message.*field.tensor)->byte_count();
            }
        return message;
    }

private:
    crossdock::ModelHeader header_;
    std::shared_ptr<const crossdock::FileSource> weights_;
    std::uint64_t offset_ = 0;
};
