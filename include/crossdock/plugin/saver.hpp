// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "crossdock/core/error.hpp"
#include "crossdock/core/text.hpp"
#include "crossdock/protocol/message_list.hpp"

namespace crossdock {

/// What a running conversion lends its saver.
struct SaverContext {
    std::size_t threads = 1;                           ///< that may evaluate tensors
    std::function<void(std::uint64_t bytes)> planned;  ///< to be told, in write(), of the bytes that a message becomes
    std::function<void(std::uint64_t bytes)>
        written;           ///< to be told of bytes that reached their place; from any thread
    std::stop_token stop;  ///< asks the saver to end with Cancelled
};

/// Receives the messages of one model in protocol order and writes a checkpoint. write() may return before the bytes
/// have moved; finish() returns when the checkpoint is complete and visible. A saver that is destroyed without
/// finish() leaves nothing behind.
class Saver {
public:
    static constexpr std::string_view kind = "saver";

    virtual ~Saver() = default;

    virtual void begin(const SaverContext&) {}

    /// Throws Error naming the property when the target cannot express the model; nothing is written then.
    virtual void write(const ModelHeader& header) = 0;
    virtual void write(const Embeddings& message) = 0;
    virtual void write(const TransformerLayer& message) = 0;
    virtual void write(const FinalNorm& message) = 0;
    virtual void write(const OutputLayer& message) { refuse(message); }
    virtual void write(const BertPooler& message) { refuse(message); }
    virtual void write(const BertLmHead& message) { refuse(message); }
    virtual void write(const BertBinaryHead& message) { refuse(message); }
    virtual void finish() = 0;

    /// What the user should know of the result: losses, flags to give when it is used.
    virtual std::vector<std::string> notices() const { return {}; }

protected:
    template <class M>
    [[noreturn]] static void refuse(const M& message) {
        throw Error(to_text("the saver has no place for '", message_name(message), "'"));
    }
};

}  // namespace crossdock
