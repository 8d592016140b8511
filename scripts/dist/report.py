"""What came of `make dist-test`: a line for each artefact and runtime."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from stores import STORES

if TYPE_CHECKING:
    from pathlib import Path


@dataclass
class Row:
    """One artefact in one runtime. Seconds that were not measured are left out."""

    artefact: str
    runtime: str
    size: int = 0
    """Bytes of the file that is downloaded."""
    install: float | None = None
    load: float | None = None
    """Seconds of the processor that its import takes, or until the program has said its version."""
    stores: dict[str, float] = field(default_factory=dict)
    failure: str = ""
    missing: str = ""
    """Why it could not be tried here."""

    def cells(self) -> list[str]:
        """The row as it is printed."""
        size = f"{self.size / 1e6:.2f} MB" if self.size else ""
        install = "" if self.install is None else f"{self.install:.1f} s"
        load = "" if self.load is None else f"{self.load * 1000:.0f} ms"
        stores = [f"{self.stores[store]:.2f} s" if store in self.stores else "" for store in STORES]
        outcome = "FAILED" if self.failure else "not here" if self.missing else "ok"
        return [outcome, self.artefact, self.runtime, size, install, load, *stores]


HEADINGS = ["", "artefact", "runtime", "size", "install", "load", *STORES]


@dataclass
class Report:
    """All rows, as they come."""

    rows: list[Row] = field(default_factory=list)

    def add(self, row: Row) -> None:
        """Adds a row, and says how it went."""
        self.rows.append(row)
        text = " · ".join(cell for cell in row.cells() if cell)
        print(f"dist-test: {text}{': ' if row.missing else ''}{row.missing}", flush=True)
        if row.failure:
            print(row.failure, flush=True)

    def show(self) -> None:
        """Prints the table, and what is missing below it."""
        lines = [HEADINGS, *(row.cells() for row in self.rows)]
        widths = [max(len(line[i]) for line in lines) for i in range(len(HEADINGS))]
        print("\n=== make dist-test")
        for line in lines:
            print("  " + "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
        for row in self.rows:
            if row.missing:
                print(f"not here: {row.artefact} on {row.runtime}: {row.missing}")
        counts = [sum(1 for row in self.rows if bool(row.failure)), sum(1 for row in self.rows if row.missing)]
        print(f"{len(self.rows) - sum(counts)} passed, {counts[0]} failed, {counts[1]} skipped")

    def ok(self, *, all_here: bool) -> bool:
        """Whether nothing failed, nor is missing where nothing may be, and something was tried."""
        tried = [row for row in self.rows if not row.missing]
        return bool(tried) and not any(row.failure for row in tried) and (not all_here or tried == self.rows)


def size_of(path: Path) -> int:
    """Bytes of an artefact."""
    return path.stat().st_size
