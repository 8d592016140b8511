"""A crew: five programs that add to one set under one lock, and what came of it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import time
import uuid
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pauses import PERIOD_SECONDS, TTL_SECONDS, Member, Pauses
from shared_set import Fencing, SharedSet

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

SIZE = 5
# Between a read and its write, at most.
WORK_MS = 200
# A set has tens of thousands of elements at most.
LONGEST_LINE = 1 << 22
START_SECONDS = 60
END_SECONDS = 60
# After the last pause, for what that has delayed.
SETTLE_SECONDS = 1


@dataclass
class Verdict:
    """What came of one crew, or of several."""

    pauses: int = 0
    in_vain: int = 0
    acknowledged: int = 0
    lost: int = 0
    refused: int = 0
    # Writes that came after another holder had read the set; those of them that came after a pause, and whose lease
    # still said that it was held.
    late: int = 0
    late_but_held: int = 0
    failed: Counter[str] = field(default_factory=Counter)

    def __add__(self, other: Verdict) -> Verdict:
        return Verdict(
            self.pauses + other.pauses,
            self.in_vain + other.in_vain,
            self.acknowledged + other.acknowledged,
            self.lost + other.lost,
            self.refused + other.refused,
            self.late + other.late,
            self.late_but_held + other.late_but_held,
            self.failed + other.failed,
        )


class Crew:
    """Serves the set to its programs, and stops them."""

    def __init__(self, commands: Sequence[Sequence[str]], url: str, fencing: Fencing, pauses: int, seed: int) -> None:
        assert len(commands) == SIZE
        self._commands = commands
        self._url = url
        self._set = SharedSet(fencing)
        self._dice = random.Random(seed)
        self._pauses = Pauses(pauses, SIZE, first=seed)
        self._verdict = Verdict()
        self._turns = 0
        self._ending = False
        # What each program was told last, by its pid; None while it waits for an answer.
        self._answered: dict[int, bytes | None] = {}

    async def run(self) -> Verdict:
        """Runs it to the end of its pauses."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=LONGEST_LINE)
        async with server:
            with self._programs(server.sockets[0].getsockname()[1]) as programs:
                # A pause that is in vain takes longer than its period.
                limit = START_SECONDS + self._pauses.number * 3 * PERIOD_SECONDS
                await asyncio.wait_for(self._pauses.over.wait(), limit)
                await asyncio.sleep(SETTLE_SECONDS)
                self._ending = True
                deadline = time.monotonic() + END_SECONDS
                while any(each.poll() is None for each in programs) and time.monotonic() < deadline:  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
                for program in programs:
                    assert program.poll() == 0, f"{program.args!r}: {program.poll()}; answered: {self._answered}"
        verdict, self._verdict = self._verdict, Verdict()
        verdict.pauses, verdict.in_vain = self._pauses.begun, self._pauses.in_vain
        verdict.acknowledged, verdict.refused = len(self._set.acknowledged), self._set.refused
        verdict.lost = len(self._set.lost)
        return verdict

    @contextlib.contextmanager
    def _programs(self, port: int) -> Iterator[list[subprocess.Popen[bytes]]]:
        app_id = f"jepsen-{uuid.uuid4().hex[:12]}"
        environment = {**os.environ, "LEASELOCK_URL": self._url, "LEASELOCK_APP_ID": app_id}
        # One that is stopped ends with this program, too.
        setpriv = shutil.which("setpriv")
        with_parent = [setpriv, "--pdeathsig", "KILL"] if setpriv else []
        programs = []
        try:
            for process, command in enumerate(self._commands):
                orders = {"process": process, "port": port, "url": self._url, "name": app_id, "ttl": TTL_SECONDS * 1000}
                programs.append(
                    subprocess.Popen(
                        [*with_parent, *command, json.dumps(orders)], env=environment, stdin=subprocess.DEVNULL
                    )
                )
            yield programs
        finally:
            for program in programs:
                program.send_signal(signal.SIGKILL)
                program.wait()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answers one program's lines, until it ends: `README.md` says what they are."""
        member: Member | None = None
        with contextlib.closing(writer), contextlib.suppress(ConnectionError):
            while line := (await reader.readline()).rstrip(b"\n"):
                command, _, rest = line.partition(b" ")
                if member is None:
                    assert command == b"hello", line
                    member = Member(int(rest))
                    self._pauses.join(member)
                elif command == b"failed":
                    self._verdict.failed[rest.decode()] += 1
                else:
                    answer = self._read if command == b"read" else self._write
                    self._answered[member.pid] = None
                    answered = await answer(member, rest)
                    self._answered[member.pid] = answered[:10]
                    writer.write(answered + b"\n")
                    await writer.drain()

    async def _read(self, member: Member, rest: bytes) -> bytes:
        if self._ending:
            return b"over"
        await self._pauses.before_read(member)
        elements = self._set.read(int(rest))
        if elements is None:
            return b"refused"
        self._turns += 1
        member.turn = self._turns
        await self._pauses.after_read(member)
        return b"set %d %s" % (self._dice.randrange(WORK_MS), elements)

    async def _write(self, member: Member, rest: bytes) -> bytes:
        token, held, element, elements = rest.split(b" ", 3)
        if member.turn != self._turns:
            self._verdict.late += 1
            self._verdict.late_but_held += held == b"1" and member.was_stopped
        done = self._set.write(int(token), int(element), elements)
        self._pauses.wrote(member)
        return b"ok" if done else b"refused"
