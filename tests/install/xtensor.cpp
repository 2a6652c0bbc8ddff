// SPDX-License-Identifier: Apache-2.0
#include <crossdock/core/tensor_view.hpp>

int main() {
    const crossdock::Array<float> array{1, 2, 3};
    return crossdock::to_xtensor<float>(crossdock::from_xtensor(array)) == array ? 0 : 1;
}
