// SPDX-License-Identifier: Apache-2.0
// Lists the canonical tensors of any checkpoint that a built-in loader recognises.
#include <crossdock/crossdock.hpp>
#include <iostream>

int main(int, char** arguments) {
    using namespace crossdock;
    const std::string name = BuiltinLoaders::recognise(arguments[1]);
    const auto loader = BuiltinLoaders::make(name, {{"load_dir", arguments[1]}});
    send_model(*loader, [](const Message& message) {
        std::visit(
            [](const auto& content) {
                using M = std::decay_t<decltype(content)>;
                for (const auto& field : tensor_fields<M>)
                    if (const auto& tensor = content.*field.tensor)
                        std::cout << message_name(content) << ", " << field.name << ": " << dtype_name(tensor->dtype())
                                  << ' ' << to_string(tensor->shape()) << '\n';
            },
            message);
        return true;
    });
}
