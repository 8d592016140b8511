"""Counts the `unsafe` code of each crate against the numbers below: `make check ONLY=unsafe`.

More of it is a decision, so whoever adds some changes a number here; less of it lowers the number. Each block and each
`unsafe impl` has a comment `// SAFETY:` right above, which says why it is sound. Clippy asks for the same where it
compiles the code; this also reads what is compiled for other systems only.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent

# Blocks, functions, impls (of traits, or of `extern` blocks, whose items are promises too).
ALLOWED: dict[str, tuple[int, int, int]] = {
    # libuv and N-API by hand: `uv`, `libuv` and `system`.
    "bindings-node/src": (26, 8, 1),
    # Told of forks, of the interpreter's end, and which interpreter this is.
    "bindings-python/src": (5, 0, 0),
    # Ctrl-Break on Windows.
    "cli/src": (1, 0, 0),
    # Tests that fork, and an allocator's counters.
    "core/tests": (3, 0, 0),
    "benches/rust": (1, 0, 0),
    # A mistake, which a sanitizer has to see.
    "tests/sanitizers": (1, 0, 0),
}

# Comments and literals; `'` also begins a lifetime.
OTHER = re.compile(
    r"//[^\n]*|/\*(?:[^*]|\*(?!/))*\*/"
    r'|b?c?r(?P<hashes>#*)"(?:.|\n)*?"(?P=hashes)|[bc]?"(?:\\(?:.|\n)|[^"\\])*"'
    r"|b?'(?:\\(?:u\{[^}]*\}|x..|.)|[^'\\])'"
)
UNSAFE = re.compile(r"\bunsafe\b\s*(?P<what>\{|impl\b|extern\s*\{|(?:extern\s+)?fn\s+(?P<name>\$?\w+))")
# What may stand between an argument and its block: attributes, and the head of the statement that the block is in.
ABOVE = 6


def blank(found: re.Match[str]) -> str:
    """As much space, in as many lines."""
    return re.sub(r"[^\n]", " ", found[0])


def argued(lines: list[str], at: int) -> bool:
    """Whether a comment with an argument stands right above a line of code."""
    for line in reversed(lines[max(0, at - ABOVE) : at]):
        text = line.strip()
        if text.startswith("// SAFETY:"):
            return True
        # The end of the statement before it.
        if not text or text in {"}", "{"} or (text.endswith((";", "}")) and not text.startswith("//")):
            return False
    return False


def look(path: Path) -> tuple[Counter[str], list[str]]:
    """What unsafe code a file has, and what of it is without an argument."""
    text = (ROOT / path).read_text()
    lines, counts, wrong = text.splitlines(), Counter[str](), []
    for found in UNSAFE.finditer(OTHER.sub(blank, text)):
        what = found["what"]
        kind = "fns" if found["name"] else "impls" if what.startswith(("impl", "extern")) else "blocks"
        counts[kind] += 1
        at = text.count("\n", 0, found.start())
        if what.startswith(("{", "impl")) and not argued(lines, at):
            wrong.append(f"{path}:{at + 1}: no comment `// SAFETY:` right above says why this is sound")
    return counts, wrong


def main() -> int:
    """Entry point."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.rs"],
        cwd=ROOT,
        check=True,
        text=True,
        stdout=subprocess.PIPE,
    )
    total: dict[str, Counter[str]] = {}
    wrong = []
    for path in map(Path, listed.stdout.splitlines()):
        part = "/".join(path.parts[:2])
        counts, without = look(path)
        total.setdefault(part, Counter()).update(counts)
        wrong += without
    for part, counts in sorted(total.items()):
        has = (counts["blocks"], counts["fns"], counts["impls"])
        may = ALLOWED.get(part, (0, 0, 0))
        if any(has) or any(may):
            print(f"{part:<24} {has[0]:3} blocks, {has[1]:2} functions, {has[2]:2} impls and extern blocks")
        if has != may:
            wrong.append(f"{part}: {has} blocks, functions, impls; {may} were agreed on in {Path(__file__).name}")
    print("\n".join(wrong) if wrong else "each block has its argument")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
