// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "crossdock/core/compiled.hpp"
#include "crossdock/core/world.hpp"
#include "crossdock/pipeline/beside.hpp"
#include "crossdock/pipeline/digests.hpp"
#include "crossdock/pipeline/entry_points.hpp"
#include "crossdock/pipeline/reading_run.hpp"
#include "crossdock/pipeline/without_padding.hpp"
#include "crossdock/protocol/message_list.hpp"

namespace crossdock::detail {

/// One rank's part of digesting a model.
inline DigestReport digest_model(World& world, AnyLoader& loader, const DigestOptions& options) {
    ReadingRun run(world, options);
    loader.will_cast(DType::f32);  // only what differs in type within one tensor
    loader.begin();
    const ModelHeader header = loader.header();
    run.reporter.took(header, header.params_dtype);
    Digests digests(world);
    for_each_message(header, [&]<class M>(Key<M> key) {
        const M message = pull(key, loader);
        for (const auto& field : tensor_fields<M>) {
            if (!(message.*field.tensor)) continue;
            const Tensor& whole = *(message.*field.tensor);
            const Tensor tensor =
                field.vocabulary ? without_padding(whole, header.true_vocab_size.value_or(header.vocab_rows)) : whole;
            std::string place = to_text(message_name(message), " / ", field.name);
            if (auto digest = digests.add(place, tensor))
                run.pool.submit({{tensor, std::make_shared<DigestSlot>(std::move(digest)), std::move(place)}});
        }
        run.reporter.took(message);
    });
    run.pool.wait();
    DigestReport report{.list = digests.take(), .bytes = 0, .seconds = 0, .notices = loader.notices()};
    report.list.files = files_beside(header);
    for (const TensorDigest& tensor : report.list.tensors)
        report.bytes += tensor.shape.element_count() * item_size(tensor.dtype);
    if (!header.true_vocab_size)
        report.notices.push_back(to_text("the true vocabulary size is not known; all ", header.vocab_rows,
                                         " rows are digested; if some are padding, give the option true_vocab_size"));
    report.seconds = run.seconds();
    return report;
}

/// What stands behind digest().
CROSSDOCK_ENTRY_POINT DigestReport run_digest(AnyLoader& loader, const DigestOptions& options) {
    World& world = options.world ? *options.world : World::alone();
    return together(world, [&] { return digest_model(world, loader, options); });
}

}  // namespace crossdock::detail
