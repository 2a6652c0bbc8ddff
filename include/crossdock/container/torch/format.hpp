// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <optional>
#include <string_view>

#include "crossdock/core/dtype.hpp"

namespace crossdock::torch {

// The records of a zip of torch.save, each behind the name of the archive and a slash: "archive/data.pkl".
inline constexpr std::string_view pickle_record = "data.pkl", version_record = "version",
                                  hidden_version_record = ".data/version", byteorder_record = "byteorder";
inline constexpr std::string_view storage_records = "data/";  ///< and the key of a storage, "0"

/// What stands in a record that is the same in all files that are written.
struct FixedRecord {
    std::string_view name, content;
};

/// Those that stand behind the pickle, in order.
inline constexpr std::array<FixedRecord, 2> fixed_records{{{version_record, "3\n"}, {byteorder_record, "little"}}};

/// A class that stands for an element type in torch.save files (torch/storage.py, _dtype_to_storage_type_map).
struct StorageType {
    std::string_view name;
    DType dtype;
};

/// Types without a line here are kept in UntypedStorage, with the element type beside it (torch 2.1 and later).
inline constexpr std::array<StorageType, 10> storage_types{{
    {"DoubleStorage", DType::f64},
    {"FloatStorage", DType::f32},
    {"HalfStorage", DType::f16},
    {"BFloat16Storage", DType::bf16},
    {"LongStorage", DType::i64},
    {"IntStorage", DType::i32},
    {"ShortStorage", DType::i16},
    {"CharStorage", DType::i8},
    {"ByteStorage", DType::u8},
    {"BoolStorage", DType::boolean},
}};

/// Empty when the dtype has no storage class of its own.
constexpr std::optional<std::string_view> storage_name(DType dtype) {
    for (const StorageType& type : storage_types)
        if (type.dtype == dtype) return type.name;
    return std::nullopt;
}

/// Empty when no dtype that is known here is called so.
constexpr std::optional<DType> storage_dtype(std::string_view name) {
    for (const StorageType& type : storage_types)
        if (type.name == name) return type.dtype;
    return std::nullopt;
}

/// "bfloat16" → DType::bf16, as in torch.bfloat16; empty when it is none that is known here.
constexpr std::optional<DType> dtype_of_torch_name(std::string_view name) {
    for (const DTypeInfo& line : dtype_infos)
        if (line.torch == name) return line.dtype;
    return std::nullopt;
}

}  // namespace crossdock::torch
