// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "crossdock/container/json.hpp"
#include "crossdock/container/text_file.hpp"
#include "crossdock/core/digest.hpp"
#include "crossdock/core/error.hpp"
#include "crossdock/core/text.hpp"
#include "crossdock/pipeline/reports.hpp"

namespace crossdock {

// Digests as text and as JSON (docs/proof.md), and what two lists differ in.

/// What a list calls how it was made.
inline constexpr std::string_view digest_method = "XXH3-128 of the XXH3-128s of blocks of 64 KiB";

/// "7f0c…  bf16 [4096, 4096]  transformer layer 3 / qkv weight"
inline std::string digest_line(const TensorDigest& tensor) {
    return to_text(to_string(tensor.digest), "  ", dtype_name(tensor.dtype), ' ', tensor.shape, "  ", tensor.place);
}

/// The digest of a model: that of its tensors' lines, each with a line feed.
inline Digest model_digest(const std::vector<TensorDigest>& tensors) {
    DigestStream lines;
    for (const TensorDigest& tensor : tensors) {
        const std::string line = digest_line(tensor) + '\n';
        lines.add(std::as_bytes(std::span(line)));
    }
    return lines.value();
}

inline Json digests_to_json(const DigestList& list) {
    Json json{{"method", digest_method}};
    if (list.model) json["model"] = to_string(*list.model);
    json["tensors"] = Json::array();
    for (const TensorDigest& tensor : list.tensors)
        json["tensors"].push_back({{"name", tensor.place},
                                   {"dtype", dtype_name(tensor.dtype)},
                                   {"shape", std::vector<std::uint64_t>(tensor.shape.begin(), tensor.shape.end())},
                                   {"digest", to_string(tensor.digest)}});
    std::vector<std::pair<std::string, Json>> files;
    for (const FileDigest& file : list.files) files.emplace_back(file.name, to_string(file.digest));
    json["files"] = json_object(std::move(files));
    return json;
}

namespace detail {

inline Digest digest_in(std::string_view text) {
    const auto digest = parse_digest(text);
    if (!digest) throw Error(to_text("'", shortened(text), "' is no digest, expected 32 hexadecimal digits"));
    return *digest;
}

inline DType dtype_in(std::string_view text) {
    const auto dtype = parse_dtype(text);
    if (!dtype) throw Error(to_text("'", shortened(text), "' is no element type"));
    return *dtype;
}

/// A member that is a text.
inline const std::string& text_in(const Json& object, const char* key) {
    const auto found = object.is_object() ? object.find(key) : object.end();
    if (found == object.end() || !found->is_string()) throw Error(to_text("expected a text named '", key, "'"));
    return found->get_ref<const std::string&>();
}

inline Shape shape_in(const Json& tensor) {
    const auto extents = tensor.find("shape");
    if (extents == tensor.end() || !extents->is_array()) throw Error("expected a list named 'shape'");
    std::vector<std::uint64_t> shape;
    for (const Json& extent : *extents) {
        if (!extent.is_number_unsigned()) throw Error("expected numbers in 'shape'");
        shape.push_back(extent.get<std::uint64_t>());
    }
    return Shape(std::move(shape));
}

/// "bf16 [2, 3]  final norm / weight", behind a digest. A shape is JSON as it stands.
inline TensorDigest tensor_in(std::string_view text, const Digest& digest) {
    const std::size_t shape = text.find(" ["), place = text.find("]  ");
    if (shape == text.npos || place == text.npos || place < shape)
        throw Error(to_text("'", shortened(text), "' is no tensor, expected TYPE [SHAPE]  NAME"));
    const Json extents{{"shape", parse_json(text.substr(shape + 1, place - shape))}};
    return {std::string(text.substr(place + 3)), dtype_in(text.substr(0, shape)), shape_in(extents), digest};
}

inline DigestList digests_in_lines(std::string_view text) {
    DigestList list;
    for (std::size_t number = 1; !text.empty(); ++number) {
        const std::size_t end = std::min(text.find('\n'), text.size());
        const std::string_view line = text.substr(0, end);
        text.remove_prefix(std::min(end + 1, text.size()));
        const std::size_t gap = line.find("  ");
        in_context(to_text("line ", number), [&] {
            if (gap == line.npos) throw Error("expected a digest, two spaces and what it is of");
            const Digest digest = digest_in(line.substr(0, gap));
            if (line.substr(gap + 2) == std::string_view("model"))
                list.model = digest;
            else
                list.tensors.push_back(tensor_in(line.substr(gap + 2), digest));
        });
    }
    return list;
}

}  // namespace detail

/// The list that digests_to_json() wrote. Throws Error where it is none.
inline DigestList digests_from_json(const Json& json) {
    DigestList list;
    if (const std::string& method = detail::text_in(json, "method"); method != digest_method)
        throw Error(to_text("the digests are '", shortened(method), "', expected '", digest_method, "'"));
    if (json.contains("model")) list.model = detail::digest_in(detail::text_in(json, "model"));
    if (const auto tensors = json.find("tensors"); tensors != json.end() && tensors->is_array())
        for (const Json& tensor : *tensors)
            list.tensors.push_back({detail::text_in(tensor, "name"), detail::dtype_in(detail::text_in(tensor, "dtype")),
                                    detail::shape_in(tensor), detail::digest_in(detail::text_in(tensor, "digest"))});
    if (const auto files = json.find("files"); files != json.end() && files->is_object())
        for (const auto& [name, digest] : files->items())
            list.files.push_back({name, detail::digest_in(detail::text_in(*files, name.c_str()))});
    return list;
}

/// The digests in a file: lines, JSON, or a crossdock.json that has kept them. Throws Error where it holds none.
inline DigestList read_digests(const std::filesystem::path& file) {
    const std::string text = read_text(file);
    return in_context(file.string(), [&] {
        if (text.empty()) throw Error("is empty, expected digests");
        if (text.front() != '{') return detail::digests_in_lines(text);
        const Json json = parse_json_file(text);
        if (const auto proof = json.find("proof"); proof != json.end()) return digests_from_json(*proof);
        if (json.contains("crossdock"))
            throw Error("holds no digests: the target was not verified when it was written (convert with verify)");
        return digests_from_json(json);
    });
}

namespace detail {

inline void compare_tensors(const TensorDigest& a, const TensorDigest& b, std::vector<Difference>& differences) {
    if (a.shape != b.shape)
        differences.push_back(
            {DifferenceKind::shape, a.place, to_text("has shape ", a.shape, " in A, ", b.shape, " in B")});
    else if (a.dtype != b.dtype)
        differences.push_back({DifferenceKind::type, a.place,
                               to_text("is ", dtype_name(a.dtype), " in A, ", dtype_name(b.dtype), " in B")});
    else if (a.digest != b.digest)
        differences.push_back(
            {DifferenceKind::elements, a.place,
             to_text("has the digest ", to_string(a.digest), " in A, ", to_string(b.digest), " in B")});
}

inline Difference missing_in(std::string_view side, std::string_view other, const TensorDigest& tensor) {
    return {DifferenceKind::missing, tensor.place,
            to_text("is missing in ", side, "; it has shape ", tensor.shape, " in ", other)};
}

}  // namespace detail

/// What two lists differ in, tensor by tensor; of files that only one of them has, nothing is said.
inline std::vector<Difference> compare_digests(const DigestList& a, const DigestList& b) {
    std::vector<Difference> differences;
    std::map<std::string_view, const TensorDigest*> left_in_b;
    for (const TensorDigest& tensor : b.tensors) left_in_b.emplace(tensor.place, &tensor);
    for (const TensorDigest& tensor : a.tensors) {
        const auto other = left_in_b.find(tensor.place);
        if (other == left_in_b.end()) {
            differences.push_back(detail::missing_in("B", "A", tensor));
            continue;
        }
        detail::compare_tensors(tensor, *other->second, differences);
        left_in_b.erase(other);
    }
    for (const TensorDigest& tensor : b.tensors)
        if (!a.tensors.empty() && left_in_b.contains(tensor.place))
            differences.push_back(detail::missing_in("A", "B", tensor));
    if (differences.empty() && a.model && b.model && *a.model != *b.model)
        differences.push_back(
            {DifferenceKind::elements, "model",
             to_text("has the digest ", to_string(*a.model), " in A, ", to_string(*b.model), " in B")});
    for (const FileDigest& file : a.files)
        for (const FileDigest& other : b.files)
            if (file.name == other.name && file.digest != other.digest)
                differences.push_back({DifferenceKind::beside, to_text("beside / ", file.name), "differs"});
    return differences;
}

}  // namespace crossdock
