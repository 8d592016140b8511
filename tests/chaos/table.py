"""The table that a run ends with, and its place in docs/chaos.md: a line for each fault, a column for each topology."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from rows import COVERED, ROWS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from run import Outcome

PAGE = Path(__file__).resolve().parents[2] / "docs/chaos.md"
BEGIN, END = "<!-- chaos: begin -->", "<!-- chaos: end -->"
FILES = "https://github.com/leaselock/leaselock/blob/main/"
# Which topologies a column sums up, by how their names begin and end.
COLUMNS = {
    "one Redis": ("one hosts", "redis"),
    "one Valkey": ("one hosts", "valkey"),
    "Sentinel": ("sentinel", ""),
    "cluster": ("cluster", ""),
    "a file": ("file", ""),
}


def anchor(name: str) -> str:
    """What a link to a fault's line ends with."""
    return re.sub(r"[^a-z0-9+-]+", "-", name.lower()).strip("-").replace("+", "plus-")


def of(outcomes: Sequence[Outcome]) -> str:
    """The table."""
    lines = ["| " + " | ".join(["fault", *COLUMNS]) + " |", "| --- " * (1 + len(COLUMNS)) + "|"]
    for row in ROWS:
        of_row = [outcome for outcome in outcomes if outcome.row is row]
        if of_row:
            cells = [_cell([each for each in of_row if _is_in(each.topology, column)]) for column in COLUMNS]
            lines.append(" | ".join([f"| {_target(row.name)}: {row.known}", *cells]) + " |")
    return "\n".join(lines) + "\n"


def covered() -> str:
    """The faults that have tests of their own in each language that has them."""
    lines = ["| fault | its tests |", "| --- | --- |"]
    for each in COVERED:
        tests = [f"{language}: [{test}]({FILES}{file})" for language, (file, test) in each.tests.items()]
        lines.append(f"| {_target(each.name)}: {each.known} | {'; '.join(tests)} |")
    return "\n".join(lines) + "\n"


def write(text: str, summary: str) -> None:
    """Puts both between the markers of the page."""
    page = PAGE.read_text()
    new = f"{BEGIN}\n\n{summary}\n\n{text}\n{covered()}\n{END}"
    PAGE.write_text(re.sub(f"{BEGIN}.*{END}", lambda _: new, page, flags=re.DOTALL))


def _target(name: str) -> str:
    return f'<a id="{anchor(name)}"></a>**{name}**'


def _is_in(topology: str, column: str) -> bool:
    kinds, server = COLUMNS[column]
    return topology.partition("-")[0] in kinds.split() and topology.endswith(server)


def _cell(outcomes: list[Outcome]) -> str:
    verdicts = [verdict for outcome in outcomes for verdict in outcome.verdicts.values()]
    if not verdicts:
        return "**wrong**" if outcomes else ""
    operations = sum(verdict.operations for verdict in verdicts)
    leases, refused = (sum(verdict.counts[kind] for verdict in verdicts) for kind in ("acquired", "refused"))
    idle = max(verdict.recovery for verdict in verdicts)
    wrong = "**wrong** " if any(outcome.wrong for outcome in outcomes) else ""
    return f"{wrong}{operations:,} / {leases:,} / {refused} / {idle:.1f} s"
