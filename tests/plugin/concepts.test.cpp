// SPDX-License-Identifier: Apache-2.0
#include "crossdock/plugin/concepts.hpp"

#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "crossdock/pipeline/convert.hpp"
#include "crossdock/pipeline/inspect.hpp"
#include "crossdock/pipeline/verify.hpp"
#include "crossdock/plugin/any_loader.hpp"
#include "crossdock/plugin/any_saver.hpp"
#include "support/altered_loader.hpp"
#include "support/catch.hpp"
#include "support/recording_saver.hpp"

using namespace crossdock;
using test::AlteredLoader;
using test::RecordingSaver;
using test::small_header;

namespace {

// [loader]
/// As little as a loader can be: this model has no final norm and no output layer.
struct PlainLoader {
    test::SyntheticLoader model{header(), 1};

    static ModelHeader header() {
        ModelHeader header = small_header();
        header.final_norm = false;
        header.tied_embeddings = true;
        return header;
    }
    Embeddings embeddings() { return model.embeddings(); }
    TransformerLayer layer(std::uint64_t index) { return model.layer(index); }
};
// [loader]

// [saver]
/// As little as a saver can be.
struct PlainSaver {
    int messages = 0;
    bool is_finished = false;

    template <class M>
    void write(const M&) {
        ++messages;
    }
    void finish() { is_finished = true; }
};
// [saver]

/// Takes no more than every model has.
struct NarrowSaver {
    void write(const ModelHeader&) {}
    void write(const Embeddings&) {}
    void write(const TransformerLayer&) {}
    void write(const FinalNorm&) {}
    void finish() {}
};

/// One template for all messages, and what can be moved but not copied.
struct MovedLoader {
    std::unique_ptr<PlainLoader> plain = std::make_unique<PlainLoader>();

    const ModelHeader header() const { return plain->header(); }
    template <class M>
    M load(std::uint64_t index) {
        return pull(Key<M>{index}, *plain);
    }
};

/// Counts what it is asked.
struct AskedLoader : PlainLoader {
    std::vector<std::string> calls;

    void will_cast(DType dtype) { calls.push_back(to_text("will cast to ", dtype_name(dtype))); }
    void begin() { calls.emplace_back("begin"); }
    Storage storage() { return {.ranks = {{.rank = 1, .stage = 0, .tensors = 2, .bytes = 3}}, .unused = {}}; }
    std::vector<std::string> notices() { return {"asked"}; }
};

struct WrongNotices : NarrowSaver {
    int notices() { return 0; }
};
struct WrongBegin : NarrowSaver {
    void begin(int) {}
};
struct WrongPooler : NarrowSaver {
    using NarrowSaver::write;
    void write(BertPooler&) {}
};
struct MisspeltFinish {
    template <class M>
    void write(const M&) {}
    void finnish() {}
};
struct WrongStorage : PlainLoader {
    void storage() {}
};
struct WrongWillCast : PlainLoader {
    void will_cast(const std::string&) {}
};
struct WrongOutputLayer : PlainLoader {
    static FinalNorm output_layer() { return {}; }
};
struct WrongLoad : PlainLoader {
    template <class M>
    static int load(std::uint64_t) {
        return 0;
    }
};
/// What a member that is no function is called is nobody's business.
struct OwnStorage : PlainLoader {
    int storage = 0, notices = 0;
};

static_assert(Loader<PlainLoader> && Loader<MovedLoader> && Loader<AskedLoader> && Loader<OwnStorage>);
static_assert(Loader<AnyLoader> && Loader<AlteredLoader>);
static_assert(Saver<PlainSaver> && Saver<NarrowSaver> && Saver<AnySaver> && Saver<RecordingSaver>);
static_assert(!Loader<PlainSaver> && !Saver<PlainLoader> && !Loader<int> && !Saver<int>);
static_assert(!Saver<WrongNotices> && !Saver<WrongBegin> && !Saver<WrongPooler> && !Saver<MisspeltFinish>);
static_assert(!Loader<WrongStorage> && !Loader<WrongWillCast> && !Loader<WrongOutputLayer> && !Loader<WrongLoad>);
static_assert(!std::is_copy_constructible_v<MovedLoader>);

}  // namespace

TEST_CASE("plain structs are loaders and savers", "[plugin][concepts]") {
    // [use]
    PlainLoader loader;
    PlainSaver saver;
    CHECK(convert(loader, saver).tensors == 22);
    // [use]
    CHECK(saver.messages == 5);
    CHECK(saver.is_finished);
    CHECK(inspect(loader).tensors.size() == 22);
    CHECK(verify(loader, loader).equal());
}

TEST_CASE("loaders of two types are compared", "[plugin][concepts]") {
    PlainLoader a;
    MovedLoader b;
    CHECK(verify(a, b).tensors == 22);
    const auto any = make_any_loader<MovedLoader>(std::move(b));
    CHECK(verify(*any, a).equal());
    CHECK(any->load<TransformerLayer>(2).index == 2);
    CHECK_FALSE(any->load<FinalNorm>().weight);
}

TEST_CASE("what a plugin leaves out does nothing, and what it has is asked", "[plugin][concepts]") {
    PlainLoader plain;
    auto any_plain = as_any_loader(plain);
    any_plain.will_cast(DType::f32);
    any_plain.begin();
    CHECK(any_plain.notices().empty());
    CHECK(any_plain.storage().ranks.empty());

    AskedLoader asked;
    PlainSaver saver;
    const Report report = convert(asked, saver, {.dtype = DType::bf16});
    CHECK(asked.calls == std::vector<std::string>{"will cast to bf16", "begin"});
    CHECK(report.warnings == std::vector<std::string>{"asked"});
    CHECK(inspect(asked).storage.ranks.at(0).bytes == 3);
}

TEST_CASE("a message that a loader leaves out is missed by name", "[plugin][concepts]") {
    struct Claiming : PlainLoader {
        static ModelHeader header() { return small_header(); }
    } loader;
    PlainSaver saver;
    CHECK_THROWS_WITH(convert(loader, saver),
                      "message 'final norm': tensor 'weight' is missing; the header asks for [32]");
    CHECK_FALSE(saver.is_finished);
}

TEST_CASE("a message that a saver does not take is refused by name", "[plugin][concepts]") {
    AlteredLoader loader(small_header(), 1);
    NarrowSaver saver;
    CHECK_THROWS_WITH(convert(loader, saver), "the saver has no place for 'output layer'");
}

TEST_CASE("a saver owned behind its type works as itself", "[plugin][concepts]") {
    PlainLoader loader;
    const auto saver = make_any_saver<PlainSaver>();
    CHECK(convert(loader, *saver).tensors == 22);
    CHECK_THROWS_WITH(make_any_saver<NarrowSaver>()->write(BertPooler{}), "the saver has no place for 'pooler'");
}
