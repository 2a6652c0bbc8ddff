// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "crossdock/container/planned_files.hpp"
#include "crossdock/container/transfer/memory_budget.hpp"
#include "crossdock/core/digest.hpp"
#include "crossdock/core/dtype.hpp"
#include "crossdock/core/element_statistics.hpp"
#include "crossdock/core/shape.hpp"
#include "crossdock/core/shared_text.hpp"
#include "crossdock/core/world.hpp"
#include "crossdock/pipeline/progress.hpp"
#include "crossdock/plugin/any_loader.hpp"
#include "crossdock/plugin/storage.hpp"
#include "crossdock/protocol/model_header.hpp"

namespace crossdock {

// What convert(), digest(), verify(), inspect() and statistics() are asked, and what they say.

struct ConvertOptions {
    std::size_t max_queue_size = 50;  ///< messages; these hold recipes, so the bound matters to loaders that own memory
    bool no_checking = false;         ///< does not compare the tensors with the header: presence and shape
    std::optional<DType> dtype{};     ///< casts floating tensors; each keeps its own otherwise
    std::size_t threads = 0;          ///< that evaluate and write tensors; 0: as many as can run at once
    std::uint64_t memory =
        usual_memory;             ///< bytes that it may take; larger than usual helps where tensors are transposed
    ProgressCallback progress{};  ///< hears of each message and each written block
    std::stop_token stop{};       ///< ends the conversion with Cancelled
    World* world = nullptr;       ///< who else makes the same conversion, on one target; null: nobody
    /// Opens the target's directory; where it is given, the target is read back through it before it is put in place,
    /// compared with the source, and what was found is kept in its crossdock.json (docs/proof.md). A difference is an
    /// Error, and there is no target.
    std::function<std::unique_ptr<AnyLoader>(const std::filesystem::path&)> read_back{};
    std::map<std::string, std::string> options_to_keep{};  ///< with it: what the user asked for
    /// With it: the saver was told to describe the model as somebody else does (its option config), so that only tensors
    /// are compared.
    bool is_described_anew = false;
    bool dry_run = false;  ///< finds out what would be written, and writes nothing
    /// What tells this conversion from any that would write something else: its options, and source_identity() of all
    /// that it reads. What was written is then noted beside it, so that another one can go on when this one is killed.
    std::string job{};
    bool resume = false;  ///< goes on where one of the same job ended, and leaves what it has itself when it fails
    /// Told of what could not be removed of a target that failed, at the latest by the saver's destructor.
    std::function<void(const std::string& leftover)> left_behind{};
};

/// What a conversion did.
struct Report {
    std::uint64_t tensors = 0;  ///< of the canonical model
    std::uint64_t bytes = 0;    ///< written
    double seconds = 0;
    std::vector<std::string> warnings;
    std::vector<PlannedFile> files{};            ///< that would be written, of a dry run
    std::vector<SourceTensor> source_tensors{};  ///< what would become of each, of a dry run
    std::uint64_t verified = 0;                  ///< tensors that were read back and compared
};

struct DigestOptions {
    std::size_t threads = 0;              ///< that read and digest; 0: as many as can run at once
    std::uint64_t memory = usual_memory;  ///< bytes that it may take
    ProgressCallback progress{};          ///< hears of each message and each digested block
    std::stop_token stop{};               ///< ends the work with Cancelled
    World* world = nullptr;               ///< who else does the same work; null: nobody
};

/// A canonical tensor, without rows that pad the vocabulary, and what its bytes come to.
struct TensorDigest {
    std::string place;  ///< "transformer layer 3 / qkv weight"
    DType dtype = DType::f32;
    Shape shape{};
    Digest digest{};
};

/// A file that travels beside the weights.
struct FileDigest {
    std::string name;
    Digest digest{};
};

/// The digests of a model: the same for the same weights, however they are stored. pipeline/digest_list.hpp writes,
/// reads and compares them.
struct DigestList {
    std::vector<TensorDigest> tensors{};  ///< in protocol order
    std::optional<Digest> model{};        ///< of all of them; a list that was read may lack it
    std::vector<FileDigest> files{};
};

struct DigestReport {
    DigestList list;
    std::uint64_t bytes = 0;  ///< digested
    double seconds = 0;
    std::vector<std::string> notices;
};

struct VerifyOptions {
    std::size_t threads = 0;              ///< that read and compare; 0: as many as can run at once
    std::uint64_t memory = usual_memory;  ///< bytes that it may take
    ProgressCallback progress{};          ///< hears of each message and each compared block
    std::stop_token stop{};               ///< ends the comparison with Cancelled
    World* world = nullptr;               ///< who else makes the same comparison; null: nobody
    /// Both sides' floating tensors are cast to this type, as convert() would cast them, and then compared.
    std::optional<DType> dtype{};
};

/// What kind of thing differs between two checkpoints.
enum class DifferenceKind : std::uint8_t { header, missing, shape, type, elements, beside };
template <>
inline constexpr std::array<std::string_view, 6> enum_names<DifferenceKind>{"header", "missing",  "shape",
                                                                            "type",   "elements", "beside"};

/// One thing in which two checkpoints differ; they are called A and B.
struct Difference {
    DifferenceKind kind = DifferenceKind::elements;
    std::string place;  ///< "header / rope_theta", "transformer layer 3 / qkv weight", "beside / tokenizer.json"
    std::string text;
    std::uint64_t elements = 0;  ///< how many of the tensor's differ, where they were counted
};

/// What a comparison found.
struct VerifyReport {
    std::uint64_t header_fields = 0;  ///< stated by both and compared
    std::uint64_t tensors = 0;        ///< on both sides and compared
    std::uint64_t beside = 0;         ///< files and token ids that both have, and that were compared
    std::uint64_t bytes = 0;          ///< compared, of one side
    double seconds = 0;
    std::vector<Difference> differences;
    std::vector<std::string> notices;

    bool equal() const noexcept { return differences.empty(); }
};

struct StatisticsOptions {
    std::size_t threads = 0;              ///< that read and count; 0: as many as can run at once
    std::uint64_t memory = usual_memory;  ///< bytes that it may take
    ProgressCallback progress{};          ///< hears of each tensor and each block
    std::stop_token stop{};               ///< ends the work with Cancelled
    /// Whether a tensor is to be read, by its place; all are where it is empty.
    std::function<bool(const std::string& place)> wanted{};
};

/// What the values of a tensor come to; of a canonical one without rows that pad the vocabulary.
struct TensorStatistics {
    std::string place;  ///< "transformer layer 3 / qkv weight", or its name in a file
    DType dtype = DType::f32;
    Shape shape{};
    Statistics statistics{};
};

struct StatisticsReport {
    std::vector<TensorStatistics> tensors;  ///< in protocol order, or as the file has them
    std::uint64_t bytes = 0;                ///< read
    double seconds = 0;
    std::vector<std::string> notices;
};

/// One canonical tensor of a model.
struct InspectedTensor {
    SharedText message;  ///< "transformer layer 3"
    std::string name;    ///< "qkv weight"
    DType dtype = DType::f32;
    Shape shape;

    std::uint64_t bytes() const { return shape.element_count() * item_size(dtype); }
};

/// The tensors of one element type.
struct DTypeShare {
    std::uint64_t tensors = 0;
    std::uint64_t bytes = 0;
};

/// What a checkpoint is, from its headers alone.
struct Inspection {
    ModelHeader header;
    std::vector<InspectedTensor> tensors;  ///< in protocol order
    Storage storage;
    std::vector<std::string> notices;

    std::uint64_t parameters() const {
        std::uint64_t count = 0;
        for (const InspectedTensor& tensor : tensors) count += tensor.shape.element_count();
        return count;
    }
    std::uint64_t bytes() const {
        std::uint64_t count = 0;
        for (const InspectedTensor& tensor : tensors) count += tensor.bytes();
        return count;
    }
    std::map<DType, DTypeShare> dtypes() const {
        std::map<DType, DTypeShare> shares;
        for (const InspectedTensor& tensor : tensors) {
            ++shares[tensor.dtype].tensors;
            shares[tensor.dtype].bytes += tensor.bytes();
        }
        return shares;
    }
};

}  // namespace crossdock
