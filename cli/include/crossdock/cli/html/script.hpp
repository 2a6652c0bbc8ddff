// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

namespace crossdock::cli::html {

/// The page's script: the tables that can be searched (data_table.hpp). What it shows is text, never HTML. A page's
/// address may say what is searched for, and in which table: model.html#view=model&search=qkv
inline constexpr std::string_view page_script = R"js(
'use strict';
(() => {
const tables = [...document.querySelectorAll('script.rows')].map(data => JSON.parse(data.textContent));
if (!tables.length) return;
const at_once = 200, alphabet = new Intl.Collator('en', {numeric: true});
const [controls, views, search, status, columns, rows, more] =
    ['controls', 'views', 'search', 'status', 'columns', 'rows', 'more'].map(id => document.getElementById(id));
let table, found = [], shown = 0, words = [], pattern, sorted = {column: -1, descending: false};

function element(name, text = '', properties = {}) {
    const made = Object.assign(document.createElement(name), properties);
    if (text !== '') made.textContent = text;
    return made;
}

function bytes(count) {
    const units = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'];
    let unit = 0;
    for (; count >= 999.5 && unit + 1 < units.length; ++unit) count /= 1000;
    return count.toFixed(unit === 0 || count >= 99.95 ? 0 : count >= 9.995 ? 1 : 2) + ' ' + units[unit];
}
const count = number => number.toLocaleString('en');

const is_word = column => ['word', 'path'].includes(table.columns[column][1]);
const is_text = column => is_word(column) || table.columns[column][1] === 'text';
const value = (row, column) => is_word(column) ? table.words[column][row[column]] : row[column];

// ---- which lines

const matches = row => words.every(word => table.columns.some((_, column) =>
    is_text(column) && word.test(value(row, column))));

function compare(a, b) {
    const left = value(a, sorted.column) ?? -Infinity, right = value(b, sorted.column) ?? -Infinity;
    const order = is_text(sorted.column) ? alphabet.compare(left, right) : left < right ? -1 : left > right ? 1 : 0;
    return sorted.descending ? -order : order;
}

function find() {
    const sources = search.value.split(/\s+/).filter(word => word).map(word => {
        const source = word.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
        return /^\d+$/.test(word) ? `(?<![\\da-z])${source}(?!\\d)` : source;  // a number is no part of another one
    });
    words = sources.map(source => new RegExp(source, 'i'));
    pattern = new RegExp(sources.sort((a, b) => b.length - a.length).join('|'), 'gi');
    found = words.length ? table.rows.filter(matches) : table.rows.slice();
    if (sorted.column >= 0) found.sort(compare);
    shown = 0;
    rows.replaceChildren();
    show(at_once);
}

// ---- what is seen of them

function breakable(text) {  // behind the dots of a name, not of a number
    return text.split(/(?<=[./])(?=[a-z_])/i).flatMap((part, i) => i > 0 ? [element('wbr'), part] : [part]);
}

function marked(text) {  // with what was searched for
    const cell = document.createDocumentFragment();
    let end = 0;
    for (const hit of words.length ? text.matchAll(pattern) : []) {
        cell.append(...breakable(text.slice(end, hit.index)), element('mark', hit[0]));
        end = hit.index + hit[0].length;
    }
    cell.append(...breakable(text.slice(end)));
    return cell;
}

function shown_number(number, kind) {
    if (kind === 'bytes') return bytes(number);
    if (kind === 'count') return number ? count(number) : '';
    return number === null ? '' : String(Number(number.toPrecision(5)));
}

function line(row) {
    const made = element('tr');
    table.columns.forEach(([, kind], column) => {
        const cell = element(column === 0 ? 'th' : 'td', '', {className: kind});
        if (column === 0) cell.scope = 'row';
        const content = value(row, column);
        if (is_text(column)) cell.append(marked(content));
        else cell.textContent = shown_number(content, kind);
        if (kind === 'bytes') cell.title = count(content) + ' bytes';
        made.append(cell);
    });
    return made;
}

function show(many) {
    rows.append(...found.slice(shown, shown + many).map(line));
    shown = Math.min(shown + many, found.length);
    const size = table.columns.findIndex(([, kind]) => kind === 'bytes');
    status.textContent = (words.length ? `${count(found.length)} of ${count(table.rows.length)} match` :
        `${count(found.length)} in all`) +
        (size >= 0 ? `, ${bytes(found.reduce((sum, row) => sum + row[size], 0))}` : '') +
        (shown < found.length ? `; the first ${count(shown)} are shown` : '');
    more.hidden = shown === found.length;
    more.textContent = `Show ${count(Math.min(1000, found.length - shown))} more`;
}

function choose(view) {
    table = tables.find(each => each.view === view) || tables[0];
    sorted = {column: -1, descending: false};
    for (const radio of views.querySelectorAll('input')) radio.checked = radio.value === table.view;
    columns.replaceChildren(...table.columns.map(([title, kind], column) => {
        const head = element('th', '', {scope: 'col', className: kind}), button = element('button', title, {type: 'button'});
        button.addEventListener('click', () => {
            sorted = {column, descending: sorted.column === column && !sorted.descending};
            for (const each of columns.children) each.removeAttribute('aria-sort');
            head.setAttribute('aria-sort', sorted.descending ? 'descending' : 'ascending');
            find();
        });
        head.append(button);
        return head;
    }));
    find();
}

function follow_address() {
    const asked = new URLSearchParams(location.hash.slice(1));
    if (asked.has('search')) search.value = asked.get('search');
    choose(asked.get('view') || table?.view);
    if (asked.has('search')) controls.scrollIntoView();
}

// ----

if (tables.length > 1)
    for (const each of tables) {
        const radio = element('input', '', {type: 'radio', name: 'view', value: each.view});
        radio.addEventListener('change', () => choose(each.view));
        const label = element('label');
        label.append(radio, ` ${each.label} `, element('span', count(each.rows.length)));
        views.append(label);
    }
views.hidden = tables.length === 1;
controls.hidden = false;
search.addEventListener('input', find);
more.addEventListener('click', () => show(1000));
addEventListener('hashchange', follow_address);
follow_address();
})();
)js";

}  // namespace crossdock::cli::html
