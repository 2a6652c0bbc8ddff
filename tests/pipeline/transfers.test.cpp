// SPDX-License-Identifier: Apache-2.0
#include <atomic>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "crossdock/container/transfer.hpp"
#include "crossdock/pipeline/convert.hpp"
#include "support/altered_loader.hpp"
#include "support/catch.hpp"
#include "support/plugins.hpp"
#include "support/temporary_directory.hpp"

using namespace crossdock;
using test::AlteredLoader;
using test::small_header;
using test::TemporaryDirectory;

// All bytes of a conversion pass by the Transfers that it lends its saver. Whoever means to count, digest, journal or
// share out what moves stands between the two.

namespace {

/// How many bytes of each tensor moved.
class Counts {
public:
    void add(const std::string& tensor, std::uint64_t bytes) {
        const std::lock_guard lock(mutex_);
        bytes_[tensor] += bytes;
    }
    const std::map<std::string, std::uint64_t>& of_tensors() const { return bytes_; }

private:
    std::mutex mutex_;
    std::map<std::string, std::uint64_t> bytes_;
};

/// A place that counts what is put there.
class CountedSlot final : public TensorSlot {
public:
    CountedSlot(std::shared_ptr<TensorSlot> slot, std::string tensor, std::shared_ptr<Counts> counts)
        : slot_(std::move(slot)),
          tensor_(std::move(tensor)),
          counts_(std::move(counts)) {}

    void write(std::uint64_t at, std::span<const std::byte> bytes) override {
        slot_->write(at, bytes);
        counts_->add(tensor_, bytes.size());
    }

private:
    std::shared_ptr<TensorSlot> slot_;
    std::string tensor_;
    std::shared_ptr<Counts> counts_;
};

// [transfers]
/// Counts what others move.
class CountedTransfers final : public Transfers {
public:
    CountedTransfers(Transfers& transfers, std::shared_ptr<Counts> counts)
        : transfers_(transfers),
          counts_(std::move(counts)) {}

    void submit(std::vector<Transfer> group) override {
        for (Transfer& transfer : group)
            transfer.slot = std::make_shared<CountedSlot>(std::move(transfer.slot), transfer.name, counts_);
        transfers_.submit(std::move(group));
    }
    void wait() override { transfers_.wait(); }

private:
    Transfers& transfers_;
    std::shared_ptr<Counts> counts_;
};
// [transfers]

/// Any saver, with what it moves counted.
struct CountedSaver {
    AnySaver& saver;
    std::shared_ptr<Counts> counts = std::make_shared<Counts>();
    std::optional<CountedTransfers> transfers{};

    void begin(const SaverContext& lent) {
        transfers.emplace(lent.transfers, counts);
        saver.begin({.transfers = *transfers, .planned = lent.planned, .written = lent.written, .stop = lent.stop});
    }
    template <class M>
    void write(const M& message) {
        saver.write(message);
    }
    void finish() { saver.finish(); }
    std::vector<std::string> notices() { return saver.notices(); }
};

std::string content(const std::filesystem::path& file) {
    std::ifstream in(file, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
}

/// Sends a tensor on its way, and fails.
struct FailingSaver {
    class Slot final : public TensorSlot {
    public:
        explicit Slot(std::atomic<bool>& is_gone) : is_gone_(is_gone) {}
        void write(std::uint64_t, std::span<const std::byte>) override {
            if (is_gone_) std::abort();
        }

    private:
        std::atomic<bool>& is_gone_;
    };

    std::atomic<bool>& is_gone;
    std::optional<SaverContext> context{};

    void begin(const SaverContext& lent) { context.emplace(lent); }
    void write(const ModelHeader&) {}
    void write(const Embeddings& message) {
        for (int i = 0; i < 8; ++i)
            context->transfers.submit({{*message.word, std::make_shared<Slot>(is_gone), "word"}});
        throw Error("disk full");
    }
    void write(const TransformerLayer&) {}
    void write(const FinalNorm&) {}
    void finish() {}
};

}  // namespace

TEST_CASE("what a conversion moves can be counted on its way", "[pipeline][transfers]") {
    const TemporaryDirectory directory;
    AlteredLoader loader(small_header(), 1);
    const auto plain = test::make_saver("llama", {{"save_dir", (directory / "plain").string()}});
    const auto inner = test::make_saver("llama", {{"save_dir", (directory / "counted").string()}});
    CountedSaver counted{*inner};
    convert(loader, *plain);
    const Report report = convert(loader, counted, {.threads = 3});

    std::uint64_t bytes = 0;
    for (const auto& [name, moved] : counted.counts->of_tensors()) bytes += moved;
    CHECK(bytes == report.bytes);
    CHECK(counted.counts->of_tensors().at("model.embed_tokens.weight") == 100 * 32 * 4);
    CHECK(content(directory / "counted/model.safetensors") == content(directory / "plain/model.safetensors"));
}

TEST_CASE("when a conversion has failed nothing writes to its saver's places", "[pipeline][transfers]") {
    const ModelHeader header = test::llama_header(1, 1, 1, 8, 1024, 8, 4096, DType::f32);
    AlteredLoader loader(header, 1);
    std::atomic<bool> is_gone = false;
    {
        FailingSaver saver{is_gone};
        CHECK_THROWS_WITH(convert(loader, saver, {.threads = 2}), "disk full");
        is_gone = true;
    }
}
