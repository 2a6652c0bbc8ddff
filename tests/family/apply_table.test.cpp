// SPDX-License-Identifier: Apache-2.0
#include "crossdock/family/apply_table.hpp"

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "support/catch.hpp"
#include "support/numbered_tensor.hpp"
#include "support/synthetic_model.hpp"

namespace crossdock {

/// A message of the test's own, with an axis for experts in front: 4 experts of 6 × 2.
struct Stack {
    static constexpr std::string_view name = "experts";
    std::uint64_t index = 0;
    std::optional<Tensor> gate, up, down;
};

template <>
inline constexpr std::array tensor_fields<Stack>{
    TensorField<Stack>{"gate", &Stack::gate,
                       [](const ModelHeader&, std::uint64_t) {
                           return std::optional(Shape{4, 6, 2});
                       }},
    TensorField<Stack>{"up", &Stack::up,
                       [](const ModelHeader&, std::uint64_t) {
                           return std::optional(Shape{4, 6, 2});
                       }},
    TensorField<Stack>{"down", &Stack::down, [](const ModelHeader&, std::uint64_t) {
                           return std::optional(Shape{4, 2, 6});
                       }}};

}  // namespace crossdock

using namespace crossdock;
using namespace crossdock::test;
using Catch::Matchers::ContainsSubstring;

namespace {

Stack numbered_stack(std::uint64_t layer) {
    return {.index = layer, .gate = numbered({4, 6, 2}), .up = numbered({4, 6, 2}), .down = numbered({4, 2, 6})};
}

/// An expert's tensors under names of their own; its rows and columns cut by tensor-parallel ranks.
Rows<Stack> numbered_table() {
    return Rows<Stack>{
        {{&Stack::gate, &Stack::up},
         {"layers/{}/experts.{e}.fc1"},
         gate_over_up,
         {Cut{0, Group::expert}, Cut{1, Group::tensor}}},
        {{&Stack::down}, {"layers/{}/experts.{e}.fc2"}, as_is, {Cut{0, Group::expert}, Cut{2, Group::tensor}}}};
}

/// All layers in one tensor, which has an axis for them and one for the experts.
Rows<Stack> stacked_table() {
    return Rows<Stack>{{{&Stack::gate}, {"gate[{}]"}, as_is, Cut{0, Group::expert}},
                       {{&Stack::up}, {"up[{}]"}},
                       {{&Stack::down}, {"down[{}]"}}};
}

std::vector<RankCoordinates> expert_by_tensor(std::uint64_t experts, std::uint64_t tensors) {
    std::vector<RankCoordinates> ranks;
    for (std::uint64_t expert = 0; expert < experts; ++expert)
        for (std::uint64_t tensor = 0; tensor < tensors; ++tensor)
            ranks.push_back({.tensor = tensor, .expert = expert});
    return ranks;
}

/// What the ranks hold after two layers were saved; stacked elements are put together.
StageTensors stored(const Rows<Stack>& table, const std::vector<RankCoordinates>& ranks) {
    std::map<RankCoordinates, std::map<std::string, std::vector<Tensor>>> stacked;
    std::map<RankCoordinates, TensorDict> dicts;
    const auto flat = [](std::string name) {
        std::replace(name.begin(), name.end(), '/', '.');
        return name;
    };
    for (std::uint64_t layer = 0; layer < 2; ++layer)
        scatter(table, numbered_stack(layer), ranks, NameScope{"", layer, 2}, ModelHeader{},
                [&](const std::vector<StoredTensor>& group) {
                    for (const StoredTensor& each : group)
                        if (each.element)
                            stacked[each.at][each.name].push_back(each.tensor);
                        else
                            dicts[each.at].add({flat(each.name), each.tensor, "file"});
                });
    std::vector<TensorDict> all;
    for (const RankCoordinates& at : ranks) {
        for (const auto& entry : stacked[at]) dicts[at].add({entry.first, stack_elements(entry.second), "file"});
        all.push_back(std::move(dicts[at]));
    }
    return StageTensors(std::move(all), ranks);
}

void require_equal(const Stack& a, const Stack& b) {
    CHECK(a.index == b.index);
    for (const auto& field : tensor_fields<Stack>) {
        CHECK((a.*field.tensor)->shape() == (b.*field.tensor)->shape());
        CHECK((a.*field.tensor)->bytes() == (b.*field.tensor)->bytes());
    }
}

void require_comes_back(const Rows<Stack>& table, const std::vector<RankCoordinates>& ranks) {
    StageTensors stage = stored(table, ranks);
    for (std::uint64_t layer = 0; layer < 2; ++layer)
        require_equal(gather(table, Key<Stack>{layer}, stage, NameScope{"", layer, 2}, ModelHeader{}, "sizes"),
                      numbered_stack(layer));
    stage.for_each([](const NamedTensor&, bool is_used) { CHECK(is_used); });
}

}  // namespace

TEST_CASE("an axis of a tensor becomes many numbered ones, and comes back", "[family][apply_table]") {
    const StageTensors stage = stored(numbered_table(), expert_by_tensor(1, 1));
    CHECK(stage.rank(0).entries().size() == 16);
    const NamedTensor* last = stage.find(0, "layers/1/experts.3.fc1");
    REQUIRE(last);
    CHECK(last->tensor.shape() == Shape{12, 2});
    CHECK(elements(last->tensor)[0] == 36);   // the fourth expert's gate …
    CHECK(elements(last->tensor)[12] == 36);  // … and its up below it
    require_comes_back(numbered_table(), expert_by_tensor(1, 1));
}

TEST_CASE("experts are shared by one group of ranks and cut by another", "[family][apply_table]") {
    const StageTensors stage = stored(numbered_table(), expert_by_tensor(2, 2));
    REQUIRE(stage.size() == 4);
    for (std::size_t rank = 0; rank < 4; ++rank) {
        CHECK(stage.rank(rank).entries().size() == 8);
        CHECK(stage.find(rank, "layers/0/experts.1.fc2"));
        CHECK_FALSE(stage.find(rank, "layers/0/experts.2.fc2"));  // numbers begin anew on each rank
    }
    const NamedTensor* down = stage.find(3, "layers/0/experts.0.fc2");
    CHECK(down->tensor.shape() == Shape{2, 3});
    CHECK(elements(down->tensor) == std::vector<std::int32_t>{27, 28, 29, 33, 34, 35});
    for (const std::uint64_t experts : {1U, 2U, 4U})
        for (const std::uint64_t tensors : {1U, 2U, 3U})
            require_comes_back(numbered_table(), expert_by_tensor(experts, tensors));
}

TEST_CASE("ranks may come in any order", "[family][apply_table]") {
    std::vector<RankCoordinates> ranks = expert_by_tensor(2, 3);
    std::swap(ranks[0], ranks[4]);
    require_comes_back(numbered_table(), ranks);
}

TEST_CASE("layers are stacked on an axis of one tensor, and come back", "[family][apply_table]") {
    const StageTensors stage = stored(stacked_table(), expert_by_tensor(2, 1));
    CHECK(stage.rank(0).entries().size() == 3);
    CHECK(stage.find(1, "gate")->tensor.shape() == Shape{2, 2, 6, 2});
    CHECK(stage.find(1, "down")->tensor.shape() == Shape{2, 4, 2, 6});
    require_comes_back(stacked_table(), expert_by_tensor(1, 1));
    require_comes_back(stacked_table(), expert_by_tensor(2, 1));
}

TEST_CASE("what several ranks hold is noted, to be compared", "[family][apply_table]") {
    StageTensors stage = stored(stacked_table(), expert_by_tensor(2, 2));
    gather(stacked_table(), Key<Stack>{0}, stage, NameScope{"", 0, 2}, ModelHeader{}, "sizes");
    std::vector<std::string> lines;
    for (const StageTensors::Replica& replica : stage.replicas())
        lines.push_back(
            to_text(stage.rank(replica.other).entries()[replica.tensor].name, " ", replica.first, " ", replica.other));
    std::ranges::sort(lines);
    // gate is shared by expert-parallel ranks and the same on both tensor-parallel ones; all else is on all four.
    CHECK(lines == std::vector<std::string>{"down 0 1", "down 0 2", "down 0 3", "gate 0 1", "gate 2 3", "up 0 1",
                                            "up 0 2", "up 0 3"});
}

TEST_CASE("a stack of more or fewer layers than there are is refused", "[family][apply_table]") {
    StageTensors stage = stored(stacked_table(), expert_by_tensor(1, 1));
    CHECK_THROWS_WITH(gather(stacked_table(), Key<Stack>{0}, stage, NameScope{"", 0, 3}, ModelHeader{}, "sizes"),
                      "file: tensor 'gate' has shape [2, 4, 6, 2], expected [3, 4, 6, 2] (sizes)");
}

TEST_CASE("a missing expert is named", "[family][apply_table]") {
    std::vector<TensorDict> ranks(1);
    const StageTensors whole = stored(numbered_table(), expert_by_tensor(1, 1));
    for (const NamedTensor& entry : whole.rank(0).entries())
        if (entry.name != "layers.0.experts.2.fc2") ranks[0].add(entry);
    StageTensors stage(std::move(ranks));
    CHECK_THROWS_WITH(gather(numbered_table(), Key<Stack>{0}, stage, NameScope{"", 0, 2}, ModelHeader{}, "sizes"),
                      ContainsSubstring("tensor 'layers/0/experts.2.fc2' of shape [2, 6] is missing; sizes"));
}

TEST_CASE("ranks that are no grid are refused", "[family][apply_table]") {
    std::vector<RankCoordinates> ranks = expert_by_tensor(2, 2);
    StageTensors whole = stored(numbered_table(), ranks);
    ranks[3].tensor = 0;
    std::vector<TensorDict> dicts;
    for (std::size_t rank = 0; rank < 4; ++rank) dicts.push_back(whole.rank(rank));
    StageTensors stage(std::move(dicts), ranks);
    CHECK_THROWS_WITH(gather(numbered_table(), Key<Stack>{0}, stage, NameScope{"", 0, 2}, ModelHeader{}, "sizes"),
                      ContainsSubstring("not those of a grid"));
}

TEST_CASE("a message with a tensor that has no row is refused", "[family][apply_table]") {
    Rows<Stack> rows = numbered_table();
    rows.pop_back();
    CHECK_THROWS_WITH(scatter(rows, numbered_stack(1), expert_by_tensor(1, 1), NameScope{}, ModelHeader{},
                              [](const std::vector<StoredTensor>&) {}),
                      "message 'experts 1': the target has no place for tensor 'down', which would be lost");
}

TEST_CASE("half of what one tensor holds is refused", "[family][apply_table]") {
    Stack message = numbered_stack(1);
    message.up.reset();
    CHECK_THROWS_WITH(scatter(numbered_table(), message, expert_by_tensor(1, 1), NameScope{}, ModelHeader{},
                              [](const std::vector<StoredTensor>&) {}),
                      "message 'experts 1': 'gate' is i32, 'up' is missing; 'layers/0/experts.0.fc1' holds them both");
}
