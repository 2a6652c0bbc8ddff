// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "crossdock/container/dcp/item_file.hpp"
#include "crossdock/container/dcp/metadata.hpp"
#include "crossdock/container/dcp/tiling.hpp"
#include "crossdock/container/foreign_files.hpp"
#include "crossdock/container/pickle/value.hpp"
#include "crossdock/container/torch/reader.hpp"
#include "crossdock/core/error.hpp"
#include "crossdock/core/once.hpp"
#include "crossdock/core/read_plan.hpp"
#include "crossdock/core/source.hpp"
#include "crossdock/core/tensor.hpp"
#include "crossdock/core/text.hpp"

namespace crossdock::dcp {

namespace detail {

/// Throws Error unless an item is a complete file of torch.save.
inline void require_torch_file(const StoredItem& item) {
    const std::string head = torch::detail::head_of(item, 4);
    if (!head.starts_with("PK"))
        throw Error(to_text(item.name(), ": does not begin with PK as a file of torch.save does; it is damaged, or ",
                            "written in another serialization format (safetensors); save it again with torch_save"));
}

}  // namespace detail

/// What is stored at a place in a file: a complete file of torch.save. Throws Error when it is something else.
inline pickle::Value read_item(const std::shared_ptr<const Source>& file, const Place& place) {
    const auto item = std::make_shared<StoredItem>(file, place);
    detail::require_torch_file(*item);
    pickle::Value value = torch::read(item);
    item->release();
    return value;
}

/// A global tensor whose chunks are read.
struct ChunkedTensor {
    explicit ChunkedTensor(std::shared_ptr<const TensorItem> tensor) : item(std::move(tensor)) {}

    std::shared_ptr<const TensorItem> item;  ///< of a type that is known
    mutable torch::LastPickle last;          ///< of its chunks' items, which mostly are alike
};

/// The elements of one chunk in C order, as bytes. The item is opened when it is first read, on that thread, while others
/// that read it wait; until then the file may be closed. A small one is opened whenever any of it is read: mostly that is
/// once, and what an open one takes is more than all the rest that is kept of it.
class StoredChunk final : public Source {
public:
    /// `chunk` is one of the tensor's.
    StoredChunk(std::shared_ptr<const Source> file, std::shared_ptr<const ChunkedTensor> tensor, const Chunk& chunk)
        : file_(std::move(file)),
          tensor_(std::move(tensor)),
          chunk_(chunk),
          large_(size() > most_of_small ? std::make_unique<Large>() : nullptr) {}

    const TensorItem& item() const noexcept { return *tensor_->item; }
    const Chunk& chunk() const noexcept { return chunk_; }

    using Source::read;
    const std::string& name() const noexcept override { return file_->name(); }
    std::uint64_t size() const noexcept override { return chunk_.sizes.element_count() * item_size(*item().dtype); }
    bool keeps_memory() const noexcept override { return file_->keeps_memory(); }

    /// Most chunks are read whole: what opening one holds in memory is then not read again.
    void read(std::uint64_t offset, std::span<iovec> buffers) const override {
        if (!large_) return read_small(offset, buffers);
        bool is_done = false;
        large_->once.run([&] {
            const auto item = std::make_shared<StoredItem>(file_, chunk_.place);
            large_->stored = open(item);
            read_elements(large_->stored, offset, buffers);
            item->release();
            is_done = true;
        });
        if (!is_done) read_elements(large_->stored, offset, buffers);
    }

private:
    static constexpr std::uint64_t most_of_small = std::uint64_t{1} << 16;

    struct Large {
        Once once;
        Tensor stored;
    };

    /// Whatever is asked for, all of it is read, so that its checksum is compared.
    void read_small(std::uint64_t offset, std::span<iovec> buffers) const {
        const Tensor stored = open(std::make_shared<StoredItem>(file_, chunk_.place));
        std::uint64_t bytes = 0;
        for (const iovec& buffer : buffers) bytes += buffer.iov_len;
        if (bytes == size()) return read_elements(stored, offset, buffers);
        const std::vector<std::byte> all = stored.bytes();
        MemorySource(all, nullptr).read(offset, buffers);
    }

    void read_elements(const Tensor& stored, std::uint64_t offset, std::span<iovec> buffers) const {
        const std::size_t element = item_size(*item().dtype);
        ReadPlan reads;
        for (const iovec& buffer : buffers) {
            stored.plan(offset / element, buffer.iov_len / element, static_cast<std::byte*>(buffer.iov_base), reads);
            offset += buffer.iov_len;
        }
        reads.execute();
    }

    Tensor open(const std::shared_ptr<const StoredItem>& stored) const {
        const auto where = [&] {
            return to_text("tensor '", shortened(item().name), "', chunk at ", detail::at_text(chunk_.offsets));
        };
        try {
            detail::require_torch_file(*stored);
            const pickle::Value value = torch::read(stored, tensor_->last);
            const auto* tensor = value.get<Tensor>();
            if (!tensor) throw Error(to_text(file_->name(), " holds ", value.describe(), ", expected a tensor"));
            require_same_elements(*tensor);
            return *tensor;
        } catch (Error& error) {
            error.within(where());
            throw;
        }
    }

    /// Megatron-Core puts the axes of layers and experts in front and stores the tensor without them.
    void require_same_elements(const Tensor& tensor) const {
        if (tensor.dtype() != *item().dtype || extents(tensor.shape()) != extents(chunk_.sizes))
            throw Error(to_text(file_->name(), " holds a tensor ", tensor.shape(), " of ", dtype_name(tensor.dtype()),
                                ", .metadata says ", chunk_.sizes, " of ", dtype_name(*item().dtype),
                                "; one of the files is damaged or of another save"));
    }

    /// Without the leading ones.
    static std::vector<std::uint64_t> extents(const Shape& shape) {
        auto first = shape.begin();
        while (first != shape.end() && *first == 1) ++first;
        return {first, shape.end()};
    }

    std::shared_ptr<const Source> file_;
    std::shared_ptr<const ChunkedTensor> tensor_;
    const Chunk& chunk_;
    std::unique_ptr<Large> large_;  ///< null for a small one
};

}  // namespace crossdock::dcp
