// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "crossdock/container/staged_directory.hpp"
#include "crossdock/container/transfer.hpp"
#include "crossdock/core/error.hpp"
#include "crossdock/core/world.hpp"
#include "crossdock/pipeline/beside.hpp"
#include "crossdock/pipeline/digest_list.hpp"
#include "crossdock/pipeline/digests.hpp"
#include "crossdock/pipeline/run_comparison.hpp"
#include "crossdock/plugin/sidecar.hpp"

namespace crossdock::detail {

/// Throws Error naming the first of what a target differs in from its source.
inline void require_equal(const VerifyReport& report) {
    constexpr std::size_t shown = 3;
    if (report.equal()) return;
    std::string text;
    for (std::size_t i = 0; i < std::min(shown, report.differences.size()); ++i)
        text += to_text(i ? "; " : "", report.differences[i].place, ": ", report.differences[i].text);
    throw Error(to_text("differs from the source (A) in ", report.differences.size(),
                        report.differences.size() == 1 ? " place: " : " places: ", text,
                        report.differences.size() > shown ? "; …" : "", "; it is not put in place"));
}

/// What a target keeps, so that anyone can check it later.
inline Json proof_of(const ModelHeader& source, const DigestList& digests, const ConvertOptions& options) {
    Json proof = digests_to_json(digests);
    const std::filesystem::path& directory = source.origin.directory;
    proof["source"] = {{"format", source.origin.format},
                       {"directory", directory.empty() ? "" : resolved(directory).filename().string()}};
    proof["options"] = Json::object();
    for (const auto& [name, value] : options.options_to_keep) proof["options"][name] = value;
    return proof;
}

/// Reads a target that is written in `directory` and not yet in its place, compares it with the source, of which all
/// was sent, and adds the proof to its crossdock.json. Returns how many tensors were compared. Throws Error where they
/// differ.
inline std::uint64_t read_back(AnyLoader& source, const std::filesystem::path& directory, const ConvertOptions& options,
                               ProgressReporter& reporter, Transfers& transfers, World& world) {
    return in_context("the target, read back", [&] {
        const std::unique_ptr<AnyLoader> target = options.read_back(directory);
        reporter.say(", read back");
        Digests digests(world);
        const Comparison how{.dtype = options.dtype, .digests = &digests, .a_has_begun = true};
        VerifyReport report = Verifier(source, *target, reporter, transfers, world, how).run();
        if (options.is_described_anew)
            std::erase_if(report.differences, [](const Difference& difference) {
                return difference.kind == DifferenceKind::header || difference.kind == DifferenceKind::beside;
            });
        require_equal(report);
        DigestList list = digests.take();
        list.files = files_beside(target->header());
        if (world.leads()) add_to_sidecar(directory, "proof", proof_of(source.header(), list, options));
        world.meet();
        return report.tensors;
    });
}

}  // namespace crossdock::detail
