"""The programs at work, one or two of each language, each on names of its language's own; a log for each language."""

from __future__ import annotations

import contextlib
import json
import random
import threading
import time
from typing import TYPE_CHECKING, Any

import churn_log
from churn_crew import Program
from churn_log import BEAT_SECONDS, NS
from scenes import TTL, TTL_MS, now
from topologies import until

import leaselock

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scenes import Scene
    from typing_extensions import Self

COMMAND_TIMEOUT_MS = 2_000
LOOK_MS = 40
# By how much a long turn is longer than its TTL: what it says of its lease when nothing is renewed has to be seen.
LONGER_MS = 600
NAMES = ("a", "b", "c")
TASKS = 4
TURNS = 1_000
END_SECONDS = 40
LEFT_SECONDS = 12
LANGUAGES = ("rust", "python", "asyncio", "node")


def turn(dice: random.Random, *, ttl: int, cancelled: bool, blocked: int) -> dict[str, Any]:
    """One turn in milliseconds: mostly short, and some that have to be renewed."""
    long = dice.random() < 0.03
    looks = (ttl + LONGER_MS) // LOOK_MS if long else 0
    return {
        "name": dice.choice(NAMES),
        "ttl": ttl,
        "renew": True,
        "wait": 20_000,
        "cancel": dice.randint(0, 60) if cancelled and dice.random() < 0.5 else None,
        "pauses": [LOOK_MS] * looks or [dice.randint(0, 8)],
        "extend": ttl if dice.random() < 0.05 else None,
        "block": blocked if blocked and dice.random() < 0.03 else None,
        "leave": False,
    }


class Work:
    """One fault's work: turns for the programs of a scene, which are started where they do not live yet."""

    def __init__(
        self,
        scene: Scene,
        commands: dict[str, list[str]],
        *,
        ttl: int = TTL_MS,
        each: int = 1,
        cancelled: bool = False,
        blocked: int = 0,
        command_timeout: int = COMMAND_TIMEOUT_MS,
        before: tuple[str, ...] = (),
    ) -> None:
        self.scene = scene
        self._commands = {language: [*before, *command] for language, command in commands.items()}
        self._dice = random.Random()
        folder = scene.folder / f"work-{now()}"
        folder.mkdir()
        self._until = folder / "until"
        self._turns = folder / "turns"
        turns = (turn(self._dice, ttl=ttl, cancelled=cancelled, blocked=blocked) for _ in range(TURNS))
        self._turns.write_text("".join(json.dumps(each) + "\n" for each in turns))
        self.logs = {language: folder / f"log-{language}" for language in commands}
        self.each = each
        self._command_timeout = command_timeout
        self._ended = threading.Event()
        self._beating = threading.Thread(target=self._beat, daemon=True)

    def __enter__(self) -> Self:
        for log in self.logs.values():
            log.touch()
        self._beating.start()
        for language in self._commands:
            for number in range(self.each):
                self.start(language, number)
        return self

    def __exit__(self, *exc: object) -> None:
        self._ended.set()
        self._beating.join()

    def start(self, language: str, number: int) -> None:
        orders = {
            "tag": f"{language}.{number}",
            "tasks": TASKS,
            "clients": 1,
            "first": self._dice.randrange(TURNS),
            "end": now() + 300 * NS,
            "until": str(self._until),
            "turns": str(self._turns),
            "log": str(self.logs[language]),
            "command_timeout": self._command_timeout,
            "address_map": self.scene.address_map,
        }
        tag = str(orders["tag"])
        if program := self.scene.crew.get(tag):
            program.again(orders)
        else:
            prefix, url = self.scene.host(number)
            app_id = f"{self.scene.app_id}-{language}"
            program = self.scene.crew[tag] = Program([*prefix, *self._commands[language]], orders, url, app_id)
        self.scene.programs[tag] = program

    def goes(self) -> None:
        """Waits until everybody has worked."""
        until("all have begun", lambda: all(" released " in log.read_text() for log in self.logs.values()))

    def goes_on(self, within: float) -> None:
        """Waits until everybody has worked again, and no longer."""
        sizes = {log: log.stat().st_size for log in self.logs.values()}
        deadline = time.monotonic() + within
        while sizes and time.monotonic() < deadline:
            time.sleep(0.1)
            sizes = {log: size for log, size in sizes.items() if b" released " not in log.read_bytes()[size:]}

    def finish(self) -> list[str]:
        """Ends the work; what was left behind, in words."""
        self._until.touch()
        alive = [program for program in self.scene.programs.values() if program.tag not in self.scene.killed]
        wrong = []
        for program in alive:
            try:
                program.done(END_SECONDS)
            except AssertionError as error:
                wrong.append(str(error))
                program.look()
        if wrong:
            return wrong
        for program in alive:
            deadline = time.monotonic() + LEFT_SECONDS
            while any((counters := program.counters()).values()) and time.monotonic() < deadline:
                time.sleep(0.05)
            if any(counters.values()):
                wrong.append(f"{program.tag} has {counters} left")
        for language in self.logs:
            wrong += self._left(f"{self.scene.app_id}-{language}")
        return wrong

    def _left(self, app_id: str) -> list[str]:
        """Names are free, and nothing but counters is left once somebody has cleared away after the dead."""
        timeout = COMMAND_TIMEOUT_MS / 1000
        options: dict[str, Any] = {"address_map": dict(self.scene.address_map)} if self.scene.address_map else {}
        with leaselock.Client(self.scene.url, app_id=app_id, command_timeout=timeout, **options) as client:
            for name in NAMES:
                deadline = time.monotonic() + LEFT_SECONDS
                while True:
                    try:
                        client.acquire(name, ttl=TTL, wait=LEFT_SECONDS).release()
                        break
                    except leaselock.LeaselockError as error:
                        # A machine that is busy may be slower than a command's time-out.
                        again = isinstance(error, leaselock.StoreUnavailableError)
                        if not again or time.monotonic() > deadline:
                            return [f"{app_id} {name} is not free at the end: {error}"]
        deadline = time.monotonic() + LEFT_SECONDS
        while left := self.scene.keys(app_id):
            if time.monotonic() > deadline:
                return [f"left behind: {', '.join(left)}"]
            time.sleep(0.1)
        return []

    def histories(self) -> Iterator[tuple[str, list[churn_log.Event]]]:
        for language, log in self.logs.items():
            yield language, churn_log.read(log)

    def _beat(self) -> None:
        with contextlib.ExitStack() as stack:
            logs = [stack.enter_context(log.open("ab", buffering=0)) for log in self.logs.values()]
            while not self._ended.wait(BEAT_SECONDS):
                for log in logs:
                    log.write(f"{now()} crew beat - 0 0\n".encode())
