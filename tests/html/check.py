#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Opens the pages of `inspect --html` and `verify --html` in a headless Chromium.

    check.py PROGRAM DATA [PICTURES]

DATA is tests/data. What the pages look like is kept in PICTURES, where it is given. Exits with 77 where there is no
Chromium. Needs nothing but Python.
"""

import json
import os
import shutil
import struct
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../benchmark"))
from browser import Browser, find_chromium, look  # noqa: E402
from many_tensors import Tiny, make_checkpoint  # noqa: E402

failures = 0


def check(what, found, expected=True):
    global failures
    if found != expected:
        failures += 1
        print(f"FAILED: {what}: found {found!r}, expected {expected!r}")


class Pages:
    def __init__(self, program, data, work, pictures, browser):
        self.program, self.data, self.work, self.pictures, self.browser = program, data, work, pictures, browser

    def make(self, name, command, *words, exit_code=0):
        """Makes a page and opens it."""
        page = f"{self.work}/{name}.html"
        result = subprocess.run([self.program, command, *words, "--html", page], capture_output=True, text=True)
        check(f"{name}: exit code ({result.stderr})", result.returncode, exit_code)
        self.browser.open(page)
        self.check_page(name, page)
        self.keep_pictures(name)
        return page

    def check_page(self, name, page):
        """What holds for every page."""
        run = self.browser.run
        check(f"{name}: errors", self.browser.errors, [])
        check(f"{name}: asks for nothing but itself", self.browser.requests, ["file://" + page])
        check(f"{name}: one title", run("document.querySelectorAll('h1').length"), 1)
        check(f"{name}: language", run("document.documentElement.lang"), "en")
        check(f"{name}: header cells without a scope",
              run("[...document.querySelectorAll('th')].filter(each => !each.scope).length"), 0)
        check(f"{name}: pictures that say nothing to who cannot see them",
              run("[...document.querySelectorAll('svg')].filter(each => each.getAttribute('role') !== 'img' || "
                  "!each.getAttribute('aria-label')).length"), 0)
        check(f"{name}: fields without a label",
              run("[...document.querySelectorAll('input')].filter(each => !each.labels.length).length"), 0)
        check(f"{name}: sections without a title",
              run("[...document.querySelectorAll('section')].filter(each => "
                  "!document.getElementById(each.getAttribute('aria-labelledby'))).length"), 0)
        check(f"{name}: references to other places", run(
            "document.querySelectorAll('[src], link, iframe, object, embed, [href]:not([href^=\"#\"])').length"), 0)
        check(f"{name}: wider than the window", run("document.documentElement.scrollWidth > innerWidth"), False)

    def keep_pictures(self, name):
        brightness = {}
        for scheme in ("light", "dark"):
            self.browser.prefer(scheme)
            width, height, colours, brightness[scheme] = look(self.browser.picture(scale=0.25))
            check(f"{name}: size in {scheme}", (width, height), (300, 225))
            check(f"{name}: has a picture's colours in {scheme} ({len(colours)})", len(colours) > 30)
            check(f"{name}: is mostly paper in {scheme}", 0.3 < max(colours.values()) < 0.99)
            if self.pictures:
                with open(f"{self.pictures}/{name}-{scheme}.png", "wb") as file:
                    file.write(self.browser.picture(whole=True))
        check(f"{name}: light is light and dark is dark {brightness}", brightness["light"] > 200 > 80 > brightness["dark"])
        self.browser.prefer("light")

    # ---- what is seen in a page

    def text(self, selector):
        return self.browser.run(f"document.querySelector({json.dumps(selector)})?.textContent")

    def count(self, selector):
        return self.browser.run(f"document.querySelectorAll({json.dumps(selector)}).length")

    def names(self):
        """The first column of the table."""
        return self.browser.run("[...document.querySelectorAll('#rows th')].map(each => each.textContent)")


def check_megatron(pages):
    pages.make("megatron", "inspect", pages.data + "/megatron-llm/llama2-gqa-tp2pp2")
    check("title", pages.text("h1"), "llama2-gqa-tp2pp2")
    check("a cell for each rank", pages.count("svg .cell"), 4)
    check("a cell's words", "TP rank 1, PP stage 1" in pages.text("svg g:last-of-type title"))
    check("a line for each rank", pages.count("details tbody tr"), 4)
    check("the size of the grid", "4 ranks: TP 2 × PP 2 × EP 1" in pages.text("section p"))
    check("a field of the header", "hidden_size64" in pages.text(".fields"))
    check("all stored tensors", pages.text("#status"), "54 in all, 355 kB")


def check_experts(pages):
    pages.make("experts", "inspect", pages.data + "/megatron-core/mixtral-local-tp2ep2")
    check("a picture for each expert-parallel rank", pages.count("figure svg"), 2)
    check("a cell for each rank", pages.count("svg .cell"), 4)
    pages.make("stages", "inspect", pages.data + "/megatron-core/llama2-gqa-te-tp2pp2")
    pages.make("one", "inspect", pages.data + "/megatron-core/llama2-gqa-te-tp1")
    check("a grid of one", pages.count("svg .cell"), 1)


def check_search(pages):
    page = pages.make("files", "inspect", pages.data + "/hf/llama-sharded")
    check("a bar for each file", pages.count("svg rect.c0[height='8']"),
          len([name for name in os.listdir(pages.data + "/hf/llama-sharded") if name.endswith(".safetensors")]))
    pages.browser.type("#search", "LAYERS.1. q_proj")
    check("found", pages.names(), ["model.layers.1.self_attn.q_proj.weight"])
    check("what was searched for is marked", pages.count("#rows mark"), 2)
    check("how many were found", pages.text("#status").startswith("1 of "))
    pages.browser.type("#search", "nothing of the kind")
    check("nothing found", pages.names(), [])
    pages.browser.type("#search", " ")
    everything = pages.names()
    check("all found again", len(everything) > 20)
    pages.browser.run("document.querySelectorAll('#columns button')[3].click()")
    pages.browser.run("document.querySelectorAll('#columns button')[3].click()")
    check("told that it is sorted", pages.browser.run("document.querySelectorAll('#columns th')[3].ariaSort"), "descending")
    check("the largest first", pages.names()[0] in ("lm_head.weight", "model.embed_tokens.weight"))
    check("all that there are, sorted", sorted(pages.names()), sorted(everything))
    pages.browser.run("document.querySelector('#views input[value=model]').click()")
    check("the model's tensors", pages.names()[0].startswith("embeddings / "))
    pages.browser.type("#search", "layer 1")
    check("a number is no part of another one", {name[:20] for name in pages.names()}, {"transformer layer 1 "})
    pages.browser.open(page, "view=model&search=layer%201%20/%20qkv")
    check("the address says what is searched for", pages.names(), ["transformer layer 1 / qkv weight"])


def check_distributed(pages):
    pages.make("distributed", "inspect", pages.data + "/megatron-dist/mixtral-large-mcore0.16-ep2")
    check("a table of chunks", pages.count("#views input"), 3)


def check_many(pages):
    make_checkpoint(pages.work + "/many", Tiny(3000))
    pages.make("many", "inspect", pages.work + "/many")
    check("the first lines", len(pages.names()), 200)
    pages.browser.run("document.getElementById('more').click()")
    check("more of them", len(pages.names()), 1200)
    pages.browser.type("#search", "layers.317.")
    check("one that was not shown", len(pages.names()), 9)
    check("no more", pages.browser.run("document.getElementById('more').hidden"))


def safetensors(entries):
    header = json.dumps({name: {"dtype": "F32", "shape": [1], "data_offsets": [4 * i, 4 * i + 4]}
                         for i, name in enumerate(entries)}).encode()
    return struct.pack("<Q", len(header)) + header + bytes(4 * len(entries))


# What would run, or end what it stands in, if it were taken for anything but text.
HOSTILE = ["</script><script>document.title = 'owned'</script>", "<img src=x onerror=\"document.title = 'owned'\">",
           "]]>--><!--<script>", "\"'><svg onload=document.title='owned'>", "quote\" quote' `${document.title='owned'}`",
           "line\u2028end\u2029s \x9b31m", "right\u202eto left", "&lt;b&gt; &amp;", "constructor", "__proto__"]


def check_hostile(pages):
    folder = pages.work + "/<script>document.title='owned'<!--&\""
    shutil.copytree(pages.data + "/hf/llama-sharded", folder)
    index = folder + "/model.safetensors.index.json"
    with open(index) as file:
        content = json.load(file)
    extra = "extra<img src=x onerror=\"document.title='owned'\">.safetensors"
    content["weight_map"].update({name: extra for name in HOSTILE})
    with open(index, "w") as file:
        json.dump(content, file)
    with open(f"{folder}/{extra}", "wb") as file:
        file.write(safetensors(HOSTILE))
    page = pages.make("hostile", "inspect", folder)
    check("nothing ran", pages.browser.run("document.title.endsWith('crossdock inspect')"))
    check("what cannot be converted is said", f"{len(HOSTILE)} tensors have no place" in pages.text(".alert"))
    check("no element came of a name", pages.count("img, svg svg, b, main script:not(.rows)"), 0)
    pages.browser.open(page, "search=unknown")
    shown = pages.names()
    obeyed = {ord(each): " " for each in "\u2028\u2029\x9b\u202e"}
    check("names as they are", sorted(shown), sorted(name.translate(obeyed) for name in HOSTILE))
    check("and what becomes of them", pages.browser.run("[...new Set([...document.querySelectorAll('#rows tr')].map("
                                                        "each => each.lastChild.textContent))]"),
          ["unknown: no place in this model"])
    pages.browser.type("#search", "<img")
    check("they can be searched for", len(pages.names()), len(HOSTILE))  # all are in that file

    with open(page) as file:
        text = file.read()
    check("scripts in the page", text.count("<script"), text.count("</script>"))
    injected = "<script>document.title = 'owned'</script><img src=x onerror=\"document.title = 'owned'\">" \
               "<style>h1 { display: none }</style><h2 style='display: none' id='styled'>x</h2>"
    with open(page, "w") as file:
        file.write(text.replace("</main>", injected + "</main>"))
    pages.browser.open(page)
    check("what is not the page's own does not run",
          pages.browser.run("[document.title.endsWith('crossdock inspect'), "
                            "getComputedStyle(document.querySelector('h1')).display, "
                            "getComputedStyle(document.getElementById('styled')).display]"), [True, "block", "block"])
    check("and is complained of", len(pages.browser.errors) >= 4)


def flipped(source, target, bits, wanted):
    """A copy of a Hugging Face folder, with other bits at the beginning of tensors whose names are wanted."""
    shutil.copytree(source, target)
    with open(target + "/model.safetensors", "r+b") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        for name, entry in json.loads(file.read(length)).items():
            if wanted(name):
                file.seek(8 + length + entry["data_offsets"][0])
                file.write(bits)


def check_values(pages):
    flipped(pages.data + "/hf/llama2-gqa", pages.work + "/nan", b"\xc0\x7f", lambda name: name == "model.norm.weight")
    pages.make("values", "inspect", pages.work + "/nan", "--stats")
    check("what is not finite is said", pages.text(".alert"), "1 tensor has NaNs or infinities.")
    pages.browser.run("document.querySelector('#views input[value=model]').click()")
    pages.browser.type("#search", "final norm")
    check("its NaNs", pages.browser.run("[...document.querySelectorAll('#rows .count')].map(each => each.textContent)"),
          ["1", ""])
    check("its mean", 0.5 < float(pages.browser.run("document.querySelectorAll('#rows .number')[2].textContent")) < 1.5)
    pages.browser.type("#search", " ")
    pages.browser.run("document.querySelectorAll('#columns button')[7].click()")
    pages.browser.run("document.querySelectorAll('#columns button')[7].click()")
    check("those with most NaNs first", pages.names()[0], "final norm / weight")


def check_verify(pages):
    source, other = pages.data + "/hf/llama2-gqa", pages.work + "/other"
    page = pages.make("equal", "verify", source, pages.data + "/megatron-llm/llama2-gqa-tp2pp2")
    check("the verdict", pages.text(".verdict"), "✓ Equal")
    check("nothing to search", pages.count("#search"), 0)
    check("the verdict's colour", pages.count(".verdict.good"), 1)

    flipped(source, other, b"\x12\x34", lambda name: "layers.2." in name)
    with open(other + "/config.json") as file:
        config = json.load(file)
    config["rms_norm_eps"] = 0.25
    with open(other + "/config.json", "w") as file:
        json.dump(config, file)
    page = pages.make("different", "verify", source, other, exit_code=1)
    check("the verdict", pages.text(".verdict").startswith("✗ "))
    check("a field that differs", "norm_epsilon" in (pages.text("section[aria-labelledby=fields-title]") or ""))
    all_names = pages.names()
    check("tensors that differ", bool(all_names) and all("layer 2 / " in name for name in all_names))
    pages.browser.type("#search", "qkv elements")
    check("one of them", pages.names(), ["transformer layer 2 / qkv weight"])
    missing = pages.make("missing", "verify", source, pages.data + "/hf/mistral-gqa", exit_code=1)
    check("pages are as large as what they tell", os.path.getsize(missing) < 64 << 10 and os.path.getsize(page) < 64 << 10)


def main():
    program, data = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
    pictures = os.path.abspath(sys.argv[3]) if len(sys.argv) > 3 else None
    chromium = find_chromium()
    if not chromium:
        print("skipped: there is no Chromium here; apt-get install chromium, or name one in $CHROMIUM")
        return 77
    if pictures:
        os.makedirs(pictures, exist_ok=True)
    with tempfile.TemporaryDirectory() as work:
        browser = Browser(chromium)
        try:
            pages = Pages(program, data, work, pictures, browser)
            for part in (check_megatron, check_experts, check_search, check_distributed, check_many, check_values,
                         check_hostile, check_verify):
                part(pages)
        finally:
            browser.close()
    print("FAILED" if failures else "passed")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
