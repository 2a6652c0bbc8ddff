// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "crossdock/core/error.hpp"
#include "crossdock/core/source.hpp"
#include "crossdock/core/text.hpp"

namespace crossdock {

// What stands where a file of a checkpoint is expected: what Git, a web server or another tool left there. Readers ask
// when they refuse a file, so that the cause is said and not its last consequence.

namespace detail {

/// What a file that begins so is, and what to do about it.
struct ForeignFile {
    std::string_view beginning;
    std::string_view what;
};

inline constexpr std::array<ForeignFile, 17> foreign_files{{
    {"version https://git-lfs", "is a Git LFS pointer, not the file itself; git lfs pull in its repository fetches it"},
    {"<!doctype", "is a web page, not the file itself; download it again, logged in if that is needed"},
    {"<html", "is a web page, not the file itself; download it again, logged in if that is needed"},
    {"<?xml", "is XML, perhaps a server's error message, and no file of a checkpoint; download it again"},
    {"GGUF", "is a GGUF file of llama.cpp, which is not read; give the Hugging Face folder that it was made from"},
    {"\x89HDF\r\n", "is an HDF5 file of TensorFlow or Keras, which is not read; get the model's safetensors files"},
    {"PK\x03\x04", "is a zip archive; unpack it, or call it *.bin or *.pt if torch.save wrote it"},
    {"\x1f\x8b", "is a gzip archive; unpack it first"},
    {"\xfd"
     "7zXZ",
     "is an xz archive; unpack it first"},
    {"7z\xbc\xaf", "is a 7z archive; unpack it first"},
    {"\x28\xb5\x2f\xfd", "is a zstd archive; unpack it first"},
    {"BZh", "is a bzip2 archive; unpack it first"},
    {"Rar!", "is a rar archive; unpack it first"},
    {"\x93NUMPY", "is an array of NumPy, which is not read"},
    {"%PDF", "is a PDF document"},
    {"\x80\x02", "is a Python pickle; only those of torch.save are read, from pytorch_model.bin or *.pt"},
    {"\x80\x04", "is a Python pickle; only those of torch.save are read, from pytorch_model.bin or *.pt"},
}};

/// Whether these bytes are words for people.
inline bool is_plain_text(std::string_view bytes) {
    const bool has_words = bytes.find(' ') != bytes.npos;
    return has_words && std::all_of(bytes.begin(), bytes.end(), [](char letter) {
               const auto code = static_cast<unsigned char>(letter);
               return (code >= 0x20 && code < 0x7f) || letter == '\n' || letter == '\r' || letter == '\t';
           });
}

/// The first line of a text, as long as fits an error.
inline std::string first_line(std::string_view words) {
    constexpr std::size_t shown = 80;
    words = words.substr(0, words.find_first_of("\r\n"));
    return words.size() > shown ? to_text(words.substr(0, shown), "…") : std::string(words);
}

}  // namespace detail

/// What a file is by its first bytes, of which a few hundred are enough, and what to do: "is a Git LFS pointer, …".
/// Empty where nothing is recognised.
inline std::string foreign_content(std::string_view head, std::uint64_t size) {
    constexpr std::uint64_t short_text = 512;
    if (size == 0) return "is empty; the download did not finish, get it again";
    const std::size_t begin = head.find_first_not_of("\xef\xbb\xbf \t\r\n");
    const std::string_view words = begin == head.npos ? std::string_view() : head.substr(begin);
    const std::string small = lower_case(words.substr(0, 16));
    for (const auto& [beginning, what] : detail::foreign_files)
        if (words.starts_with(beginning) || (beginning.front() == '<' && small.starts_with(beginning)))
            return std::string(what);
    if (head.size() > 262 && head.substr(257, 5) == "ustar") return "is a tar archive; unpack it first";
    if (head.size() >= 16 && head.find_first_not_of('\0') == head.npos)
        return "begins with nothing but zeros; the download did not finish, get it again";
    if (size <= short_text && !words.empty() &&
        std::string_view("{[\"").find(words.front()) == std::string_view::npos && detail::is_plain_text(head))
        return to_text("holds only the text '", detail::first_line(words), "'; the download failed, get it again");
    return {};
}

/// The same of a file or of memory.
inline std::string foreign_content(const Source& file) {
    std::string head(static_cast<std::size_t>(std::min<std::uint64_t>(512, file.size())), '\0');
    file.read(0, std::as_writable_bytes(std::span(head)));
    return foreign_content(head, file.size());
}

}  // namespace crossdock
