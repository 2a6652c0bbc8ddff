// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "crossdock/container/output_file.hpp"

namespace crossdock {

/// Small pieces on their way to a file: those that touch are written with one call.
class TouchingWrites {
public:
    /// `file` outlives it.
    explicit TouchingWrites(OutputFile& file) : file_(file) {}

    /// What is appended to the text goes to `offset` of the file.
    std::string& at(std::uint64_t offset) {
        constexpr std::size_t long_text = std::size_t{1} << 18;
        if (offset != begin_ + text_.size() || text_.size() >= long_text) {
            flush();
            begin_ = offset;
        }
        return text_;
    }

    /// To be called after the last piece. Throws Error when the disk refuses.
    void flush() {
        if (!text_.empty()) file_.write(begin_, text_);
        text_.clear();
    }

private:
    OutputFile& file_;
    std::uint64_t begin_ = 0;
    std::string text_;
};

}  // namespace crossdock
