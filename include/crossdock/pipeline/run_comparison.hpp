// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "crossdock/container/shared_transfers.hpp"
#include "crossdock/container/transfer.hpp"
#include "crossdock/core/compiled.hpp"
#include "crossdock/core/recipe.hpp"
#include "crossdock/core/world.hpp"
#include "crossdock/family/header_json.hpp"
#include "crossdock/pipeline/beside.hpp"
#include "crossdock/pipeline/compare_tensors.hpp"
#include "crossdock/pipeline/digests.hpp"
#include "crossdock/pipeline/entry_points.hpp"
#include "crossdock/pipeline/progress_reporter.hpp"
#include "crossdock/pipeline/reading_run.hpp"
#include "crossdock/pipeline/without_padding.hpp"
#include "crossdock/protocol/header_fields.hpp"
#include "crossdock/protocol/message_list.hpp"

namespace crossdock::detail {

/// How two models are compared.
struct Comparison {
    std::optional<DType> dtype{};  ///< that floating tensors of both are cast to before
    Digests* digests = nullptr;    ///< of A as it is compared; the ranks of a world then take whole tensors
    bool a_has_begun = false;      ///< A was sent before
};

/// Compares two headers, then the messages of two models, pair by pair, then what is beside them.
class Verifier {
public:
    Verifier(AnyLoader& a, AnyLoader& b, ProgressReporter& reporter, Transfers& transfers, World& world, Comparison how)
        : a_(a),
          b_(b),
          reporter_(reporter),
          transfers_(transfers),
          world_(world),
          how_(how) {}

    VerifyReport run() {
        const std::uint64_t bytes_before = reporter_.bytes();
        if (!how_.a_has_begun) begin(a_);
        begin(b_);
        header_a_ = a_.header();
        header_b_ = b_.header();
        reporter_.took(header_a_, header_a_.params_dtype);
        compare_headers();
        agree_on_vocabulary();
        compare_messages();
        transfers_.wait();
        report_.bytes = world_.sum((reporter_.bytes() - bytes_before) / world_.size());
        share_mismatches();
        collect();
        BesideComparison(header_a_, header_b_, report_);
        return std::move(report_);
    }

private:
    static void begin(AnyLoader& side) {
        side.will_cast(DType::f32);  // only what differs in type within one tensor
        side.begin();
    }

    void differ(DifferenceKind kind, std::string place, std::string text) {
        report_.differences.push_back({.kind = kind, .place = std::move(place), .text = std::move(text)});
    }

    void compare_headers() {
        const Json a = stated_fields(header_a_), b = stated_fields(header_b_);
        for (const auto& [name, value] : a.items()) {
            const auto other = b.find(name);
            if (other == b.end()) continue;
            ++report_.header_fields;
            if (name == "other_layers" ? layers_differ(value, *other) : value != *other)
                differ(DifferenceKind::header, to_text("header / ", name),
                       to_text(json_shown(value), " in A, ", json_shown(*other), " in B"));
        }
        const bool in_a = !header_a_.other_layers.empty(), in_b = !header_b_.other_layers.empty();
        if (in_a != in_b)
            differ(DifferenceKind::header, "header / other_layers",
                   to_text("layers differ from each other only in ", in_a ? "A" : "B"));
    }

    /// The size of an MLP is 0 where no layer has one and nothing states it.
    static Json stated_fields(const ModelHeader& header) {
        Json fields = header_to_json(header);
        if (header.mlp.ffn_hidden_size == 0) fields.erase("ffn_hidden_size");
        return fields;
    }

    /// Whether other layers differ, or what both sides state of one.
    static bool layers_differ(const Json& a, const Json& b) {
        if (a.size() != b.size()) return true;
        for (const auto& [layer, groups] : a.items()) {
            const auto other = b.find(layer);
            if (other == b.end() || groups.size() != other->size()) return true;
            for (const auto& [group, fields] : groups.items())
                for (const auto& [name, value] : fields.items())
                    if (!other->contains(group) || (other->at(group).contains(name) && other->at(group)[name] != value))
                        return true;
        }
        return false;
    }

    /// Rows beyond the true vocabulary, as either side states it, are padding and not compared.
    void agree_on_vocabulary() {
        const std::optional<std::uint64_t>&in_a = header_a_.true_vocab_size, &in_b = header_b_.true_vocab_size;
        rows_a_ = leave_padding("A", header_a_.vocab_rows, in_a ? in_a : in_b);
        rows_b_ = leave_padding("B", header_b_.vocab_rows, in_b ? in_b : in_a);
    }

    std::uint64_t leave_padding(std::string_view side, std::uint64_t rows, std::optional<std::uint64_t> words) {
        if (!words || *words >= rows) return rows;
        report_.notices.push_back(
            to_text(rows - *words, " padded rows of ", side, "'s vocabulary are left out, it has ", *words, " words"));
        return *words;
    }

    void compare_messages() {
        for_each_message_type([this]<class M>() {
            const std::uint64_t in_a = message_count<M>(header_a_), in_b = message_count<M>(header_b_);
            for (Key<M> key; key.index < std::max(in_a, in_b); ++key.index)
                compare(key, key.index < in_a, key.index < in_b);
        });
    }

    template <class M>
    void compare(Key<M> key, bool in_a, bool in_b) {
        if (comes_in_numbers<M> && in_a != in_b)
            return differ(DifferenceKind::missing, message_name(key), to_text("is missing in ", in_a ? "B" : "A"));
        compare(in_a ? pull(key, a_) : M{}, in_b ? pull(key, b_) : M{});
    }

    template <class M>
    void compare(const M& a, const M& b) {
        for (const auto& field : tensor_fields<M>) {
            const std::optional<Tensor>&left = a.*field.tensor, &right = b.*field.tensor;
            const std::string place = to_text(message_name(a), " / ", field.name);
            const std::optional<DType> type = type_of_field(field, how_.dtype);
            if (left && right)
                compare(place, as_compared(field.vocabulary ? without_padding(*left, rows_a_) : *left, type),
                        as_compared(field.vocabulary ? without_padding(*right, rows_b_) : *right, type),
                        field.vocabulary);
            else if (left || right)
                differ(DifferenceKind::missing, place,
                       to_text("is missing in ", left ? "B" : "A", "; it has shape ", (left ? left : right)->shape(),
                               " in ", left ? "A" : "B"));
        }
        reporter_.took(a);
    }

    static Tensor as_compared(const Tensor& tensor, std::optional<DType> type) {
        return type && is_castable(tensor.dtype()) ? cast(tensor, *type) : tensor;
    }

    void compare(const std::string& place, const Tensor& a, const Tensor& b, bool is_vocabulary) {
        ++report_.tensors;
        if (a.shape() != b.shape()) {
            const bool may_be_padded = is_vocabulary && !header_a_.true_vocab_size && !header_b_.true_vocab_size;
            return differ(DifferenceKind::shape, place,
                          to_text("has shape ", a.shape(), " in A, ", b.shape(), " in B",
                                  may_be_padded ? "; if rows are padding, give the option true_vocab_size" : ""));
        }
        if (a.dtype() != b.dtype())
            return differ(DifferenceKind::type, place,
                          to_text("is ", dtype_name(a.dtype()), " in A, ", dtype_name(b.dtype()), " in B"));
        const Pair pair{pair_count_++, place, a.dtype(), a.shape()};
        if (world_.is_shared()) pairs_.push_back(pair);
        std::shared_ptr<PassingDigest> digest;
        if (how_.digests && !(digest = how_.digests->add(place, a))) return;  // another rank's
        transfers_.submit({{a, std::make_shared<ComparingSlot>(pair, b, mismatches_, std::move(digest)), place}});
    }

    /// What the ranks found becomes what one would have found.
    void share_mismatches() {
        if (!world_.is_shared()) return;
        std::vector<std::uint64_t> counts(pairs_.size()), firsts(pairs_.size(), Mismatch::none);
        for (const auto& [number, mismatch] : mismatches_.all()) {
            counts[number] = mismatch.count();
            firsts[number] = mismatch.first();
        }
        world_.sum(counts);
        world_.minimum(firsts);
        std::vector<std::uint64_t> elements;  // of the pairs that differ
        for (const Pair& pair : pairs_)
            if (counts[pair.number] > 0)
                for (const std::uint64_t bits : mismatches_.of(pair).elements_at(firsts[pair.number]))
                    elements.push_back(bits);
        world_.sum(elements);
        auto next = elements.begin();
        for (const auto& found : mismatches_.all()) {
            const Pair& pair = pairs_[found.first];
            mismatches_.of(pair).become(counts[pair.number], firsts[pair.number], {next[0], next[1]});
            next += 2;
        }
    }

    /// What the comparisons found, in the order of the model, after what was seen from the headers alone.
    void collect() {
        for (const auto& found : mismatches_.all())
            report_.differences.push_back(
                {DifferenceKind::elements, found.second.place(), found.second.describe(), found.second.count()});
    }

    AnyLoader &a_, &b_;
    ProgressReporter& reporter_;
    Transfers& transfers_;
    World& world_;
    Comparison how_;
    ModelHeader header_a_, header_b_;
    std::uint64_t rows_a_ = 0, rows_b_ = 0;  // of the vocabulary, that are compared
    VerifyReport report_;
    Mismatches mismatches_;
    std::size_t pair_count_ = 0;
    std::vector<Pair> pairs_;  // where ranks share the work and each has to know what another one found
};

/// One rank's part of a comparison, and what all have found.
inline VerifyReport compare_in(World& world, AnyLoader& a, AnyLoader& b, const VerifyOptions& options) {
    ReadingRun run(world, options);
    SharedTransfers share(world, run.pool);
    Transfers& transfers = world.is_shared() ? static_cast<Transfers&>(share) : run.pool;
    VerifyReport report = Verifier(a, b, run.reporter, transfers, world, {.dtype = options.dtype}).run();
    for (AnyLoader* side : {&a, &b})
        for (std::string& line : side->notices()) report.notices.push_back(to_text(side == &a ? "A: " : "B: ", line));
    report.seconds = run.seconds();
    return report;
}

/// The one comparison behind verify().
CROSSDOCK_ENTRY_POINT VerifyReport run_comparison(AnyLoader& a, AnyLoader& b, const VerifyOptions& options) {
    World& world = options.world ? *options.world : World::alone();
    return together(world, [&] { return compare_in(world, a, b, options); });
}

}  // namespace crossdock::detail
