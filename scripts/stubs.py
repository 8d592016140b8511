"""Puts the docs of the native module into its stub, where editors and mkdocstrings look for them.

    stubs.py            writes them
    stubs.py --check    says whether they are what the module that is built says

The doc comments in Rust are the source: the built module has them as `__doc__`. Types and names in the stub are kept by
hand, and checked by stubtest.
"""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
import types
from pathlib import Path
from typing import TypeAlias

from leaselock import _native

ROOT = Path(__file__).resolve().parent.parent
STUB = ROOT / "bindings-python/python/leaselock/_native.pyi"
RUFF = ROOT / ".venv/bin/ruff"

Definition: TypeAlias = ast.ClassDef | ast.FunctionDef

# What CPython itself has docs for: `__init__` and its like are documented by their class.
SLOT = types.WrapperDescriptorType


def doc_of(owner: object, name: str) -> str | None:
    """The doc of what `owner` itself defines as `name`."""
    found = vars(owner).get(name)
    if found is None or isinstance(found, SLOT) or name == "__new__":
        return None
    doc = found.__doc__
    return inspect.cleandoc(doc) if doc else None


def literal(doc: str, indent: str) -> str:
    """The doc as the source of a docstring, its first line not indented."""
    quoted = doc.replace("\\", "\\\\").replace('"""', '\\"""')
    lines = [line if not line or at == 0 else indent + line for at, line in enumerate(quoted.splitlines())]
    ends = "\n" + indent if len(lines) > 1 else ""
    return '"""' + "\n".join(lines) + ends + '"""'


class Edits:
    """Replacements in a source, by position, made from the end to the beginning."""

    def __init__(self, source: str) -> None:
        self._source = source.encode()
        self._begins = [0]
        for line in self._source.splitlines(keepends=True):
            self._begins.append(self._begins[-1] + len(line))
        self._edits: list[tuple[int, int, str]] = []

    def _at(self, line: int, column: int) -> int:
        return self._begins[line - 1] + column

    def document(self, node: Definition, doc: str | None) -> None:
        """Gives a definition this doc in place of the one that it has."""
        indent = " " * (node.col_offset + 4)
        first = node.body[0]
        # Decorators stand before what they decorate.
        line = min([first.lineno, *(d.lineno for d in getattr(first, "decorator_list", []))])
        begin = self._at(line, first.col_offset)
        # The doc that is there, or the `...` in its place.
        replaced = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
        end = self._at(first.end_lineno or 0, first.end_col_offset or 0) if replaced else begin
        text = f"\n{indent}{literal(doc, indent)}" if doc else ""
        if not replaced and doc:
            text += f"\n{indent}"
        elif not doc and len(node.body) == 1:
            text = "..."
        self._edits.append((begin, end, text))

    def result(self) -> str:
        source = self._source
        for begin, end, text in sorted(self._edits, reverse=True):
            source = source[:begin] + text.encode() + source[end:]
        return source.decode()


def documented(source: str) -> str:
    """The stub with the docs of the module."""
    edits = Edits(source)
    for node in ast.parse(source).body:
        if isinstance(node, ast.FunctionDef):
            edits.document(node, doc_of(_native, node.name))
        elif isinstance(node, ast.ClassDef):
            owner = getattr(_native, node.name)
            for inner in node.body:
                if isinstance(inner, ast.FunctionDef):
                    edits.document(inner, doc_of(owner, inner.name))
            edits.document(node, doc_of(_native, node.name))
    format_it = [str(RUFF), "format", "--stdin-filename", str(STUB), "-"]
    return subprocess.run(format_it, input=edits.result(), check=True, text=True, capture_output=True).stdout


def main() -> int:
    """Entry point."""
    before = STUB.read_text(encoding="utf-8")
    after = documented(before)
    if before == after:
        return 0
    if "--check" in sys.argv[1:]:
        print(f"{STUB.relative_to(ROOT)} has other docs than the module that is built: run scripts/stubs.py")
        return 1
    STUB.write_text(after, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
