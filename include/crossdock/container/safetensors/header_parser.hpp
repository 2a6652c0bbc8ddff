// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "crossdock/container/json_parser.hpp"
#include "crossdock/container/safetensors/format.hpp"
#include "crossdock/core/checked.hpp"
#include "crossdock/core/error.hpp"
#include "crossdock/core/name_index.hpp"
#include "crossdock/core/text.hpp"

namespace crossdock::safetensors {

namespace detail {

/// Builds a Header from the parser's events. The parser keeps its own stack and the grammar is three levels deep, so
/// hostile nesting ends at the first bracket too many.
class HeaderBuilder {
public:
    /// Of a text of so many bytes.
    explicit HeaderBuilder(std::size_t json_bytes) {
        constexpr std::size_t common_entry_bytes = 96;
        header_.entries.reserve(json_bytes / common_entry_bytes);
    }

    Header take() { return std::move(header_); }

    bool null() { return refuse("null"); }
    bool boolean(bool) { return refuse("a boolean"); }
    bool number_integer(std::int64_t) { return refuse("a negative number"); }
    bool number_float(double, const std::string&) { return refuse("a number that is no 64-bit integer"); }

    bool number_unsigned(std::uint64_t value) {
        if (expected_ != Expected::extent && expected_ != Expected::offset) return refuse("a number");
        if (expected_ == Expected::extent && numbers_.size() == max_rank)
            throw Error(
                to_text("tensor '", entry_.name, "': shape has more than ", max_rank, " axes, the most that is read"));
        if (expected_ == Expected::offset && numbers_.size() == 2)
            throw Error(
                to_text("tensor '", entry_.name, "': data_offsets has more than 2 numbers, expected [begin, end]"));
        numbers_.push_back(value);
        return true;
    }

    bool string(std::string& value) {
        if (expected_ == Expected::dtype) {
            set_dtype(value);
            expected_ = Expected::field;
        } else if (expected_ == Expected::metadata_value) {
            header_.metadata[key_] = std::move(value);
            expected_ = Expected::metadata_key;
        } else {
            return refuse("a string");
        }
        return true;
    }

    bool start_object(std::size_t) {
        switch (expected_) {
            case Expected::header: expected_ = Expected::name; return true;
            case Expected::tensor: expected_ = Expected::field; return true;
            case Expected::metadata: expected_ = Expected::metadata_key; return true;
            default: return refuse("an object");
        }
    }

    bool key(std::string& value) {
        key_ = value;
        switch (expected_) {
            case Expected::name: start_entry(); return true;
            case Expected::field: start_field(); return true;
            default: start_metadata_value(); return true;
        }
    }

    bool end_object() {
        if (expected_ == Expected::field) finish_entry();
        expected_ = Expected::name;
        return true;
    }

    bool start_array(std::size_t) {
        if (expected_ != Expected::shape && expected_ != Expected::offsets) return refuse("an array");
        expected_ = expected_ == Expected::shape ? Expected::extent : Expected::offset;
        numbers_.clear();
        return true;
    }

    bool end_array() {
        if (expected_ == Expected::extent) {
            in_context([&] { return to_text("tensor '", entry_.name, "'"); }, [&] { entry_.shape = Shape(numbers_); });
        } else {
            set_offsets();
        }
        expected_ = Expected::field;
        return true;
    }

private:
    static constexpr std::size_t max_rank = 64;  // as in PyTorch and NumPy

    struct Names {
        const std::vector<Entry>& entries;

        std::string_view operator[](std::size_t number) const noexcept { return entries[number].name; }
    };

    /// What the grammar allows next.
    enum class Expected {
        header,
        name,
        tensor,
        field,
        dtype,
        shape,
        extent,
        offsets,
        offset,
        metadata,
        metadata_key,
        metadata_value
    };

    bool refuse(std::string_view found) const {
        throw Error(to_text(place(), " is ", found, ", expected ", expectation()));
    }

    std::string place() const {
        switch (expected_) {
            case Expected::header: return "header";
            case Expected::tensor: return to_text("header entry '", key_, "'");
            case Expected::dtype: return to_text("tensor '", entry_.name, "': dtype");
            case Expected::shape: return to_text("tensor '", entry_.name, "': shape");
            case Expected::extent: return to_text("tensor '", entry_.name, "': an extent of the shape");
            case Expected::offsets: return to_text("tensor '", entry_.name, "': data_offsets");
            case Expected::offset: return to_text("tensor '", entry_.name, "': a number of data_offsets");
            case Expected::metadata: return to_text("header entry '", metadata_key, "'");
            default: return to_text("metadata '", key_, "'");
        }
    }

    std::string_view expectation() const {
        switch (expected_) {
            case Expected::dtype:
            case Expected::metadata_value: return "a string";
            case Expected::shape:
            case Expected::offsets: return "an array of integers";
            case Expected::extent:
            case Expected::offset: return "an integer from 0 to 2^64 - 1";
            default: return "an object";
        }
    }

    void start_entry() {
        const bool is_metadata = key_ == metadata_key;
        if (is_metadata ? std::exchange(has_metadata_, true) : !names_.add(key_, Names{header_.entries}).second)
            throw Error(to_text("header names '", key_, "' twice"));
        in_context("header", [&] { check_name(key_); });
        expected_ = is_metadata ? Expected::metadata : Expected::tensor;
        entry_ = Entry();
        entry_.name = key_;
        has_dtype_ = has_shape_ = has_offsets_ = false;
    }

    void start_field() {
        if (key_ == "dtype") return expect_field(has_dtype_, Expected::dtype);
        if (key_ == "shape") return expect_field(has_shape_, Expected::shape);
        if (key_ == "data_offsets") return expect_field(has_offsets_, Expected::offsets);
        throw Error(to_text("tensor '", entry_.name, "': has the key '", key_,
                            "', expected dtype, shape and data_offsets only"));
    }

    void expect_field(bool& seen, Expected value) {
        if (seen) throw Error(to_text("tensor '", entry_.name, "': has the key '", key_, "' twice"));
        seen = true;
        expected_ = value;
    }

    void start_metadata_value() {
        if (header_.metadata.contains(key_)) throw Error(to_text("header's metadata names '", key_, "' twice"));
        expected_ = Expected::metadata_value;
    }

    void set_dtype(std::string_view name) {
        const auto dtype = parse_header_name(name);
        if (!dtype)
            throw Error(to_text("tensor '", entry_.name, "': dtype '", name, "' is not read, expected one of ",
                                known_dtypes()));
        entry_.dtype = *dtype;
    }

    static std::string known_dtypes() {
        std::vector<std::string_view> names;
        names.reserve(dtype_names.size());
        for (const DTypeName& line : dtype_names) names.push_back(line.name);
        return joined_list(names);
    }

    void set_offsets() {
        if (numbers_.size() != 2)
            throw Error(to_text("tensor '", entry_.name, "': data_offsets has ", numbers_.size(),
                                " numbers, expected [begin, end]"));
        entry_.begin = numbers_[0];
        entry_.end = numbers_[1];
    }

    void finish_entry() {
        const std::string_view missing = !has_dtype_ ? "dtype" : !has_shape_ ? "shape" : "data_offsets";
        if (!has_dtype_ || !has_shape_ || !has_offsets_)
            throw Error(to_text("tensor '", entry_.name, "': has no ", missing));
        header_.entries.push_back(std::move(entry_));
    }

    Header header_;
    Expected expected_ = Expected::header;
    std::string key_;
    Entry entry_;
    bool has_dtype_ = false, has_shape_ = false, has_offsets_ = false;
    std::vector<std::uint64_t> numbers_;
    bool has_metadata_ = false;
    NameIndex names_;  ///< of the entries
};

inline void check_size(const Entry& entry) {
    if (entry.end < entry.begin)
        throw Error(to_text("tensor '", entry.name, "': ends at byte ", entry.end, " of the data, before its start at ",
                            entry.begin));
    const std::uint64_t bytes =
        in_context([&] { return to_text("tensor '", entry.name, "'"); },
                   [&] { return checked_multiply(entry.shape.element_count(), item_size(entry.dtype), "size"); });
    if (entry.end - entry.begin != bytes)
        throw Error(to_text("tensor '", entry.name, "': shape ", entry.shape, " of ", header_name(entry.dtype),
                            " needs ", bytes, " bytes, data_offsets span ", entry.end - entry.begin));
}

inline void check_neighbours(const Entry* previous, const Entry& entry) {
    const std::uint64_t expected = previous ? previous->end : 0;
    if (entry.begin == expected) return;
    const std::string before = previous ? to_text("the end of tensor '", previous->name, "'") : "the start of the data";
    throw Error(to_text("tensor '", entry.name, "': begins at byte ", entry.begin, " of the data, expected ", expected,
                        ", ", before,
                        entry.begin > expected ? "; holes are not allowed" : "; tensors must not overlap"));
}

/// The entries, brought in file order, fill the data without holes and overlaps.
inline void check_offsets(std::vector<Entry>& entries, std::uint64_t data_bytes) {
    std::ranges::for_each(entries, check_size);
    std::ranges::sort(entries, {}, [](const Entry& entry) { return std::tie(entry.begin, entry.end, entry.name); });
    const Entry* previous = nullptr;
    for (const Entry& entry : entries) {
        check_neighbours(previous, entry);
        previous = &entry;
    }
    const std::uint64_t end = previous ? previous->end : 0;
    if (end != data_bytes)
        throw Error(to_text("the tensors end at byte ", end, " of the data, the file holds ", data_bytes,
                            " bytes of it; ",
                            data_bytes < end ? "it is probably truncated" : "nothing may follow the last tensor"));
}

}  // namespace detail

/// Parses and checks a header's JSON; `data_bytes` is what the file holds after it. Throws Error; the caller says
/// which file. Everything that the format forbids is refused, and beyond it: keys that stand twice, unknown keys of a
/// tensor, empty names and names with control characters.
inline Header parse_header(std::string_view json, std::uint64_t data_bytes) {
    if (!json.starts_with('{')) throw Error("header does not begin with '{'; is it a safetensors file?");
    const auto last = json.find_last_not_of(' ');
    if (json[last] != '}') throw Error("header does not end with '}' and spaces");
    json = json.substr(0, last + 1);
    detail::HeaderBuilder builder(json.size());
    try {
        JsonParser(json, builder).parse();
    } catch (crossdock::detail::NotJson& error) {
        error.within("header");
        throw;
    }
    Header header = builder.take();
    detail::check_offsets(header.entries, data_bytes);
    return header;
}

}  // namespace crossdock::safetensors
