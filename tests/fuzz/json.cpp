// SPDX-License-Identifier: Apache-2.0
// Feeds any bytes to the one reader of JSON: it may refuse them with an Error, and nothing else. What it takes is written
// again and read again, and stays the same.
//
//   tests/fuzz/run.sh builds and runs it. An input is a JSON text, which is changed value by value.

#include "crossdock/container/json.hpp"

#include <cstddef>
#include <cstdint>
#include <string>

#include "crossdock/container/json_text.hpp"
#include "inputs.hpp"
#include "mutate_json.hpp"

using namespace crossdock;
using namespace crossdock::test;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    accepts([&] {
        const Json json = parse_json(text_of(data, size), "fuzz");
        json_shown(json);
        const std::string once = json_text(json);
        if (json_text(parse_json(once)) != once) fail("what was written is read as something else");
    });
    return 0;
}

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t most, unsigned seed) {
    return mutate_input(data, size, most, seed, mutate_json);
}
