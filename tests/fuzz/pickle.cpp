// SPDX-License-Identifier: Apache-2.0
// Feeds any bytes to both readers of pickles: they may refuse them with an Error, and nothing else. What the reader takes
// is written again, and that it must take, too.
//
//   tests/fuzz/run.sh builds and runs it. An input is a pickle, which is changed instruction by instruction.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "crossdock/container/pickle/packed_reader.hpp"
#include "crossdock/container/pickle/reader.hpp"
#include "crossdock/container/pickle/writer.hpp"
#include "inputs.hpp"
#include "mutate_pickle.hpp"

using namespace crossdock;
using namespace crossdock::test;

namespace {

constexpr pickle::Limits limits{200, std::uint64_t{1} << 26};

pickle::Value read(std::string_view bytes, pickle::Limits within) {
    pickle::Cursor cursor(source_of(bytes), 0, bytes.size());
    return pickle::Reader(cursor, "fuzz", within).read();
}

void read_and_write(std::string_view bytes) {
    const pickle::Value value = read(bytes, limits);
    value.describe();
    const std::string written = pickle::write(value);
    const pickle::Limits ample{4 * limits.depth, 64 * limits.memory_bytes};
    if (!accepts([&] { read(written, ample); })) fail("what was written cannot be read");
}

/// As a reader of .metadata looks at it.
void visit(const pickle::PackedValue& value, std::size_t& steps) {
    if (steps == 0) return;
    --steps;
    value.describe();
    for (std::size_t i = 0; i < value.size().value_or(0) && steps > 0; ++i) visit(value.item(i), steps);
    for (std::size_t i = 0; i < value.entry_count().value_or(0) && steps > 0; ++i) {
        visit(value.entry(i).first, steps);
        visit(value.entry(i).second, steps);
    }
    if (!value.is_object()) return;
    value.attribute("size");
    visit(value.state(), steps);
    visit(value.arguments(), steps);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view bytes = text_of(data, size);
    accepts([&] { read_and_write(bytes); });
    accepts([&] {
        const pickle::PackedPickle packed(*source_of(bytes));
        std::size_t steps = 50;
        visit(packed.root(), steps);
    });
    return 0;
}

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t most, unsigned seed) {
    return mutate_input(data, size, most, seed, mutate_pickle);
}
