// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <crossdock/crossdock.hpp>
#include <fstream>

/// A format of one's own: model.json has the header, weights.raw all tensors in protocol order, without gaps.
class RawSaver {
public:
    struct Options {
        std::filesystem::path save_dir;
    };
    static std::string name() { return "raw"; }
    static std::string summary() { return "writes model.json and weights.raw"; }
    static std::vector<crossdock::OptionSpec<Options>> options() {
        return {crossdock::option<Options>("save_dir", "DIR", "where to write", &Options::save_dir)};
    }

    explicit RawSaver(const Options& options) : staged_(options.save_dir, false) {
        weights_.open(staged_.path() / "weights.raw", std::ios::binary);
    }

    void begin(const crossdock::SaverContext& context) { written_ = context.written; }

    void write(const crossdock::ModelHeader& header) {
        crossdock::Json json = crossdock::header_to_json(header);
        json["vocab_rows"] = header.vocab_rows;
        json["dtype"] = dtype_name(header.params_dtype);
        std::ofstream(staged_.path() / "model.json") << crossdock::json_text(json);
    }
    template <class Message>
    void write(const Message& message) {
        for (const auto& field : crossdock::tensor_fields<Message>)
            if (const auto& tensor = message.*field.tensor) {
                crossdock::write_to(weights_, *tensor);
                written_(tensor->byte_count());
            }
    }

    void finish() {
        weights_.close();
        if (!weights_) throw crossdock::Error("weights.raw: cannot be written; is the disk full?");
        staged_.commit();
    }

private:
    crossdock::StagedDirectory staged_;
    std::ofstream weights_;
    std::function<void(std::uint64_t bytes)> written_ = [](std::uint64_t) {};  // so that progress moves
};
