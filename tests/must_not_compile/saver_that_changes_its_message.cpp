// SPDX-License-Identifier: Apache-2.0
// must say: WritesMessagesByConstReference
// must say: BertPooler
#include "crossdock/plugin/concepts.hpp"

using namespace crossdock;

struct Mine {
    void write(const ModelHeader&);
    void write(const Embeddings&);
    void write(const TransformerLayer&);
    void write(const FinalNorm&);
#ifdef MISTAKE
    void write(BertPooler&);
#else
    void write(const BertPooler&);
#endif
    void finish();
};

void use(Saver auto&);
void use_mine(Mine& mine) { use(mine); }
