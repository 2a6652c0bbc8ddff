# SPDX-License-Identifier: Apache-2.0
"""Makes pages of the repository into pages of the site: what a page links to outside of docs/ comes along under source/,
the first page is the README, and code blocks lose the name of the file that they are taken from (tests/docs/check.sh)."""

import posixpath
import re
from pathlib import Path

from mkdocs.structure.files import File

ROOT = Path(__file__).parents[2]
LINK = re.compile(r"\]\(([^)#:\s]+)(#[^)\s]*)?\)")
FENCE = re.compile(r"^(```\w+) \S.*$", re.M)


def repository_path(page: str, target: str) -> str:
    """What a link means, from the root of the repository; the README is at the root already."""
    folder = "" if page == "index.md" else posixpath.join("docs", posixpath.dirname(page))
    return posixpath.normpath(posixpath.join(folder, target))


def from_page(page: str, path: str) -> str:
    """A file of the repository as the page links to it on the site."""
    there = path[len("docs/") :] if path.startswith("docs/") else f"source/{path}.txt"
    return posixpath.relpath(there, posixpath.dirname(page) or ".")


def linked_files():
    pages = {"index.md": ROOT / "README.md"}
    pages.update((path.relative_to(ROOT / "docs").as_posix(), path) for path in (ROOT / "docs").rglob("*.md"))
    for page, path in pages.items():
        for target, _ in LINK.findall(path.read_text()):
            found = repository_path(page, target)
            if not found.startswith("docs/") and (ROOT / found).is_file():
                yield found


def on_files(files, config):
    files.append(File.generated(config, "index.md", content=(ROOT / "README.md").read_text()))
    for path in sorted(set(linked_files())):
        files.append(File.generated(config, f"source/{path}.txt", content=(ROOT / path).read_text()))
    return files


def on_page_markdown(markdown, page, config, files):
    uri = page.file.src_uri

    def on_site(match):
        path = repository_path(uri, match[1])
        return f"]({from_page(uri, path)}{match[2] or ''})" if (ROOT / path).is_file() else match[0]

    return LINK.sub(on_site, FENCE.sub(r"\1", markdown))
