// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "crossdock/core/error.hpp"
#include "crossdock/core/source.hpp"

// What all fuzz programs share.

/// libFuzzer's own way to change bytes; returns their new number, at most `most`.
extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t most);

namespace crossdock::test {

/// Ends the program, which the fuzzer takes for a finding.
[[noreturn]] inline void fail(std::string_view what) {
    std::fprintf(stderr, "%.*s\n", static_cast<int>(what.size()), what.data());
    std::abort();
}

inline std::string read_all(const std::filesystem::path& file) {
    std::ifstream in(file, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
}

inline void write_all(const std::filesystem::path& file, std::string_view content) {
    std::ofstream out(file, std::ios::binary);
    out.write(content.data(), static_cast<std::streamsize>(content.size()));
    if (!out.flush()) fail("no input can be written");
}

/// Where the program is called with --seeds=DIRECTORY alone: writes the seeds there and ends it.
inline void write_seeds_if_asked(int count, char** arguments, void (*write_seeds)(const std::filesystem::path&)) {
    constexpr std::string_view option = "--seeds=";
    if (count != 2 || !std::string_view(arguments[1]).starts_with(option)) return;
    write_seeds(arguments[1] + option.size());
    std::exit(0);
}

inline std::string_view text_of(const std::uint8_t* data, std::size_t size) {
    return {reinterpret_cast<const char*>(data), size};
}

inline std::span<const std::byte> bytes_of(std::string_view text) { return std::as_bytes(std::span(text)); }

/// A source over bytes that the caller keeps.
inline std::shared_ptr<const Source> source_of(std::string_view text) {
    return std::make_shared<MemorySource>(bytes_of(text), nullptr);
}

/// Calls what may refuse an input with an Error, and with nothing else; false when it did.
template <class Read>
bool accepts(Read&& read) {
    try {
        read();
        return true;
    } catch (const Error&) {
        return false;
    }
}

// Changing inputs.

using Random = std::minstd_rand;

/// A number below `count`, which is not 0.
inline std::size_t below(std::size_t count, Random& random) { return random() % count; }

inline std::string mutate_bytes(std::string bytes, std::size_t most) {
    most = std::max(most, bytes.size());
    const std::size_t size = bytes.size();
    bytes.resize(most);
    bytes.resize(LLVMFuzzerMutate(reinterpret_cast<std::uint8_t*>(bytes.data()), size, most));
    return bytes;
}

/// For LLVMFuzzerCustomMutator: `mutate(text, most, random)` gives the changed text. Where it throws an Error, since the
/// text is not of the form that it knows, or makes too long a text, bytes are changed; so they are one time in four.
template <class Mutate>
std::size_t mutate_input(std::uint8_t* data, std::size_t size, std::size_t most, unsigned seed, Mutate&& mutate) {
    Random random(seed);
    std::string changed;
    const bool knows =
        below(4, random) > 0 && accepts([&] { changed = mutate(std::string(text_of(data, size)), most, random); });
    if (!knows || changed.size() > most) return LLVMFuzzerMutate(data, size, most);
    if (!changed.empty()) std::memcpy(data, changed.data(), changed.size());
    return changed.size();
}

}  // namespace crossdock::test
