// SPDX-License-Identifier: Apache-2.0
// Converts a Llama from Hugging Face to Megatron on two tensor-parallel ranks.
#include <crossdock/crossdock.hpp>
#include <exception>
#include <iostream>

int main(int count, char** arguments) try {
    if (count != 3) throw crossdock::UsageError("expected two arguments: a Llama's directory and the target");
    crossdock::LlamaLoader loader({.load_dir = arguments[1]});
    crossdock::MegatronSaver saver({.save_dir = arguments[2], .target_tensor_parallel_size = 2});
    const crossdock::Report report = crossdock::convert(loader, saver);
    std::cout << report.tensors << " tensors, " << report.bytes << " bytes\n";
} catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 1;
}
