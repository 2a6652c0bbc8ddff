// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "crossdock/family/arrangement.hpp"
#include "crossdock/family/ranks.hpp"
#include "crossdock/protocol/message_list.hpp"

namespace crossdock {

/// One line of a table: fields of a message, the names under which a format stores them, and how they are arranged and
/// cut there. Read from right to left it loads, from left to right it saves.
///
/// In a name, "/" opens a dictionary in torch files, and numbers stand
///     {}     for the layer
///     [{}]   for the layer, at the end: one tensor holds all layers of the rank, stacked on a new axis 0
///     {e}    for an element along axis 0 of the message's tensor, counted from 0 on each rank: each has a tensor of
///            its own, without that axis, and is arranged by itself (experts)
template <class Message>
struct Row {
    std::vector<std::optional<Tensor> Message::*> fields;  ///< one, or those that are stored as one (gate and up)
    std::vector<std::string> names;
    Arrangement arrangement = as_is;
    Cuts cuts = Cut::none;
    /// Those of `names` that several ranks hold alike where there are more ranks than key/value heads.
    std::vector<std::string> replicated{};
    /// In which layers the row counts, where a field has one name in some and another in others; null: in all.
    bool (*in_layer)(const ModelHeader&, std::uint64_t layer) = nullptr;

    bool counts_in(const ModelHeader& header, std::uint64_t layer) const {
        return !in_layer || in_layer(header, layer);
    }
};

/// Write the type in front of the braces: GCC 12 breaks down where it has to convert nested ones by itself.
template <class Message>
using Rows = std::vector<Row<Message>>;

/// The rows of all messages: {Rows<Embeddings>{…}, Rows<TransformerLayer>{…}}; what is left out has none.
class MessageRows {
public:
    template <class... M>
    MessageRows(Rows<M>... rows) {
        ((of<M>() = std::move(rows)), ...);
    }

    template <class M>
    Rows<M>& of() {
        return std::get<Rows<M>>(rows_);
    }
    template <class M>
    const Rows<M>& of() const {
        return std::get<Rows<M>>(rows_);
    }

private:
    detail::MessageList::Tuple<Rows> rows_;
};

/// A name under which a layer that predicts further tokens ("{}") holds again what stands elsewhere, under `of`.
struct MtpTwin {
    std::string name, of;
};

/// How one format stores a model.
struct TensorTable {
    MessageRows messages{};

    /// A second copy of the word embeddings that a tied model may hold; empty: the format has none.
    std::string tied_copy{};
    /// The copy is written even where the embeddings stand in the same file: the format knows no tied models.
    bool always_unties = false;
    /// Checked and left out when read, and written again.
    std::vector<MtpTwin> mtp_twins{};
    /// Ends of names that hold no weights (buffers, caches); skipped when reading.
    std::vector<std::string_view> ignored_endings{};

    template <class M>
    Rows<M>& rows() {
        return messages.of<M>();
    }
    template <class M>
    const Rows<M>& rows() const {
        return messages.of<M>();
    }
};

/// The row that holds a field; null when the format has no place for it.
template <class M>
const Row<M>* row_of(const Rows<M>& rows, std::optional<Tensor> M::*field) {
    for (const Row<M>& row : rows)
        if (std::find(row.fields.begin(), row.fields.end(), field) != row.fields.end()) return &row;
    return nullptr;
}
template <class M>
const Row<M>* row_of(const TensorTable& table, std::optional<Tensor> M::*field) {
    return row_of(table.rows<M>(), field);
}

/// Whether a tensor holds no weights, by the end of its name.
inline bool is_ignored(const TensorTable& table, std::string_view name) {
    return std::any_of(table.ignored_endings.begin(), table.ignored_endings.end(),
                       [&](std::string_view ending) { return name.ends_with(ending); });
}

/// `name` with the first `from` in it made `to`.
inline std::string replaced(std::string name, std::string_view from, std::string_view to) {
    if (const std::size_t at = name.find(from); at != std::string::npos) name.replace(at, from.size(), to);
    return name;
}

/// The table with `from` made `to` in all its names: a model of the same kind below another dictionary.
inline TensorTable renamed(TensorTable table, std::string_view from, std::string_view to) {
    for_each_message_type([&]<class M>() {
        for (Row<M>& row : table.rows<M>())
            for (std::vector<std::string>* names : {&row.names, &row.replicated})
                for (std::string& name : *names) name = replaced(std::move(name), from, to);
    });
    for (MtpTwin& twin : table.mtp_twins)
        twin = {replaced(std::move(twin.name), from, to), replaced(std::move(twin.of), from, to)};
    return table;
}

/// Adds rows for the twins in a model of this header, whose table is to be written. The head's are those of the
/// embeddings where it is tied to them.
inline void add_mtp_twins(TensorTable& table, const ModelHeader& header) {
    for (std::uint64_t layer = header.num_layers; layer < all_layers(header); ++layer)
        for (const MtpTwin& twin : table.mtp_twins) {
            std::string name = replaced(twin.name, "{}", std::to_string(layer));
            if (twin.of == table.tied_copy && !header.tied_embeddings)
                table.rows<OutputLayer>().push_back({{&OutputLayer::weight}, {std::move(name)}});
            else
                table.rows<Embeddings>().push_back({{&Embeddings::word}, {std::move(name)}});
        }
}

/// Whether the layers of a rank are stacked in one tensor of this name.
inline bool stacks_layers(std::string_view pattern) { return pattern.ends_with("[{}]"); }

/// Whether each element along axis 0 has a tensor of its own.
inline bool numbers_elements(std::string_view pattern) { return pattern.find("{e}") != std::string_view::npos; }

/// Adds what stored_name() gives.
inline void append_stored_name(std::string& name, std::string_view pattern, std::uint64_t layer,
                               std::uint64_t element) {
    if (stacks_layers(pattern)) pattern.remove_suffix(4);
    name.reserve(name.size() + pattern.size() + 20);  // for the digits
    while (!pattern.empty()) {
        const bool is_layer = pattern.starts_with("{}"), is_element = pattern.starts_with("{e}");
        if (is_layer || is_element) name += std::to_string(is_layer ? layer : element);
        pattern.remove_prefix(is_layer ? 2 : is_element ? 3 : 0);
        const std::string_view text = pattern.substr(0, pattern.find('{', is_layer || is_element ? 0 : 1));
        name += text;
        pattern.remove_prefix(text.size());
    }
}

/// The name that stands in the files for a layer, and for an element along axis 0 where these have names of their own.
inline std::string stored_name(std::string_view pattern, std::uint64_t layer, std::uint64_t element = 0) {
    std::string name;
    append_stored_name(name, pattern, layer, element);
    return name;
}

}  // namespace crossdock
