"""Runs the scenario and prints a table of it: `make jepsen PAUSES=500 CREWS=10 ONLY=redis,file`.

    run.py [--pauses N] [--crews N] [--at-once N] [--only WORD[,WORD…]] [--modes MODE[,MODE…]] [--seed N]

Each row and mode has so many pauses, shared between so many crews. As many crews as `--at-once` says run side by side.
`--only` names rows by words in them, `--modes` is of `unfenced`, `fenced writes` and `fenced`.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import random
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from contestants import FACES, INDEPENDENT, PEERS, STORES, command, is_there, store
from crew import SIZE, Crew, Verdict
from shared_set import Fencing

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True)
class Row:
    """What five programs each use, and where."""

    name: str
    store: str
    locks: tuple[str, ...]
    modes: tuple[Fencing, ...]


EVERY_MODE = tuple(Fencing)
NO_TOKEN = (Fencing.NONE,)
ROWS = [
    *(Row(f"leaselock ({name})", name, FACES, EVERY_MODE) for name in STORES),
    *(Row(f"leaselock in {face} (redis)", "redis", (face,) * SIZE, EVERY_MODE) for face in FACES),
    *(
        Row(f"{peer} (redis)", "redis", (peer,) * SIZE, EVERY_MODE if peer == "redisson-fenced" else NO_TOKEN)
        for peer in PEERS
    ),
    Row(f"redlock ({INDEPENDENT})", INDEPENDENT, ("redlock",) * SIZE, NO_TOKEN),
]


async def run(
    rows: Sequence[Row], urls: dict[str, str], options: argparse.Namespace
) -> dict[tuple[Row, Fencing], Verdict]:
    """All crews of all rows, and what came of each row and mode; says each crew's at once."""
    room = asyncio.Semaphore(options.at_once)
    seeds = random.Random(options.seed)

    async def one(row: Row, mode: Fencing, pauses: int, seed: int) -> tuple[Row, Fencing, Verdict | None]:
        async with room:
            crew = Crew([command(lock) for lock in row.locks], urls[row.store], mode, pauses, seed)
            try:
                return row, mode, await crew.run()
            except (AssertionError, TimeoutError) as error:
                print(f"{row.name}, {mode.value}: a crew has failed, and is left out: {error!r}", file=sys.stderr)
                return row, mode, None

    each = -(-options.pauses // options.crews)
    crews = [
        one(row, mode, each, seeds.randrange(1_000_000))
        for _ in range(options.crews)
        for row in rows
        for mode in row.modes
        if mode.value in options.modes.split(",")
    ]
    found: dict[tuple[Row, Fencing], Verdict] = {}
    for done in asyncio.as_completed(crews):
        row, mode, verdict = await done
        if verdict is None:
            continue
        found[row, mode] = found.get((row, mode), Verdict()) + verdict
        print(f"{row.name}, {mode.value}: {verdict}", file=sys.stderr, flush=True)
    return found


def cell(verdict: Verdict | None) -> str:
    """What was lost in one row and mode."""
    if verdict is None:
        return "-"
    share = f" ({100 * verdict.lost / verdict.acknowledged:.1f} %)" if verdict.lost else ""
    return f"**{verdict.lost:,}** of {verdict.acknowledged:,}{share} in {verdict.pauses} pauses"


def main() -> int:
    """Entry point; 1 where this lock has lost an update that was fenced."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pauses", type=int, default=20)
    parser.add_argument("--crews", type=int, default=1)
    parser.add_argument("--at-once", type=int, default=24)
    parser.add_argument("--only", default="")
    parser.add_argument("--modes", default=",".join(mode.value for mode in Fencing))
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    words = options.only.split(",") if options.only else []
    rows = [row for row in ROWS if not words or any(word in row.name for word in words)]
    for row in [row for row in rows if not all(map(is_there, row.locks))]:
        print(f"left out, since it is not installed: {row.name}", file=sys.stderr)
        rows.remove(row)
    with contextlib.ExitStack() as stack:
        urls = {name: stack.enter_context(store(name)) for name in dict.fromkeys(row.store for row in rows)}
        found = asyncio.run(run(rows, urls, options))
    for (row, mode), verdict in found.items():
        print(json.dumps({"row": row.name, "mode": mode.value, **vars(verdict)}))
    print(f"\n| | {' | '.join(mode.value for mode in Fencing)} |\n| --- |{' --- |' * len(Fencing)}")
    for row in rows:
        print(f"| {row.name} | {' | '.join(cell(found.get((row, mode))) for mode in Fencing)} |")
    ours = [found.get((row, Fencing.READS_AND_WRITES)) for row in rows if row.name.startswith("leaselock")]
    return int(any(verdict and verdict.lost for verdict in ours))


if __name__ == "__main__":
    sys.exit(main())
