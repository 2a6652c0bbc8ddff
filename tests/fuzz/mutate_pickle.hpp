// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "crossdock/container/pickle/format.hpp"
#include "inputs.hpp"

namespace crossdock::test {

namespace detail {

/// Bytes that follow an opcode: so many; lines; or as many as a number of so many bytes says.
struct OperandForm {
    std::size_t bytes = 0, lines = 0, count_bytes = 0;
};

inline OperandForm operand_form(pickle::Opcode opcode) {
    using enum pickle::Opcode;
    switch (opcode) {
        case proto:
        case binint1:
        case binput:
        case binget:
        case ext1: return {.bytes = 1};
        case binint2:
        case ext2: return {.bytes = 2};
        case binint:
        case long_binput:
        case long_binget:
        case ext4: return {.bytes = 4};
        case binfloat:
        case frame: return {.bytes = 8};
        case int_text:
        case long_text:
        case float_text:
        case string_text:
        case unicode_text:
        case persid:
        case put:
        case get: return {.lines = 1};
        case global:
        case inst: return {.lines = 2};
        case long1:
        case short_binunicode:
        case short_binstring:
        case short_binbytes: return {.count_bytes = 1};
        case long4:
        case binunicode:
        case binstring:
        case binbytes: return {.count_bytes = 4};
        case binunicode8:
        case binbytes8:
        case bytearray8: return {.count_bytes = 8};
        default: return {};
    }
}

/// An instruction of a pickle; of a counted operand without its count.
struct Instruction {
    pickle::Opcode opcode{};
    std::string operand{};

    std::string bytes() const {
        std::string out(1, static_cast<char>(opcode));
        for (std::size_t i = 0; i < operand_form(opcode).count_bytes; ++i)
            out += static_cast<char>(operand.size() >> (8 * i) & 0xFF);
        return out + operand;
    }
};

/// Takes an instruction off the front; nothing where there is no whole one.
inline std::optional<Instruction> take_instruction(std::string_view& text) {
    if (text.empty()) return std::nullopt;
    const auto opcode = static_cast<pickle::Opcode>(static_cast<unsigned char>(text.front()));
    const OperandForm form = operand_form(opcode);
    std::size_t begin = 1 + form.count_bytes, bytes = form.bytes;
    if (begin > text.size()) return std::nullopt;
    for (std::size_t i = form.count_bytes; i > 0; --i) bytes = bytes << 8 | static_cast<unsigned char>(text[i]);
    for (std::size_t line = 0; line < form.lines; ++line) {
        const std::size_t end = text.find('\n', begin + bytes);
        if (end == text.npos) return std::nullopt;
        bytes = end + 1 - begin;
    }
    if (bytes > text.size() - begin) return std::nullopt;
    Instruction found{opcode, std::string(text.substr(begin, bytes))};
    text.remove_prefix(begin + bytes);
    return found;
}

/// Of these any can stand anywhere, or be written by hand.
inline Instruction odd_instruction(Random& random) {
    using namespace std::string_literals;
    static const std::array<std::pair<pickle::Opcode, std::string>, 20> odd{{
        {pickle::Opcode::long1, "\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x7F"s},
        {pickle::Opcode::long1, "\0\0\0\0\0\0\0\0\1"s},
        {pickle::Opcode::binint, "\xFF\xFF\xFF\xFF"s},
        {pickle::Opcode::binint1, "\0"s},
        {pickle::Opcode::binint2, "\xFF\xFF"s},
        {pickle::Opcode::binput, "\1"s},
        {pickle::Opcode::binget, "\0"s},
        {pickle::Opcode::binget, "\1"s},
        {pickle::Opcode::long_binget, "\2\0\0\0"s},
        {pickle::Opcode::global, "os\nsystem\n"s},
        {pickle::Opcode::global, "collections\nOrderedDict\n"s},
        {pickle::Opcode::global, "torch._utils\n_rebuild_tensor_v2\n"s},
        {pickle::Opcode::global, "torch._utils\n_rebuild_parameter\n"s},
        {pickle::Opcode::global, "_codecs\nencode\n"s},
        {pickle::Opcode::global, "__builtin__\ngetattr\n"s},
        {pickle::Opcode::global, "__builtin__\nset\n"s},
        {pickle::Opcode::int_text, "01\n"s},
        {pickle::Opcode::unicode_text, "\\u00e9\n"s},
        {pickle::Opcode::string_text, "'\\x41\\n'\n"s},
        {pickle::Opcode::short_binunicode, "latin1"s},
    }};
    static constexpr std::string_view bare = "(012NRab}del]oQst)u\x81\x85\x86\x87\x88\x89\x8F\x90\x91\x92\x93\x94";
    if (below(2, random) == 0)
        return {static_cast<pickle::Opcode>(static_cast<unsigned char>(bare[below(bare.size(), random)]))};
    const auto& [opcode, operand] = odd[below(odd.size(), random)];
    return {opcode, operand};
}

inline void change_instructions(std::vector<Instruction>& all, Random& random) {
    const std::size_t at = below(all.size(), random), other = below(all.size(), random);
    const auto place = all.begin() + static_cast<std::ptrdiff_t>(at);
    switch (below(6, random)) {
        case 0: all.insert(place, odd_instruction(random)); break;
        case 1: all.insert(place, Instruction(all[other])); break;
        case 2: all.erase(place); break;
        case 3: std::swap(all[at], all[other]); break;
        case 4: all[at] = all[other]; break;
        default: {
            const OperandForm form = operand_form(all[at].opcode);
            std::string& operand = all[at].operand;
            operand = mutate_bytes(operand, operand.size() + (form.bytes ? 0 : 8));
            if (form.bytes) operand.resize(form.bytes);
            if (form.count_bytes == 1) operand.resize(std::min<std::size_t>(operand.size(), 255));
            if (form.lines) operand += '\n';
        }
    }
}

}  // namespace detail

/// A pickle, or several one after the other, with some instructions changed. Frames are left out, since they say how
/// long what follows is; bytes behind the last pickle stay. Throws Error when it begins with no instruction.
inline std::string mutate_pickle(const std::string& text, std::size_t, Random& random) {
    std::string_view rest = text;
    std::vector<detail::Instruction> all;
    while (auto instruction = detail::take_instruction(rest))
        if (instruction->opcode != pickle::Opcode::frame) all.push_back(std::move(*instruction));
    if (all.empty()) throw Error("no pickle");
    for (std::size_t changes = 1 + below(3, random); changes > 0 && !all.empty(); --changes)
        detail::change_instructions(all, random);
    std::string out;
    for (const detail::Instruction& instruction : all) out += instruction.bytes();
    return out += rest;
}

}  // namespace crossdock::test
