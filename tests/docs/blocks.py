"""The code blocks of the pages and the files they quote: `python tests/docs/blocks.py` copies the files in.

What a comment above a block says of it:

- `<!-- examples/python/quickstart.py -->`: it quotes that file;
- `<!-- output: examples/python/lost.py -->`: that is what the program, or each of several, prints, with any numbers;
- `<!-- install: pip -->`: it installs, and a test of artefacts types it;
- `<!-- not run: why -->`: nothing runs it.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs").glob("*.md"))]

BLOCK = re.compile(
    r"(?:^<!-- (?P<mark>[^\n]+) -->\n)?^```(?P<language>\w*)[^\n]*\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)


@dataclass(frozen=True)
class Block:
    """One fenced code block and what the comment above it says, if there is one."""

    mark: str | None
    language: str
    text: str

    @property
    def file(self) -> Path | None:
        """The file it quotes."""
        return ROOT / self.mark if self.mark and re.fullmatch(r"\S+/\S+", self.mark) else None

    def said(self, word: str) -> str:
        """What follows `word:` in the comment above it; nothing, where that says something else."""
        before, _, after = (self.mark or "").partition(": ")
        return after if before == word else ""


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
    changed = []
    for page in PAGES:
        before = page.read_text()
        if (after := filled(before)) != before:
            page.write_text(after)
            changed.append(str(page.relative_to(ROOT)))
    print("brought up to date:", ", ".join(changed) or "nothing, all pages were")
    sys.exit(0)
