// SPDX-License-Identifier: Apache-2.0
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <map>
#include <set>
#include <string>

#include "crossdock/pipeline/convert.hpp"
#include "golden/golden_cases.hpp"
#include "support/catch.hpp"
#include "support/one_in.hpp"
#include "support/temporary_directory.hpp"

using namespace crossdock;
using namespace crossdock::test;

namespace {

std::vector<std::string> run(const GoldenCase& test, const std::filesystem::path& target) {
    OptionValues to = test.to;
    to["save_dir"] = target.string();
    const auto loader = make_loader(test.loader, test.from);
    const auto saver = make_saver(test.saver, to);
    ConvertOptions options;
    options.dtype = test.dtype;
    convert(*loader, *saver, options);
    return differences(test.expected, target);
}

}  // namespace

TEST_CASE("every golden checkpoint converts to every other of the same weights, bit for bit", "[golden]") {
    const GoldenCases cases;
    REQUIRE(cases.all().size() == 263);
    for (std::size_t number = 0; number < cases.all().size(); number += one_in) {
        const GoldenCase& test = cases.all()[number];
        INFO(test.name);
        TemporaryDirectory scratch;
        std::vector<std::string> lines;
        try {
            lines = run(test, scratch / "target");
        } catch (const Error& error) {
            lines = {error.what()};
        }
        CHECK(lines == std::vector<std::string>{});
    }
}
