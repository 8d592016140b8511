"""The candidates of an election: five programs, a face each, and what happens to whoever leads."""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import signal
import threading
import time
from typing import TYPE_CHECKING

import churn_log
from churn_crew import Program
from churn_log import BEAT_SECONDS
from election_log import KINDS
from proxy import Proxy

if TYPE_CHECKING:
    from pathlib import Path

    from stores import Outside
    from typing_extensions import Self

NAME = "leader"
# Until the next one leads, and until all are there again.
SECONDS = 20
TICK_SECONDS = 0.02


class Candidate(Program):
    """One program, behind a proxy of its own."""

    def __init__(self, tag: str, command: list[str], orders: dict[str, object], proxy: Proxy, app_id: str) -> None:
        self.proxy = proxy
        super().__init__(command, {**orders, "tag": tag}, proxy.url, app_id)

    def tell_to_raise(self) -> None:
        """Its work raises at its next look."""
        assert self._process.stdin is not None
        self._process.stdin.write("raise\n")
        self._process.stdin.flush()

    def send(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)


class Candidates:
    """The programs by their names in the log, which is in `folder`."""

    def __init__(
        self, commands: dict[str, tuple[list[str], bool]], port: int, app_id: str, ttl: float, folder: Path, seed: int
    ) -> None:
        self._commands = commands
        self._port = port
        self._app_id = app_id
        self.dice = random.Random(seed)
        self.log = folder / "log"
        self.log.touch()
        self._orders: dict[str, object] = {"name": NAME, "ttl": round(ttl * 1000), "log": str(self.log)}
        self._stack = contextlib.ExitStack()
        self._ended = threading.Event()
        self._beating = threading.Thread(target=self._beat, daemon=True)
        self.programs: dict[str, Candidate] = {}

    def __enter__(self) -> Self:
        self._beating.start()
        for face in self._commands:
            self._start(face, 0, self._stack.enter_context(Proxy(self._port)))
        return self

    def __exit__(self, *exc: object) -> None:
        self._ended.set()
        self._beating.join()
        for program in self.programs.values():
            if program.running:
                program.kill()
        self._stack.close()

    def _start(self, face: str, number: int, proxy: Proxy) -> None:
        command, blocking = self._commands[face]
        tag = f"{face}.{number}"
        self.programs[tag] = Candidate(tag, command, {**self._orders, "blocking": blocking}, proxy, self._app_id)

    def _beat(self) -> None:
        with self.log.open("ab", buffering=0) as log:
            while not self._ended.wait(BEAT_SECONDS):
                log.write(f"{time.monotonic_ns()} crew beat - 0 0\n".encode())

    def _note(self, event: str, token: int, more: str) -> None:
        with self.log.open("ab", buffering=0) as log:
            log.write(f"{time.monotonic_ns()} crew {event} {NAME} {token} 0 {more}\n".encode())

    def _leader(self) -> tuple[str, int]:
        """Who has written last, and under which token."""
        holds = [event for event in churn_log.read(self.log) if event.kind == "holds"]
        newest = max(holds, key=lambda event: event.token, default=None)
        return (newest.who, newest.token) if newest else ("", 0)

    def wait_for_all(self, store: Outside) -> tuple[str, int]:
        """Waits until one leads and all others are in line."""
        deadline = time.monotonic() + SECONDS
        while True:
            holder = store.holder(NAME)
            who, token = self._leader()
            if holder and holder.startswith(f"{who}:") and store.waiting(NAME) == len(self.programs) - 1:
                return who, token
            assert time.monotonic() < deadline, f"{holder} holds it, {store.waiters(NAME)} wait; {who} wrote last"
            time.sleep(TICK_SECONDS)

    def _wait_for_next(self, token: int) -> None:
        deadline = time.monotonic() + SECONDS
        while self._leader()[1] <= token:
            assert time.monotonic() < deadline, f"nobody leads after {token}"
            time.sleep(TICK_SECONDS)

    def disturb(self, store: Outside, seconds: float) -> None:
        """Has each kind of fault happen to whoever leads, in turn, for so long."""
        end = time.monotonic() + seconds
        for number in itertools.count(1):
            self.wait_for_all(store)
            if time.monotonic() > end and number > len(KINDS):
                break
            # A renewal is due at a third of the TTL: the fault may come anywhere between two.
            time.sleep(self.dice.uniform(0.1, 1))
            who, token = self.wait_for_all(store)
            self._fault(KINDS[number % len(KINDS)], who, token, number)

    def _fault(self, kind: str, who: str, token: int, number: int) -> None:
        program = self.programs[who]
        self._note("fault", token, kind)
        if kind == "killed":
            program.kill()
            self._wait_for_next(token)
            del self.programs[who]
            program.proxy.cut()
            self._start(who.split(".", maxsplit=1)[0], number, program.proxy)
        elif kind == "stopped":
            program.send(signal.SIGSTOP)
            try:
                self._wait_for_next(token)
                time.sleep(self.dice.uniform(0, 0.5))
            finally:
                self._note("runs", token, "")
                program.send(signal.SIGCONT)
        elif kind == "cut":
            if self.dice.random() < 0.5:
                program.proxy.black_hole()
            else:
                program.proxy.refuse = True
                program.proxy.cut()
            self._wait_for_next(token)
            time.sleep(self.dice.uniform(0, 1.5))
            program.proxy.heal()
        else:
            program.tell_to_raise()
            self._wait_for_next(token)
