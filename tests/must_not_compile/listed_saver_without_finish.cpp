// SPDX-License-Identifier: Apache-2.0
// must say: saver.finish()
#include "crossdock/plugin/plugin_list.hpp"

using namespace crossdock;

struct Mine {
    struct Options {};
    static std::string name() { return "mine"; }
    static std::string summary() { return "writes mine"; }
    static std::vector<OptionSpec<Options>> options() { return {}; }

    explicit Mine(const Options&) {}
    template <class M>
    void write(const M&) {}
#ifndef MISTAKE
    void finish() {}
#endif
};

const auto names = SaverList<Mine>::names();
