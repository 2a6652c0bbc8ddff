// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "crossdock/family/arrangement.hpp"
#include "crossdock/protocol/message_list.hpp"

namespace crossdock {

/// How tensor-parallel ranks share a message's tensor: all hold all of it, or equal parts of its rows or columns.
enum class Cut : std::uint8_t { none, rows, columns };

/// One line of a table: fields of a message, the names under which a format stores them, and how they are arranged and
/// cut there. Read from right to left it loads, from left to right it saves.
template <class Message>
struct Row {
    std::array<std::optional<Tensor> Message::*, 2> fields;  ///< one, or two that are stored as one (gate and up)
    std::array<std::string, 3> names;  ///< "{}" is the layer's number, "/" opens a dictionary in torch files
    Arrangement arrangement = as_is;
    Cut cut = Cut::none;
};

/// How one format stores a model: rows for each message.
struct TensorTable {
    std::vector<Row<Embeddings>> embeddings{};
    std::vector<Row<TransformerLayer>> layer{};
    std::vector<Row<FinalNorm>> final_norm{};
    std::vector<Row<OutputLayer>> output_layer{};
    std::vector<Row<BertPooler>> pooler{};
    std::vector<Row<BertLmHead>> bert_lm_head{};
    std::vector<Row<BertBinaryHead>> bert_binary_head{};

    /// A second copy of the word embeddings that a tied model may hold; empty: the format has none.
    std::string tied_copy{};
    /// The copy is written even where the embeddings stand in the same file: the format knows no tied models.
    bool always_unties = false;
    /// Ends of names that hold no weights (buffers, caches); skipped when reading.
    std::vector<std::string_view> ignored_endings{};

    template <class Message>
    const std::vector<Row<Message>>& rows() const {
        if constexpr (std::is_same_v<Message, Embeddings>)
            return embeddings;
        else if constexpr (std::is_same_v<Message, TransformerLayer>)
            return layer;
        else if constexpr (std::is_same_v<Message, FinalNorm>)
            return final_norm;
        else if constexpr (std::is_same_v<Message, OutputLayer>)
            return output_layer;
        else if constexpr (std::is_same_v<Message, BertPooler>)
            return pooler;
        else if constexpr (std::is_same_v<Message, BertLmHead>)
            return bert_lm_head;
        else
            return bert_binary_head;
    }
};

/// The table's row that holds a field; null when the format has no place for it.
template <class Message>
const Row<Message>* row_of(const TensorTable& table, std::optional<Tensor> Message::*field) {
    for (const Row<Message>& row : table.rows<Message>())
        if (row.fields[0] == field || row.fields[1] == field) return &row;
    return nullptr;
}

/// `name` with the first `from` in it made `to`.
inline std::string replaced(std::string name, std::string_view from, std::string_view to) {
    if (const std::size_t at = name.find(from); at != std::string::npos) name.replace(at, from.size(), to);
    return name;
}

/// The table with `from` made `to` in all its names: a model of the same kind below another dictionary.
inline TensorTable renamed(TensorTable table, std::string_view from, std::string_view to) {
    const auto rename = [&](auto& rows) {
        for (auto& row : rows)
            for (std::string& name : row.names) name = replaced(std::move(name), from, to);
    };
    rename(table.embeddings);
    rename(table.layer);
    rename(table.final_norm);
    rename(table.output_layer);
    rename(table.pooler);
    rename(table.bert_lm_head);
    rename(table.bert_binary_head);
    return table;
}

/// The pattern with the layer's number in it.
inline std::string layer_name(std::string_view pattern, std::uint64_t layer) {
    const std::size_t at = pattern.find("{}");
    if (at == std::string_view::npos) return std::string(pattern);
    return to_text(pattern.substr(0, at), layer, pattern.substr(at + 2));
}

}  // namespace crossdock
