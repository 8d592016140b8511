"""The sources that a release is built from: what git has, with a README whose links work outside of the repository.

They are copied to target/dist/sources. A registry shows the README far from the files that it links to, so links to
files lead to the forge there, at the release's tag.
"""

from __future__ import annotations

import functools
import re
import shutil
from typing import TYPE_CHECKING

from toolchain import ROOT, SOURCES, metadata, output, version

if TYPE_CHECKING:
    from pathlib import Path

# What stands before a link's target, and the target, where that is a file: no scheme, and no heading of the page.
LINK = re.compile(
    r"""(?P<before>(?P<image>!)?\[(?:[^\]\\]|\\.)*\]\(|^\[[^\]]+\]:\s+|(?P<html>href|src)=")
                      (?P<target>(?![a-z]+:|\#|//)[^)\s"]+)""",
    re.MULTILINE | re.VERBOSE,
)
CODE = re.compile(r"(^```.*?^```$)", re.MULTILINE | re.DOTALL)
IMAGES = (".svg", ".png", ".gif")


def absolute(text: str) -> str:
    """A page of the repository's root with links that work anywhere. Code blocks stay as they are."""
    repository = str(metadata()["repository"])

    def link(match: re.Match[str]) -> str:
        path = match["target"]
        kind = "raw" if path.endswith(IMAGES) and (match["image"] or match["html"] == "src") else "blob"
        return f"{match['before']}{repository}/{kind}/v{version()}/{path}"

    pieces = CODE.split(text)
    return "".join(piece if i % 2 else LINK.sub(link, piece) for i, piece in enumerate(pieces))


def links(text: str) -> list[str]:
    """The links of a page that lead to files."""
    return [match["target"] for piece in CODE.split(text)[::2] for match in LINK.finditer(piece)]


@functools.cache
def sources() -> Path:
    """The folder of the sources, as they are now. Files that did not change keep their times, for cargo's sake."""
    wanted = output(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]).split("\0")[:-1]
    for old in [path for path in SOURCES.rglob("*") if path.is_file()]:
        if str(old.relative_to(SOURCES)) not in wanted:
            old.unlink()
    for name in wanted:
        source, copy = ROOT / name, SOURCES / name
        if source.is_file():
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, copy)
    readme = SOURCES / "README.md"
    readme.write_text(absolute(readme.read_text()))
    return SOURCES
