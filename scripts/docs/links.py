"""Looks whether every link of the built pages leads somewhere: `links.py site`. Nothing outside of them is fetched.

A link into the repository has to name a file that is there.
"""

from __future__ import annotations

import posixpath
import re
import sys
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

ROOT = Path(__file__).resolve().parents[2]
# Where links into the repository begin, as mkdocs.yml says.
REPOSITORY = re.findall(r"^  repository: (\S+)$", (ROOT / "mkdocs.yml").read_text(), re.MULTILINE)[0]
# Made by tools that look after their own links; links to them are looked at, links in them are not.
REFERENCE = "reference"


class Reader(HTMLParser):
    """The links and the anchors of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.anchors: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if value and (name == "id" or (name == "name" and tag == "a")):
                self.anchors.add(value)
            elif value and name in ("href", "src"):
                self.links.append(value)


@cache
def read(path: Path) -> Reader:
    """What a page has."""
    reader = Reader()
    reader.feed(path.read_text())
    return reader


def wrong(site: Path, page: Path, link: str) -> str | None:
    """What is wrong with a link of a page; None if it leads somewhere."""
    if link.startswith(f"{REPOSITORY}/"):
        kind, _, named = link.removeprefix(f"{REPOSITORY}/").partition("/main/")
        there = (ROOT / named).is_dir() if kind == "tree" else (ROOT / named).is_file()
        return None if there else f"the repository has no {named}"
    parts = urlsplit(link)
    if parts.scheme or parts.netloc:
        return None
    if parts.path.startswith("/"):
        return (
            None if page.name == "404.html" else "it counts from the root of a server, which these pages need not be at"
        )
    folder = page.parent.relative_to(site)
    path = site / posixpath.normpath(posixpath.join(folder, unquote(parts.path))) if parts.path else page
    if path.is_dir():
        path /= "index.html"
    if not path.is_file():
        return "there is no such page"
    anchor = unquote(parts.fragment)
    if anchor and path.suffix == ".html" and anchor not in read(path).anchors:
        return "that page has no such anchor"
    return None


def main() -> int:
    """Says which links are wrong, and how many there are."""
    site = Path(sys.argv[1]).resolve()
    pages = [p for p in sorted(site.rglob("*.html")) if p.relative_to(site).parts[0] != REFERENCE]
    count, faults = 0, []
    for page in pages:
        for link in read(page).links:
            count += 1
            if fault := wrong(site, page, link):
                faults.append(f"{page.relative_to(site)}: {link}: {fault}")
    print(*faults, sep="\n", end="\n" if faults else "")
    print(f"{count} links of {len(pages)} pages: {len(faults)} wrong")
    return 1 if faults or not pages else 0


if __name__ == "__main__":
    sys.exit(main())
