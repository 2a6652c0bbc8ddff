// SPDX-License-Identifier: Apache-2.0
// must say: saver.finish()
#include "crossdock/plugin/concepts.hpp"

using namespace crossdock;

struct Mine {
    template <class M>
    void write(const M&);
#ifdef MISTAKE
    void finnish();
#else
    void finish();
#endif
};

void use(Saver auto&);
void use_mine(Mine& mine) { use(mine); }
