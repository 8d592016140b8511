"""Chaos: each fault of rows.py on each topology that it applies to, in every language, each beside others.

    run.py [--write] [--rounds N] [--seconds S] [--at-once N] [WORD…]

A row runs when its name or topology has each WORD. It ends with a table, and with status 1 where something was wrong.
`--seconds` goes on with round after round for so long, and begins nothing later. `--write` puts the table into
docs/chaos.md.
"""

from __future__ import annotations

import argparse
import math
import random
import sys
import time
import traceback
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests/mixed")]

import table
from churn_log import NS
from hosts import hosts_can_be_made
from judge import Facts, Verdict, judge
from programs import rust_programs
from rows import ROWS, Row
from scenes import Scene, now
from topologies import until
from work import Work

if TYPE_CHECKING:
    from collections.abc import Sequence

WORKERS = ROOT / "tests/mixed/workers"
# How long there is peace before the fault, and work after it, in seconds.
BEFORE = 0.5
AFTER = 1.0


@dataclass
class Outcome:
    """What came of one fault on one topology."""

    row: Row
    topology: str
    verdicts: dict[str, Verdict] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    seconds: float = 0.0


def run_rows(rows: list[Row], topology: str, programs: dict[str, str], end: float) -> list[Outcome]:
    """One fault after the other on the same servers, until `end`; on new ones after whatever went wrong."""
    outcomes: list[Outcome] = []
    while rows and time.monotonic() < end:
        kind, _, server = topology.partition("-")
        first = rows[0]
        try:
            with Scene(kind, server, programs, keep_data=first.keep_data, shift=first.shift, tls=first.tls) as scene:
                while rows and time.monotonic() < end:
                    outcomes.append(run(rows.pop(0), topology, scene, programs))
                    if outcomes[-1].wrong:
                        break
                    if not rows and (wrong := scene.dismiss()):
                        outcomes[-1].wrong += wrong
                        _say(outcomes[-1])
        except Exception:
            # Of the servers themselves.
            outcomes.append(Outcome(rows.pop(0) if rows else first, topology, wrong=[traceback.format_exc()]))
            _say(outcomes[-1])
    return outcomes


def run(row: Row, topology: str, scene: Scene, programs: dict[str, str]) -> Outcome:
    """One fault, and what came of it in each language."""
    outcome = Outcome(row, topology)
    began = time.monotonic()
    try:
        _run(row, scene, programs, outcome)
    except Exception:
        outcome.wrong.append(traceback.format_exc())
    outcome.seconds = time.monotonic() - began
    for language, verdict in outcome.verdicts.items():
        outcome.wrong += [f"{language}: {text}" for text in verdict.wrong]
    _say(outcome)
    return outcome


def _run(row: Row, scene: Scene, programs: dict[str, str], outcome: Outcome) -> None:
    commands = {
        "rust": [programs["churn_worker"]],
        "python": [sys.executable, str(WORKERS / "churn_threads.py")],
        "asyncio": [sys.executable, str(WORKERS / "churn_asyncio.py")],
        "node": ["node", str(WORKERS / "churn.mjs")],
    }
    scene.begin()
    until("all servers are well", scene.whole)
    if row.calm:
        scene.calm()
    before: tuple[str, ...] = ()
    if row.own_clock:
        before = ("env", f"LD_PRELOAD={scene.library()}", f"CLOCK_SHIFT={scene.folder}/shift")
    with Work(scene, commands, before=before, ttl=row.ttl, **row.work) as work:
        work.goes()
        time.sleep(BEFORE)
        row.cause(scene)
        healed = now()
        work.goes_on(row.within)
        time.sleep(AFTER)
        end = now()
        outcome.wrong += work.finish()
    outcome.notes = scene.notes
    for language, events in work.histories():
        facts = Facts(
            ttl=row.ttl * NS // 1000,
            healed=healed,
            end=end,
            within=row.within,
            overlap=scene.kind in row.overlap,
            kept=row.kept,
            blocked=bool(row.work.get("blocked")) and language != "rust",
            silent=scene.silent,
            forgotten=scene.forgotten,
            errors=row.errors,
            words=row.words,
            killed=scene.killed,
        )
        outcome.verdicts[language] = judge(events, facts)


def _say(outcome: Outcome) -> None:
    total = sum(verdict.operations for verdict in outcome.verdicts.values())
    state = "ok    " if not outcome.wrong else "WRONG "
    notes = "".join(f"; {note}" for note in outcome.notes)
    print(
        f"{state} {outcome.row.name} on {outcome.topology}: {total} operations, {outcome.seconds:.1f} s{notes}",
        flush=True,
    )
    for text in outcome.wrong[:12]:
        print(f"       {text}", flush=True)


def main() -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=0.0)
    parser.add_argument("--at-once", type=int, default=8)
    parser.add_argument("words", nargs="*")
    options = parser.parse_args()
    programs = rust_programs()
    wanted = matrix(options.words)
    began = time.monotonic()
    outcomes: list[Outcome] = []
    for _ in range(options.rounds):
        outcomes += run_all(wanted, programs, options.at_once)
    while time.monotonic() < began + options.seconds:
        outcomes += run_all(wanted, programs, options.at_once, began + options.seconds)
    took = time.monotonic() - began
    text = table.of(outcomes)
    print(text)
    print(summary(outcomes, took))
    if options.write:
        table.write(text, summary(outcomes, took))
    return 1 if not outcomes or any(outcome.wrong for outcome in outcomes) else 0


def matrix(words: Sequence[str] = ()) -> list[tuple[Row, str]]:
    """Each row with each of its topologies that this machine can have."""
    wanted = [
        (row, topology)
        for row in ROWS
        for topology in row.topologies
        if all(word in row.name or word in topology for word in words)
    ]
    if not hosts_can_be_made():
        print("left out: hosts with addresses of their own; this machine makes no network namespaces with veth")
        wanted = [(row, topology) for row, topology in wanted if not topology.startswith("hosts")]
    return wanted


def run_all(
    wanted: Sequence[tuple[Row, str]], programs: dict[str, str], at_once: int, end: float = math.inf
) -> list[Outcome]:
    """All of them, so many at a time, none later than `end`; what can share servers does so, one after the other."""
    groups: dict[tuple[str, str], list[Row]] = {}
    for row, topology in random.sample(wanted, len(wanted)):
        groups.setdefault((topology, row.name if row.apart else ""), []).append(row)
    longest_first = sorted(groups.items(), key=lambda group: -len(group[1]))
    with ThreadPoolExecutor(at_once) as pool:
        done = pool.map(lambda group: run_rows(group[1], group[0][0], programs, end), longest_first)
        return [outcome for outcomes in done for outcome in outcomes]


def summary(outcomes: list[Outcome], took: float) -> str:
    verdicts = [verdict for outcome in outcomes for verdict in outcome.verdicts.values()]
    wrong = sum(1 for outcome in outcomes if outcome.wrong)
    counts: Counter[str] = sum((verdict.counts for verdict in verdicts), Counter())
    return (
        f"{len(outcomes)} runs, {len(verdicts)} histories, {sum(v.undecided for v in verdicts)} undecided operations; "
        f"{sum(v.operations for v in verdicts):,} operations, of them {counts['acquired']:,} leases; "
        f"{sum(v.violations for v in verdicts)} fence violations, {counts['refused']} late writes refused, "
        f"{sum(v.overlaps for v in verdicts)} overlaps that only tokens told apart; {wrong} runs wrong; {took:.0f} s."
    )


if __name__ == "__main__":
    sys.exit(main())
