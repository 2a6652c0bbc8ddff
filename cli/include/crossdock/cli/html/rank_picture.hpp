// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "crossdock/cli/html/page.hpp"
#include "crossdock/cli/html/pictures.hpp"
#include "crossdock/cli/html/text.hpp"
#include "crossdock/cli/units.hpp"
#include "crossdock/core/text.hpp"
#include "crossdock/plugin/storage.hpp"

namespace crossdock::cli::html {

/// Draws who stores how much: a picture for each expert-parallel rank, with a row for each pipeline stage and a column
/// for each tensor-parallel rank. The more bytes, the stronger a cell's colour.
class RankPicture {
public:
    explicit RankPicture(const std::vector<StoredRank>& ranks) {
        for (const StoredRank& each : ranks) {
            columns_ = std::max(columns_, each.rank + 1);
            rows_ = std::max(rows_, each.stage + 1);
            largest_ = std::max(largest_, each.bytes);
            panels_[each.expert].push_back(&each);
        }
        if (columns_ > 24 || rows_ > 32 || ranks.size() > 512)
            cell_ = {.width = 14, .height = 14, .gap = 3, .lines = 0};
        else if (columns_ > 8 || rows_ > 12 || ranks.size() > 64)
            cell_ = {.width = 62, .height = 34, .gap = 4, .lines = 1};
    }

    /// "TP 2 × PP 2 × EP 4"
    std::string sizes() const { return to_text("TP ", columns_, " × PP ", rows_, " × EP ", panels_.size()); }

    void draw(Page& page) const {
        page << "<div class=\"panels\">\n";
        for (const auto& [expert, ranks] : panels_) {
            page << "<figure>";
            if (panels_.size() > 1) page << "<figcaption>Expert-parallel rank " << to_text(expert) << "</figcaption>";
            draw_panel(page, expert, ranks);
            page << "</figure>\n";
        }
        page << "</div>\n";
    }

private:
    struct Cell {
        std::uint64_t width = 112, height = 62, gap = 6;
        int lines = 3;  ///< of text
    };
    static constexpr std::uint64_t left = 44, top = 22;

    void draw_panel(Page& page, std::uint64_t expert, const std::vector<const StoredRank*>& ranks) const {
        const std::uint64_t across = cell_.width + cell_.gap, down = cell_.height + cell_.gap;
        const std::string width = to_text(left + columns_ * across), height = to_text(top + rows_ * down);
        page << "<svg role=\"img\" width=\"" << width << "\" height=\"" << height << "\" viewBox=\"0 0 " << width << " "
             << height << "\" aria-label=\""
             << to_text("Bytes of each rank: ", columns_, " tensor-parallel ranks across, ", rows_,
                        " pipeline stages down",
                        panels_.size() > 1 ? to_text(", of expert-parallel rank ", expert) : "")
             << "\">\n";
        const std::uint64_t every = cell_.lines == 0 ? 8 : 1;
        for (std::uint64_t column = 0; column < columns_; column += every)
            label(page, left + column * across + cell_.width / 2, 12, "middle", to_text("TP ", column));
        for (std::uint64_t row = 0; row < rows_; row += every)
            label(page, left - 8, top + row * down + cell_.height / 2 + 4, "end", to_text("PP ", row));
        for (const StoredRank* rank : ranks)
            draw_cell(page, *rank, left + rank->rank * across, top + rank->stage * down);
        page << "</svg>";
    }

    static void label(Page& page, std::uint64_t x, std::uint64_t y, std::string_view anchor, std::string_view text) {
        page << to_text("<text class=\"label\" x=\"", x, "\" y=\"", y, "\" text-anchor=\"", anchor, "\">", text,
                        "</text>\n");
    }

    void draw_cell(Page& page, const StoredRank& rank, std::uint64_t x, std::uint64_t y) const {
        const double strength = largest_ == 0 ? 0 : static_cast<double>(rank.bytes) / static_cast<double>(largest_);
        page << to_text("<g><title>TP rank ", rank.rank, ", PP stage ", rank.stage, ", EP rank ", rank.expert, ": ",
                        tensors_text(rank), ", ", bytes_text(rank.bytes), "</title><rect class=\"cell\" x=\"", x,
                        "\" y=\"", y, "\" width=\"", cell_.width, "\" height=\"", cell_.height, "\" rx=\"",
                        cell_.lines == 0 ? 2 : 6, "\" fill-opacity=\"", fixed(0.06 + 0.34 * strength, 3), "\"/>");
        const std::uint64_t middle = x + cell_.width / 2;
        const auto line = [&](std::uint64_t at, std::string_view kind, std::string_view text) {
            page << to_text("<text", kind, " x=\"", middle, "\" y=\"", y + at, "\" text-anchor=\"middle\">", text,
                            "</text>");
        };
        if (cell_.lines == 1) line(22, " class=\"label\"", bytes_text(rank.bytes));
        if (cell_.lines == 3) {
            line(22, "", bytes_text(rank.bytes));
            line(38, " class=\"small\"", tensors_text(rank));
            line(53, " class=\"small\"", rank.layers == 1 ? "1 layer" : to_text(rank.layers, " layers"));
        }
        page << "</g>\n";
    }

    static std::string tensors_text(const StoredRank& rank) {
        return to_text(count_text(rank.tensors), rank.tensors == 1 ? " tensor" : " tensors");
    }

    std::map<std::uint64_t, std::vector<const StoredRank*>> panels_;  // of each expert-parallel rank
    std::uint64_t columns_ = 0, rows_ = 0, largest_ = 0;
    Cell cell_{};
};

}  // namespace crossdock::cli::html
