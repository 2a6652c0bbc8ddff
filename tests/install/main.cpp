// SPDX-License-Identifier: Apache-2.0
#include <iostream>

#include <crossdock/crossdock.hpp>

int main() { std::cout << "uses crossdock " << crossdock::version << '\n'; }
