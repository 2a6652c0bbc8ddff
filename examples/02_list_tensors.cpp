// SPDX-License-Identifier: Apache-2.0
// Lists the canonical tensors of any checkpoint that a built-in loader recognises.
#include <crossdock/crossdock.hpp>
#include <exception>
#include <iostream>

using namespace crossdock;

int main(int count, char** arguments) try {
    if (count != 2) throw UsageError("expected one argument: a checkpoint's directory");
    const std::string name = BuiltinLoaders::recognise(arguments[1]);
    const auto loader = BuiltinLoaders::make(name, {{"load_dir", arguments[1]}});
    // [inspect]
    const Inspection found = inspect(*loader);
    std::cout << found.header.num_layers << " layers, " << found.parameters() << " parameters\n";
    for (const InspectedTensor& tensor : found.tensors)
        std::cout << tensor.message << " / " << tensor.name << ": " << dtype_name(tensor.dtype) << ' '
                  << to_string(tensor.shape) << '\n';
    // [inspect]
} catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 1;
}
