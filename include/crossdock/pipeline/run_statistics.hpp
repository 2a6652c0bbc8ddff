// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <iterator>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <utility>

#include "crossdock/container/tensor_dict.hpp"
#include "crossdock/container/tensor_writer.hpp"
#include "crossdock/core/compiled.hpp"
#include "crossdock/core/element_statistics.hpp"
#include "crossdock/core/world.hpp"
#include "crossdock/pipeline/entry_points.hpp"
#include "crossdock/pipeline/reading_run.hpp"
#include "crossdock/pipeline/without_padding.hpp"
#include "crossdock/protocol/message_list.hpp"

namespace crossdock::detail {

/// Takes the blocks of a tensor that a pool moves, and keeps of them only what they come to.
class StatisticsSlot final : public TensorSlot {
public:
    /// `result` outlives it, and is set when the last element came.
    StatisticsSlot(const Tensor& tensor, Statistics& result)
        : dtype_(tensor.dtype()),
          elements_(tensor.element_count()),
          result_(result) {}

    void write(std::uint64_t, std::span<const std::byte> bytes) override {
        ElementStatistics block;
        block.add(dtype_, bytes);
        const std::lock_guard lock(mutex_);
        all_.add(block);
        if (all_.count() == elements_) result_ = all_.result();
    }

private:
    DType dtype_;
    std::uint64_t elements_;
    Statistics& result_;
    std::mutex mutex_;
    ElementStatistics all_;
};

/// `for_each` calls what it is given with the name and the content of every tensor, the same ones each time.
template <class ForEach>
StatisticsReport statistics_of(ForEach&& for_each, const StatisticsOptions& options) {
    const auto for_each_wanted = [&](auto&& visit) {
        for_each([&](const std::string& place, const Tensor& tensor) {
            if (!options.wanted || options.wanted(place)) visit(place, tensor);
        });
    };
    std::uint64_t bytes = 0;
    for_each_wanted([&](const std::string&, const Tensor& tensor) { bytes += tensor.byte_count(); });
    std::deque<TensorStatistics> found;  // the pool's threads know where its elements lie
    ReadingRun run(World::alone(), options);
    for_each_wanted([&](const std::string& place, const Tensor& tensor) {
        run.reporter.took(place, bytes);
        TensorStatistics& entry = found.emplace_back(TensorStatistics{place, tensor.dtype(), tensor.shape(), {}});
        run.pool.submit({{tensor, std::make_shared<StatisticsSlot>(tensor, entry.statistics), place}});
    });
    run.pool.wait();
    return {.tensors = {std::make_move_iterator(found.begin()), std::make_move_iterator(found.end())},
            .bytes = bytes,
            .seconds = run.seconds(),
            .notices = {}};
}

/// What stands behind statistics().
CROSSDOCK_ENTRY_POINT StatisticsReport run_statistics(AnyLoader& loader, const StatisticsOptions& options) {
    loader.will_cast(DType::f32);  // only what differs in type within one tensor
    const ModelHeader header = loader.header();
    const auto for_each = [&](auto&& visit) {
        for_each_message(header, [&]<class M>(Key<M> key) {
            const M message = pull(key, loader);
            for (const auto& field : tensor_fields<M>) {
                if (!(message.*field.tensor)) continue;
                const Tensor& tensor = *(message.*field.tensor);
                visit(to_text(message_name(message), " / ", field.name),
                      field.vocabulary ? without_padding(tensor, header.true_vocab_size.value_or(header.vocab_rows))
                                       : tensor);
            }
        });
    };
    StatisticsReport report = statistics_of(for_each, options);
    if (!header.true_vocab_size)
        report.notices.push_back(to_text("the true vocabulary size is not known; all ", header.vocab_rows,
                                         " rows count; if some are padding, give the option true_vocab_size"));
    return report;
}

CROSSDOCK_ENTRY_POINT StatisticsReport run_statistics(std::span<const NamedTensor> tensors,
                                                      const StatisticsOptions& options) {
    return statistics_of(
        [&](auto&& visit) {
            for (const NamedTensor& entry : tensors) visit(entry.name, entry.tensor);
        },
        options);
}

}  // namespace crossdock::detail
