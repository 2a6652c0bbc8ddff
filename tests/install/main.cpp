// SPDX-License-Identifier: Apache-2.0
#include <crossdock/container/zip/crc32.hpp>
#include <crossdock/core/from_memory.hpp>
#include <crossdock/version.hpp>
#include <iostream>
#include <thread>

/// What comes with the headers is linked: libdeflate and threads.
int main() {
    const crossdock::Tensor tensor = crossdock::from_vector(std::vector<float>{1, 2, 3}, {3});
    std::thread([&] {
        std::cout << "uses crossdock " << crossdock::library_version << ", " << crossdock::zip::crc32(tensor.bytes())
                  << '\n';
    }).join();
}
