// SPDX-License-Identifier: Apache-2.0
#include <string>

#include "crossdock/container/torch/reader.hpp"
#include "support/catch.hpp"
#include "support/memory_source.hpp"
#include "support/zip_bytes.hpp"

using namespace crossdock;
using namespace crossdock::test;
using Catch::Matchers::ContainsSubstring;

// A small file must not cost much, whatever it says: these are files of some kilobytes that took gigabytes.

namespace {

std::string refusal(const std::string& pickle) {
    try {
        torch::tensors(torch::read(memory_source(zip_bytes({{"p/data.pkl", pickle}, {"p/version", "3\n"}}))), "x.pt");
    } catch (const Error& error) {
        return error.what();
    }
    return "";
}

std::string repeated(const std::string& text, std::size_t times) {
    std::string out;
    for (std::size_t i = 0; i < times; ++i) out += text;
    return out;
}

}  // namespace

TEST_CASE("a pickle may take memory in proportion to its part of the file", "[container][torch]") {
    constexpr std::uint64_t mebibyte = 1U << 20;
    const pickle::Limits given;
    CHECK(torch::detail::bounded_by(0, given).memory_bytes == 64 * mebibyte);
    CHECK(torch::detail::bounded_by(mebibyte, given).memory_bytes == 128 * mebibyte);
    CHECK(torch::detail::bounded_by(1000 * mebibyte, given).memory_bytes == given.memory_bytes);
    CHECK(torch::detail::bounded_by(~std::uint64_t{0}, given).memory_bytes == given.memory_bytes);
    CHECK(torch::detail::bounded_by(0, {10, 1000}).memory_bytes == 1000);
}

TEST_CASE("values that a small pickle multiplies are refused", "[container][torch]") {
    CHECK_THAT(refusal("\x80\x02(" + std::string(1'200'000, '}') + "l."),
               ContainsSubstring("the pickle's values need more than "));
}

TEST_CASE("lists that hold the same list twice, thirty deep, are refused", "[container][torch]") {
    // ] q0 | 0 ] ( h0 h0 e q1 | …: each list holds the one before it twice
    std::string pickle = "\x80\x02]q";
    pickle += '\0';
    for (char i = 0; i < 30; ++i) {
        pickle += "0](h";
        pickle += i;
        pickle += 'h';
        pickle += i;
        pickle += "eq";
        pickle += static_cast<char>(i + 1);
    }
    CHECK(refusal(pickle + ".") == "x.pt: its containers spell more names than a checkpoint has");
}

TEST_CASE("a size has at most 64 axes, so that many tensors cannot share a long one", "[container][torch]") {
    const auto tensor = [](std::size_t rank) {
        const std::string storage(
            "(X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\0"
            "0X\x03\0\0\0cpuK\x01tQ",
            51);
        const std::string size = "(" + repeated("K\x01", rank) + "t";
        const std::string offset("K\0", 2);
        return "\x80\x02"
               "ctorch._utils\n_rebuild_tensor_v2\n(" +
               storage + offset + size + size + "\x89}tR.";
    };
    const auto refusal_of = [&](std::size_t rank) {
        try {
            torch::read(memory_source(
                zip_bytes({{"p/data.pkl", tensor(rank)}, {"p/version", "3\n"}, {"p/data/0", std::string(4, '\0')}})));
        } catch (const Error& error) {
            return std::string(error.what());
        }
        return std::string();
    };
    CHECK(refusal_of(64) == "");
    CHECK_THAT(refusal_of(65), ContainsSubstring("its size has 65 axes, at most 64 are read"));
}
