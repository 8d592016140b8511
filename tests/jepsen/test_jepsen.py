"""The Jepsen scenario in short: on each store a crew of all languages, fenced and not, all of them side by side."""

from __future__ import annotations

import asyncio
import contextlib
import os

import pytest
from contestants import FACES, STORES, command, store
from crew import Crew, Verdict
from servers import binaries
from shared_set import Fencing

# Each program of a crew once.
PAUSES = len(FACES)


def stores() -> list[str]:
    """All of them, but for a server that is not installed."""
    missing = [name for name, path in binaries().items() if not path]
    if missing and os.environ.get("CI") == "true":
        pytest.fail(f"not installed: {missing}")
    if len(missing) == len(binaries()):
        pytest.skip("no server")
    return [name for name in STORES if name not in missing]


async def run(crews: dict[tuple[str, Fencing], Crew]) -> dict[tuple[str, Fencing], Verdict]:
    verdicts = await asyncio.gather(*(crew.run() for crew in crews.values()))
    return dict(zip(crews, verdicts, strict=True))


@pytest.mark.timeout(300)
def test_fenced_updates_are_never_lost_under_pauses_and_others_are() -> None:
    commands = [command(face) for face in FACES]
    with contextlib.ExitStack() as stack:
        urls = {name: stack.enter_context(store(name)) for name in stores()}
        modes = [(name, mode) for name in urls for mode in (Fencing.NONE, Fencing.READS_AND_WRITES)]
        # That a token on writes alone is not enough is seen on one.
        modes.append((next(iter(urls)), Fencing.WRITES))
        crews = {
            (name, mode): Crew(commands, urls[name], mode, PAUSES, seed) for seed, (name, mode) in enumerate(modes)
        }
        verdicts = asyncio.run(run(crews))
    for (name, mode), verdict in verdicts.items():
        print(f"{name}, {mode.value}: {verdict}")

    def total(mode: Fencing) -> Verdict:
        return sum((verdict for (_, each), verdict in verdicts.items() if each is mode), Verdict())

    fenced, unfenced, writes = total(Fencing.READS_AND_WRITES), total(Fencing.NONE), total(Fencing.WRITES)
    assert fenced.pauses >= 20
    assert fenced.lost == 0
    # What is promised was needed: the late writes were there, and without tokens they do their damage.
    assert fenced.refused > 0
    assert unfenced.lost > 0
    assert writes.lost > 0
    # Whoever looks at the lease after a pause sees that it is over, if another one has it.
    assert [each.late_but_held for each in (fenced, unfenced, writes)] == [0, 0, 0]
