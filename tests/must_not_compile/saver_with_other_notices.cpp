// SPDX-License-Identifier: Apache-2.0
// must say: plugin.notices()
#include "crossdock/plugin/concepts.hpp"

using namespace crossdock;

struct Mine {
    template <class M>
    void write(const M&);
    void finish();
#ifdef MISTAKE
    int notices();
#else
    std::vector<std::string> notices();
#endif
};

void use(Saver auto&);
void use_mine(Mine& mine) { use(mine); }
