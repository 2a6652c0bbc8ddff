// SPDX-License-Identifier: Apache-2.0
#include <string>

#include "support/catch.hpp"
#include "support/run_program.hpp"

using Catch::Matchers::ContainsSubstring;
using crossdock::test::crossdock_program;
using crossdock::test::ProgramResult;
using crossdock::test::run_program;

namespace {

/// What bash offers for the last of these words.
std::string offered(const std::string& words, int position) {
    const std::string script = "source <(" CROSSDOCK_CLI " completion bash); COMP_WORDS=(" + words +
                               "); COMP_CWORD=" + std::to_string(position) + "; _crossdock; echo \"${COMPREPLY[*]}\"";
    const ProgramResult result = run_program({"/bin/bash", "-c", script});
    CHECK(result.exit_code == 0);
    return result.out;
}

}  // namespace

TEST_CASE("bash completes commands, options and what an option takes", "[cli]") {
    CHECK(offered("crossdock ver", 1) == "verify\n");
    CHECK(offered("crossdock convert --target_te", 2) == "--target_tensor_parallel_size\n");
    CHECK(offered("crossdock verify A B --target_te", 4) == "\n");
    CHECK(offered("crossdock convert --saver mc", 3) == "mcore\n");
    CHECK(offered("crossdock convert --ckpt_format ''", 3) == "torch_dist torch\n");
    CHECK(offered("crossdock convert --threads ''", 3) == "\n");
    CHECK_THAT(offered("crossdock convert --load_dir /us", 3), ContainsSubstring("/usr"));
}

TEST_CASE("each shell's script names every option of a command", "[cli]") {
    for (const std::string shell : {"bash", "zsh", "fish"}) {
        const ProgramResult script = crossdock_program({"completion", shell});
        INFO(shell);
        CHECK(script.exit_code == 0);
        for (const std::string name : {"target_pipeline_parallel_size", "expert_layout", "quiet", "meeting"})
            CHECK_THAT(script.out, ContainsSubstring(name));
    }
    CHECK_THAT(crossdock_program({"completion", "tcsh"}).err, ContainsSubstring("no shell is called 'tcsh'"));
}

TEST_CASE("the manual page tells every command and option, and roff understands it", "[cli]") {
    const ProgramResult page = crossdock_program({"man"});
    CHECK(page.exit_code == 0);
    for (const std::string part : {".TH CROSSDOCK 1", ".SS verify A [B]", ".B \\-\\-target_tensor_parallel_size N"})
        CHECK_THAT(page.out, ContainsSubstring(part));
    for (const char begin : {'.', '\''}) {  // every request is one that is meant
        for (std::size_t at = page.out.find(std::string("\n") + begin); at != std::string::npos;
             at = page.out.find(std::string("\n") + begin, at + 1)) {
            const std::string request = page.out.substr(at + 1, 3);
            INFO(request);
            CHECK((request == ".SH" || request == ".SS" || request == ".TP" || request == ".B " || request == ".PP" ||
                   request == ".I "));
        }
    }
}
