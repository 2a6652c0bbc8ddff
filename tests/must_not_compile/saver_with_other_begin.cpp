// SPDX-License-Identifier: Apache-2.0
// must say: saver.begin(context)
#include "crossdock/plugin/concepts.hpp"

using namespace crossdock;

struct Mine {
#ifdef MISTAKE
    void begin(std::size_t threads);
#else
    void begin(const SaverContext&);
#endif
    template <class M>
    void write(const M&);
    void finish();
};

void use(Saver auto&);
void use_mine(Mine& mine) { use(mine); }
