// SPDX-License-Identifier: Apache-2.0
// must say: loader.header()
#include "crossdock/pipeline/send_model.hpp"

using namespace crossdock;

struct Mine {
    ModelHeader header();
    Embeddings embeddings();
    TransformerLayer layer(std::uint64_t);
};
struct MySaver {
    template <class M>
    void write(const M&);
    void finish();
};

#ifdef MISTAKE
void send(MySaver& mine) {
#else
void send(Mine& mine) {
#endif
    send_model(mine, [](const Message&) { return true; });
}
