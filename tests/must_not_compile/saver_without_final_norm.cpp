// SPDX-License-Identifier: Apache-2.0
// must say: saver.write(final_norm)
#include "crossdock/plugin/concepts.hpp"

using namespace crossdock;

struct Mine {
    void write(const ModelHeader&);
    void write(const Embeddings&);
    void write(const TransformerLayer&);
#ifndef MISTAKE
    void write(const FinalNorm&);
#endif
    void finish();
};

void use(Saver auto&);
void use_mine(Mine& mine) { use(mine); }
