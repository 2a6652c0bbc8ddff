// SPDX-License-Identifier: Apache-2.0
#include <crossdock/container/zip/crc32.hpp>
#include <crossdock/core/digest.hpp>
#include <crossdock/core/from_memory.hpp>
#include <crossdock/version.hpp>
#include <iostream>
#include <thread>

/// What comes with the headers is found: libdeflate, xxHash and threads.
int main() {
    const crossdock::Tensor tensor = crossdock::from_vector(std::vector<float>{1, 2, 3}, {3});
    std::thread([&] {
        std::cout << "uses crossdock " << crossdock::library_version << ", " << crossdock::zip::crc32(tensor.bytes())
                  << ", " << to_string(crossdock::digest_of(tensor.bytes())) << '\n';
    }).join();
}
