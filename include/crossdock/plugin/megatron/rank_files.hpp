// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <exception>
#include <future>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "crossdock/container/torch/reader.hpp"
#include "crossdock/core/error.hpp"
#include "crossdock/plugin/megatron/beside_model.hpp"
#include "crossdock/plugin/megatron/content.hpp"
#include "crossdock/plugin/megatron/files.hpp"
#include "crossdock/plugin/megatron/rank_grid.hpp"
#include "crossdock/plugin/megatron/wrappers.hpp"

namespace crossdock::detail {

/// A whole number above 0 in args; 0 where there is none.
inline std::uint64_t stated_size(const Json& args, const char* key) {
    const auto found = args.find(key);
    if (found == args.end() || !found->is_number_integer()) return 0;
    return found->is_number_unsigned() || found->get<std::int64_t>() >= 0 ? found->get<std::uint64_t>() : 0;
}

/// What the numbers in the folders' names count: one beside the tensor-parallel rank's is a pipeline stage's, unless
/// args speak of experts and of no pipeline.
inline RankGrid grid_of(const std::vector<RankFolder>& folders, const Json& args) {
    constexpr std::uint64_t most = 1U << 20;
    std::vector<std::uint64_t> sizes(folders.front().numbers.size());
    for (const RankFolder& folder : folders)
        for (std::size_t i = 0; i < sizes.size(); ++i) {
            if (folder.numbers[i] >= most)
                throw Error(to_text(folder.weights.string(), ": has the number ", folder.numbers[i],
                                    " in its folder's name, more ranks than there can be"));
            sizes[i] = std::max(sizes[i], folder.numbers[i] + 1);
        }
    const bool has_experts = stated_size(args, "num_experts") > 0;
    const bool counts_experts = has_experts && stated_size(args, "expert_model_parallel_size") > 1 &&
                                stated_size(args, "pipeline_model_parallel_size") <= 1;
    RankGrid grid{.tensor = sizes[0], .expert_tensor = sizes[0]};
    if (sizes.size() == 2) (counts_experts ? grid.expert : grid.pipeline) = sizes[1];
    if (sizes.size() == 3) grid.pipeline = sizes[1], grid.expert = sizes[2];
    const std::uint64_t expert_tensor = stated_size(args, "expert_tensor_parallel_size");
    if (has_experts && expert_tensor > 0) grid.expert_tensor = std::min(expert_tensor, most);
    if (checked_multiply(checked_multiply(grid.tensor, grid.pipeline, "ranks"),
                         checked_multiply(grid.expert, grid.expert_tensor, "ranks"), "ranks") > most)
        throw Error(to_text(folders.back().weights.string(), ": is of more ranks than there can be"));
    return grid;
}

/// Where the rank of a folder stands. Its place among those that share experts' tensors follows from the others.
inline RankCoordinates place_in(const RankGrid& grid, const std::vector<std::uint64_t>& numbers) {
    RankCoordinates at{.tensor = numbers[0], .expert_tensor = numbers[0] % grid.expert_tensor};
    if (numbers.size() == 3) at.pipeline = numbers[1], at.expert = numbers[2];
    if (numbers.size() == 2) (grid.expert > 1 ? at.expert : at.pipeline) = numbers[1];
    for (const RankCoordinates& known : grid.ranks_of(at.pipeline))
        if (known.tensor == at.tensor && known.expert == at.expert) return known;
    return at;
}

/// What a rank's file holds: the model's tensors, and all else where it was.
struct RankFile {
    std::string path;
    pickle::Value root;
    std::vector<NamedTensor> tensors;
};

/// What the files of ranks hold, one after the other; the next ones are read meanwhile, each on a thread of its own, which
/// takes its tensors out as well: what it gives back of its memory it uses again, and nobody else could.
class RankReader {
public:
    explicit RankReader(const std::vector<RankFolder>& folders) : folders_(folders) {}
    RankReader(const RankReader&) = delete;
    RankReader& operator=(const RankReader&) = delete;
    ~RankReader() {
        try {  // those that are under way may wait for a first file that nobody will read
            found_.set_exception(std::make_exception_ptr(Error("the files of further ranks are not wanted")));
        } catch (const std::future_error&) {
            // It was read.
        }
    }

    /// Under which keys the first file holds the model; known when that was read. All have the same.
    const std::vector<std::string>& chunks() const { return chunks_.get(); }

    /// The next file's. Throws Error as torch::read() and take_model_tensors() do.
    RankFile next() {
        constexpr std::size_t most_ahead = 2;  // each takes memory until its tensors are taken out
        const auto policy = folders_.size() > 1 ? std::launch::async | std::launch::deferred : std::launch::deferred;
        for (; begun_ < folders_.size() && ahead_.size() <= most_ahead; ++begun_)
            ahead_.push_back(
                std::async(policy, [this, file = folders_[begun_].weights.string(), is_first = begun_ == 0] {
                    return is_first ? read_first(file) : read_next(file);
                }));
        std::future<RankFile> first = std::move(ahead_.front());
        ahead_.pop_front();
        return first.get();
    }

private:
    static pickle::Value read(const std::string& file) { return torch::read(file, {}, pickle::TensorPlace::apart); }

    RankFile read_first(const std::string& file) {
        try {
            pickle::Value root = read(file);
            found_.set_value(chunk_keys(root, file));
            return apart(file, std::move(root));
        } catch (...) {
            if (!is_found()) found_.set_exception(std::current_exception());  // others wait for it
            throw;
        }
    }

    RankFile read_next(const std::string& file) { return apart(file, read(file)); }

    RankFile apart(const std::string& file, pickle::Value root) const {
        std::vector<NamedTensor> tensors = take_model_tensors(root, chunks(), file);
        return {file, std::move(root), std::move(tensors)};
    }

    bool is_found() const { return chunks_.wait_for(std::chrono::seconds(0)) == std::future_status::ready; }

    const std::vector<RankFolder>& folders_;
    std::promise<std::vector<std::string>> found_;
    std::shared_future<std::vector<std::string>> chunks_ = found_.get_future().share();
    std::size_t begun_ = 0;
    std::deque<std::future<RankFile>> ahead_;  ///< behind what they use
};

/// Reads the files of rank folders. Throws Error naming the file where one is damaged or no Megatron's, and the ranks
/// that are missing.
inline MegatronContent read_rank_files(const MegatronFiles& files) {
    MegatronContent content;
    std::map<RankCoordinates, std::string> places;
    RankReader reader(files.ranks);
    for (const RankFolder& folder : files.ranks) {
        RankFile read = reader.next();
        const std::string& file = read.path;
        const pickle::Value& root = read.root;
        if (content.chunks.empty()) {
            std::vector<std::string> notices;
            content.chunks = reader.chunks();
            content.grid = grid_of(files.ranks, statement_of(root, file, notices).args.values);
        }
        const RankCoordinates at = place_in(content.grid, folder.numbers);
        places.emplace(at, file);
        MegatronRank& rank = add_rank(at, file, root, content);
        BesideModel(file).add(root, content.chunks, content.beside);
        rank.tensors = std::move(read.tensors);
    }
    const std::string missing =
        missing_ranks(content.grid, [&](const RankCoordinates& at) { return places.contains(at); });
    if (!missing.empty())
        throw Error(to_text(files.directory.string(), ": ", missing, " (with their model_optim_rng.pt)"));
    std::sort(content.ranks.begin(), content.ranks.end(),
              [](const MegatronRank& a, const MegatronRank& b) { return a.at < b.at; });
    return content;
}

}  // namespace crossdock::detail
