"""The code blocks of the README and the files they quote: `python tests/docs/blocks.py` copies the files in.

A block that quotes a file stands under a comment that names it: <!-- examples/python/quickstart.py -->
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"

BLOCK = re.compile(
    r"(?:^<!-- (?P<mark>\S+) -->\n)?^```(?P<language>\w*)[^\n]*\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)


@dataclass(frozen=True)
class Block:
    """One fenced code block and the word in the comment above it, if there is one."""

    mark: str | None
    language: str
    text: str

    @property
    def file(self) -> Path | None:
        """The file it quotes."""
        return ROOT / self.mark if self.mark and "/" in self.mark else None


def blocks(text: str) -> list[Block]:
    """All code blocks of a page, in order."""
    return [Block(m["mark"], m["language"], m["text"]) for m in BLOCK.finditer(text)]


def marked(text: str, mark: str) -> str:
    """The text of the one block under `<!-- mark -->`."""
    (found,) = [b.text for b in blocks(text) if b.mark == mark]
    return found


def filled(text: str) -> str:
    """The page with every quoted file as it is now."""

    def fill(match: re.Match[str]) -> str:
        block = Block(match["mark"], match["language"], match["text"])
        if not block.file:
            return match[0]
        return f"<!-- {block.mark} -->\n```{block.language}\n{block.file.read_text()}```"

    return BLOCK.sub(fill, text)


if __name__ == "__main__":
    before = README.read_text()
    after = filled(before)
    README.write_text(after)
    print("README.md brought up to date" if after != before else "README.md was up to date")
    sys.exit(0)
