// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "crossdock/container/output_file.hpp"
#include "crossdock/container/output_path.hpp"
#include "crossdock/container/sharded/format.hpp"
#include "crossdock/container/tensor_writer.hpp"
#include "crossdock/core/name_table.hpp"

namespace crossdock::sharded {

/// Writes tensors, in the order in which they come, to files of a limited size and an index. How many files there will
/// be is known last, so they get their names in finish(); a model of one file gets no index.
class Writer final : public TensorWriter {
public:
    /// Opens one file for writing, which notes its tensors' names in the table that all files share.
    using MakeFile = std::function<std::unique_ptr<TensorWriter>(const OutputPath&, std::shared_ptr<NameTable>)>;

    /// The files appear in `directory`, which exists. A tensor larger than `max_shard_bytes` gets a file of its own.
    Writer(OutputPath directory, FileNames names, std::uint64_t max_shard_bytes, MakeFile make_file)
        : directory_(std::move(directory)),
          names_(names),
          max_shard_bytes_(max_shard_bytes),
          make_file_(std::move(make_file)) {}

    std::shared_ptr<TensorSlot> add(const std::string& name, DType dtype, const Shape& shape) override {
        const std::uint64_t bytes = checked_multiply(shape.element_count(), item_size(dtype), "tensor bytes");
        if (tensors_->find(name)) throw Error(to_text(directory_.string(), ": tensor '", name, "' is written twice"));
        if (shards_.empty() || is_full(shards_.back(), bytes)) start_shard();
        Shard& shard = shards_.back();
        auto slot = shard.file->add(name, dtype, shape);
        shard.bytes += bytes;
        total_bytes_ += bytes;
        total_parameters_ += shape.element_count();
        shard_of_.push_back(static_cast<std::uint32_t>(shards_.size() - 1));
        return slot;
    }

    /// Writes each file's own index, gives the files their names, writes index.json. Throws Error where the disk
    /// refuses.
    void finish() override {
        if (shards_.empty()) start_shard();
        for (Shard& shard : shards_) shard.file->finish();
        name_files();
        if (shards_.size() > 1) write_index();
    }

private:
    struct Shard {
        std::string provisional;  ///< name
        std::unique_ptr<TensorWriter> file;
        std::uint64_t bytes = 0;
    };

    bool is_full(const Shard& shard, std::uint64_t next) const {
        return shard.bytes > 0 && (shard.bytes > max_shard_bytes_ || next > max_shard_bytes_ - shard.bytes);
    }

    void start_shard() {
        const std::size_t number = shards_.size() + 1;
        const std::string name = to_text(names_.stem, "-part", number, names_.extension);
        shards_.push_back({name, make_file_(directory_.in_turn(number) / name, tensors_)});
    }

    std::string final_name(std::size_t shard) const {
        return shards_.size() == 1 ? names_.single() : names_.numbered(shard + 1, shards_.size());
    }

    /// No rank opens a file under its first name any more.
    void name_files() const {
        World& world = directory_.world();
        world.meet();
        if (!world.leads()) return;
        for (std::size_t i = 0; i < shards_.size(); ++i)
            rename_file(directory_ / shards_[i].provisional, directory_ / final_name(i));
    }

    void write_index() const {
        Index index{total_bytes_, total_parameters_, {}};
        for (std::size_t number = 0; number < tensors_->size(); ++number)
            index.weight_map.emplace((*tensors_)[number], final_name(shard_of_[number]));
        OutputFile file(directory_ / names_.index);
        file.write(0, index_text(index));
        file.sync();
    }

    OutputPath directory_;
    FileNames names_;
    std::uint64_t max_shard_bytes_;
    MakeFile make_file_;
    std::vector<Shard> shards_;
    std::shared_ptr<NameTable> tensors_ = std::make_shared<NameTable>();
    std::vector<std::uint32_t> shard_of_;  ///< each of them
    std::uint64_t total_bytes_ = 0, total_parameters_ = 0;
};

}  // namespace crossdock::sharded
