// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

namespace crossdock::cli::html {

/// How the pages look: in light, in dark, and on paper.
inline constexpr std::string_view page_style = R"css(
:root {
    color-scheme: light dark;
    --paper: #f6f7f9; --card: #ffffff; --ink: #171a21; --soft: #5b6372; --line: #dfe3ea; --accent: #3b5bdb;
    --good: #1f7a43; --bad: #c02637; --mark: #ffe58a;
    --c0: #3b5bdb; --c1: #0d9488; --c2: #d97706; --c3: #be3a75; --c4: #7046c9; --c5: #6b7280;
}
@media (prefers-color-scheme: dark) {
    :root {
        --paper: #101319; --card: #181c24; --ink: #e7eaf0; --soft: #9aa4b5; --line: #2b313d; --accent: #8ea6ff;
        --good: #5fce8c; --bad: #ff7d87; --mark: #6b5800;
        --c0: #7c96fb; --c1: #3fc9b8; --c2: #f0a63c; --c3: #ee7fb0; --c4: #ae90f5; --c5: #9aa3b2;
    }
}
* { box-sizing: border-box; }
body {
    margin: 0 auto; max-width: 76rem; padding: 2rem 1.5rem 3rem; background: var(--paper); color: var(--ink);
    font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
    overflow-wrap: anywhere;
}
h1 { margin: 0 0 .25rem; font-size: 2rem; line-height: 1.2; letter-spacing: -.015em; }
h2 { margin: 0 0 1rem; font-size: 1.15rem; }
h3 { margin: 0 0 .5rem; font-size: .95rem; }
p { margin: 0 0 .75rem; }
a { color: var(--accent); }
small, .soft, figcaption { color: var(--soft); font-size: .85rem; }
code, tbody th.text, p.path, td.path, span.path { font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; font-size: .86em; }
.kicker { margin: 0 0 .25rem; color: var(--accent); font-weight: 600; font-size: .8rem; letter-spacing: .06em; text-transform: uppercase; }
p.path, td.path, span.path { color: var(--soft); }
section { margin: 1.25rem 0; padding: 1.25rem 1.5rem 1.4rem; background: var(--card); border: 1px solid var(--line); border-radius: 12px; }
footer { margin-top: 1.5rem; color: var(--soft); font-size: .85rem; }
.unseen { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }

.facts { display: flex; flex-wrap: wrap; gap: 1rem 2.5rem; margin: 1.25rem 0 0; }
.facts dt { color: var(--soft); font-size: .8rem; }
.facts dd { margin: 0; font-size: 1.15rem; font-weight: 600; font-variant-numeric: tabular-nums; }
.facts small { display: block; font-weight: 400; }

.groups { columns: 3 19rem; column-gap: 2rem; }
.groups table { break-inside: avoid; margin-bottom: 1.25rem; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
caption { text-align: left; font-weight: 600; padding-bottom: .35rem; }
th, td { padding: .3rem .75rem .3rem 0; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top; font-weight: 400; }
thead th { color: var(--soft); font-size: .85rem; border-bottom-color: var(--soft); }
tbody tr:last-child > * { border-bottom: 0; }
th.bytes, td.bytes, th.count, td.count, th.number, td.number { text-align: right; white-space: nowrap; padding-right: 1.5rem; }
.fields th { color: var(--soft); font-size: .88em; white-space: nowrap; }
.fields td { min-width: 4.3rem; text-align: right; padding-right: 0; font-family: ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace; font-size: .86em; }
.fields .off { color: var(--soft); opacity: .75; }

svg { display: block; max-width: 100%; height: auto; }
svg text { fill: var(--ink); font: 600 13px system-ui, -apple-system, "Segoe UI", Roboto, Arial, sans-serif; }
svg .label, svg .small { fill: var(--soft); font-weight: 400; font-size: 12px; }
svg g .small, svg g .label { fill: var(--ink); opacity: .85; }
svg .cell { fill: var(--c0); stroke: var(--c0); stroke-opacity: .55; }
svg .track { fill: var(--line); }
.c0 { fill: var(--c0); color: var(--c0); } .c1 { fill: var(--c1); color: var(--c1); } .c2 { fill: var(--c2); color: var(--c2); }
.c3 { fill: var(--c3); color: var(--c3); } .c4 { fill: var(--c4); color: var(--c4); } .c5 { fill: var(--c5); color: var(--c5); }
.alike .c0 { fill: var(--good); color: var(--good); } .alike .c1 { fill: var(--bad); color: var(--bad); }
.share { width: 100%; height: 26px; border-radius: 6px; margin-bottom: .75rem; }
.key { display: inline-block; width: .8em; height: .8em; margin-right: .5em; border-radius: 3px; background: currentColor; }
.panels { display: flex; flex-wrap: wrap; gap: 1.25rem 2rem; }
figure { margin: 0; min-width: 0; }
figcaption { margin-bottom: .35rem; }
details { margin-top: 1rem; }
summary { cursor: pointer; color: var(--accent); }
details table { margin-top: .5rem; }
section > table tbody th.text { width: 30%; }
table + p { margin: .75rem 0 0; }
.narrow { width: auto; min-width: min(34rem, 100%); }

.notices { margin: 0; padding-left: 1.2rem; }
.alert { margin: 1.5rem 0 1rem; padding: .6rem .9rem; border-left: 4px solid var(--bad); background: color-mix(in srgb, var(--bad) 10%, transparent); border-radius: 6px; }
.verdict { display: inline-flex; align-items: center; gap: .6rem; margin: .75rem 0 0; padding: .45rem 1rem; border-radius: 999px; font-size: 1.15rem; font-weight: 600; color: var(--card); }
.verdict.good { background: var(--good); } .verdict.bad { background: var(--bad); }
.sides { width: auto; margin: 1rem 0 0; } .sides th { font-weight: 600; } .sides td { padding-right: 2rem; }

.controls { display: flex; flex-wrap: wrap; gap: .75rem 1.5rem; align-items: center; margin: 0 0 .75rem; }
.controls[hidden], [hidden] { display: none; }
fieldset { display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; margin: 0; padding: 0; border: 0; }
fieldset label { cursor: pointer; } fieldset span { color: var(--soft); font-size: .85rem; }
.search { flex: 1 1 18rem; }
input[type=search] { width: 100%; padding: .5rem .8rem; font: inherit; color: inherit; background: var(--paper); border: 1px solid var(--line); border-radius: 8px; }
button { font: inherit; color: inherit; cursor: pointer; }
#more { margin-top: .75rem; padding: .4rem 1rem; background: var(--paper); border: 1px solid var(--line); border-radius: 8px; }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
#status { color: var(--soft); font-size: .85rem; margin: 0 0 .5rem; }
.scroll { max-height: 46rem; overflow: auto; }
.scroll thead th { position: sticky; top: 0; background: var(--card); padding-top: .2rem; }
.scroll thead button { padding: 0; background: none; border: 0; font-weight: 600; }
.scroll thead th[aria-sort=ascending] button::after { content: " ▲"; } .scroll thead th[aria-sort=descending] button::after { content: " ▼"; }
td.word { min-width: 5.5rem; } td.path { min-width: 11rem; } thead button { white-space: nowrap; }
#table tbody .text { min-width: 16rem; }
mark { background: var(--mark); color: inherit; border-radius: 2px; }

@media print {
    :root {
        --paper: #fff; --card: #fff; --ink: #000; --soft: #444; --line: #ccc; --accent: #3b5bdb; --good: #1f7a43; --bad: #c02637;
        --mark: #ffe58a; --c0: #3b5bdb; --c1: #0d9488; --c2: #d97706; --c3: #be3a75; --c4: #7046c9; --c5: #6b7280;
    }
    html { font-size: 12px; }
    body { max-width: none; padding: 0; font-size: 11px; print-color-adjust: exact; -webkit-print-color-adjust: exact; }
    section { padding: .75rem 0; border: 0; border-top: 1px solid var(--line); border-radius: 0; }
    .controls, summary { display: none; }
    .scroll { max-height: none; overflow: visible; }
    .scroll thead th { position: static; }
    tr, figure { break-inside: avoid; }
}
)css";

}  // namespace crossdock::cli::html
