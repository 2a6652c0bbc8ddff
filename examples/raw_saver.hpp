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

    void write(const crossdock::ModelHeader& header) {
        crossdock::Json json = crossdock::header_to_json(header);
        json["vocab_rows"] = header.vocab_rows;
        json["dtype"] = dtype_name(header.params_dtype);
        std::ofstream(staged_.path() / "model.json") << crossdock::json_text(json);
    }
    template <class Message>
    void write(const Message& message) {
        for (const auto& field : crossdock::tensor_fields<Message>)
            if (const auto& tensor = message.*field.tensor) append(*tensor);
    }

    void finish() {
        weights_.close();
        if (!weights_) throw crossdock::Error("weights.raw: cannot be written; is the disk full?");
        staged_.commit();
    }

private:
    /// A megabyte at a time, so that memory does not grow with the tensor.
    void append(const crossdock::Tensor& tensor) {
        const std::uint64_t block = (1U << 20) / crossdock::item_size(tensor.dtype());
        for (std::uint64_t begin = 0; begin < tensor.element_count(); begin += block) {
            std::vector<std::byte> bytes(std::min(block, tensor.element_count() - begin) *
                                         crossdock::item_size(tensor.dtype()));
            tensor.evaluate(begin, bytes);
            weights_.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
        }
    }

    crossdock::StagedDirectory staged_;
    std::ofstream weights_;
};
