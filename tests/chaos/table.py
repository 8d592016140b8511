"""The table that a run ends with, and its place in docs/chaos.md."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from run import Outcome

PAGE = Path(__file__).resolve().parents[2] / "docs/chaos.md"
BEGIN, END = "<!-- chaos: begin -->", "<!-- chaos: end -->"
WORDS = {"rust": "Rust", "python": "Python", "asyncio": "asyncio", "node": "Node"}


def of(outcomes: list[Outcome]) -> str:
    """A table for people, a line for each fault, topology and language."""
    rows: dict[tuple[str, str, str], list[Outcome]] = {}
    order: dict[str, str] = {}
    for outcome in sorted(outcomes, key=lambda each: (each.row.name, each.topology)):
        order[outcome.row.name] = outcome.row.known
        for language in outcome.verdicts:
            rows.setdefault((outcome.row.name, outcome.topology, language), []).append(outcome)
    lines = ["| fault | topology | language | runs | operations | seen |", "| --- | --- | --- | --- | --- | --- |"]
    for (name, topology, language), group in rows.items():
        operations = sum(outcome.verdicts[language].operations for outcome in group)
        seen = _seen(group, language)
        words = WORDS.get(language, language)
        lines.append(f"| {name} | {topology.replace('-', ', ')} | {words} | {len(group)} | {operations:,} | {seen} |")
    return "\n".join(lines) + "\n"


def _seen(group: list[Outcome], language: str) -> str:
    verdicts = [outcome.verdicts[language] for outcome in group]
    parts = []
    count = {
        kind: sum(v.counts[kind] for v in verdicts) for kind in ("acquired", "lost", "gone", "refused", "cancelled")
    }
    parts.append(f"{count['acquired']:,} leases")
    if lost := count["lost"] + count["gone"]:
        parts.append(f"{lost} lost")
    if refused := count["refused"]:
        parts.append(f"{refused} late writes refused")
    if overlaps := sum(v.overlaps for v in verdicts):
        longest = max(v.longest_overlap for v in verdicts)
        parts.append(f"{overlaps} overlaps, {longest:.2f} s at most")
    if cancelled := count["cancelled"]:
        parts.append(f"{cancelled} cancelled")
    if failed := sum(sum(v.codes.values()) for v in verdicts):
        parts.append(f"{failed} errors")
    if told := max(v.told for v in verdicts):
        parts.append(f"told after {told:.2f} s")
    parts.append(f"idle {max(v.recovery for v in verdicts):.2f} s at most")
    if any(outcome.wrong for outcome in group):
        parts.append("**wrong**")
    return ", ".join(parts)


def write(text: str, summary: str) -> None:
    """Puts it between the markers of the page."""
    page = PAGE.read_text()
    new = f"{BEGIN}\n\n{summary}\n\n{text}\n{END}"
    PAGE.write_text(re.sub(f"{BEGIN}.*{END}", lambda _: new, page, flags=re.DOTALL))
