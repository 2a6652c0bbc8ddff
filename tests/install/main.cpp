// SPDX-License-Identifier: Apache-2.0
#include <crossdock/crossdock.hpp>
#include <iostream>

int main() { std::cout << "uses crossdock " << crossdock::version << '\n'; }
