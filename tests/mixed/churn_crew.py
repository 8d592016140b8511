"""The programs of a churn run: started with their orders, killed and stopped at random, and asked at the end."""

from __future__ import annotations

import itertools
import json
import os
import random
import signal
import subprocess
import threading
import time
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

from churn_log import BEAT_SECONDS, NS

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Self

TASKS_EACH = 50
# In milliseconds. A lease as long as the claim window may begin with its grant, where it is renewed; shorter ones are
# claimed. All run out while a program is stopped.
TTLS = (400, 1_000)
CLAIM_WINDOW = 2_000
STOPPED_SECONDS = 2.2
# The part of a run in which programs are killed and stopped; and how long that is felt.
DISTURBED = 0.6
SETTLE_SECONDS = 3
START_SECONDS = 30
END_SECONDS = 30


def turn(dice: random.Random, names: list[str]) -> dict[str, Any]:
    """What one turn of a task is to do, in milliseconds: a third is cancelled, a third waits too short."""
    ttl = dice.randint(*TTLS) if dice.random() < 0.6 else CLAIM_WINDOW
    kind = dice.choice(["cancelled", "hasty", "patient"])
    long = dice.random() < 0.04
    return {
        "name": dice.choice(names),
        "ttl": ttl,
        "renew": dice.random() < 0.5,
        "wait": dice.randint(0, 150) if kind == "hasty" else 6_000,
        "cancel": dice.randint(0, 400) if kind == "cancelled" else None,
        # A long one outlives its TTL, and is lost where it is not renewed.
        "pauses": [ttl // 4] * 6 if long else [dice.randint(0, 15) for _ in range(dice.randint(1, 4))],
        "extend": dice.randint(*TTLS) if dice.random() < 0.1 else None,
        # Of one that has begun with its grant, the holder does not know when the store is told its TTL.
        "leave": dice.random() < 0.03 and ttl < CLAIM_WINDOW,
    }


class Program:
    """One process. It says its pid first, `done` when its tasks have ended, and its counters when it is asked."""

    def __init__(self, command: list[str], orders: dict[str, Any], url: str, app_id: str) -> None:
        self.tag = str(orders["tag"])
        self._process = subprocess.Popen(
            [*command, json.dumps(orders)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "LEASELOCK_URL": url, "LEASELOCK_APP_ID": app_id},
        )
        self._lines: SimpleQueue[str] = SimpleQueue()
        threading.Thread(target=self._read, daemon=True).start()
        # Node's pid, say, may be that of a child of what was started.
        self.pid = int(self._line(START_SECONDS))

    def kill(self) -> None:
        """Ends it as kill -9 does."""
        for pid in {self.pid, self._process.pid}:
            os.kill(pid, signal.SIGKILL)
        self._process.wait()

    def stop_for(self, seconds: float) -> None:
        """Keeps it from running for so long; then it goes on."""
        os.kill(self.pid, signal.SIGSTOP)
        try:
            time.sleep(seconds)
        finally:
            os.kill(self.pid, signal.SIGCONT)

    def again(self, orders: dict[str, Any]) -> None:
        """Gives it new orders when it is done with the old ones."""
        self._say(json.dumps(orders))

    def peak(self) -> int:
        """How much memory it has had at most, in bytes."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) * 1024

    def look(self) -> None:
        """Where it hangs a debugger can say, or what else is named in CHAOS_HUNG."""
        if debugger := os.environ.get("CHAOS_HUNG"):
            subprocess.run([debugger, str(self.pid)], check=False)

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def done(self, seconds: float = END_SECONDS) -> None:
        """Waits until its tasks have ended."""
        assert self._line(seconds) == "done", self.tag

    def counters(self) -> dict[str, int]:
        self._say("")
        counters: dict[str, int] = json.loads(self._line(END_SECONDS))
        return counters

    def end(self) -> None:
        """Lets it close its client and end by itself."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        assert self._process.wait(END_SECONDS) == 0, self.tag

    def _say(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()

    def _line(self, seconds: float) -> str:
        try:
            return self._lines.get(timeout=seconds)
        except Empty:
            raise AssertionError(f"{self.tag} said nothing for {seconds} s") from None

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line.rstrip())
        self._lines.put(f"{self.tag} has ended")


class Crew:
    """One program of each language, at work on `names` for so long; the log is in `folder`.

    `draw` draws the turns that they take, in `tasks` tasks each, by `clients` clients.
    """

    def __init__(
        self,
        commands: dict[str, list[str]],
        url: str,
        app_id: str,
        names: list[str],
        seconds: float,
        folder: Path,
        *,
        draw: Callable[[random.Random, list[str]], dict[str, Any]] = turn,
        tasks: int = TASKS_EACH,
        clients: int = 1,
        seed: int | None = None,
    ) -> None:
        self._commands = commands
        self._url = url
        self._app_id = app_id
        self._tasks = tasks
        self._clients = clients
        self.dice = random.Random(seed)
        self.log = folder / "log"
        self.log.touch()
        self._turns = folder / "turns"
        self._turns.write_text("".join(json.dumps(draw(self.dice, names)) + "\n" for _ in range(5_000)))
        now = time.monotonic_ns()
        self._end = now + int(seconds * NS)
        self._calm = now + int(seconds * DISTURBED * NS)
        self.calm_from = self._end
        self.killed: list[str] = []
        # From when to when one was stopped, in ns.
        self.stopped: list[tuple[int, int]] = []
        self.programs: dict[str, Program] = {}
        self._ended = threading.Event()
        self._beating = threading.Thread(target=self._beat, daemon=True)

    def __enter__(self) -> Self:
        self._beating.start()
        for language in self._commands:
            self._start(language, 0)
        return self

    def __exit__(self, *exc: object) -> None:
        self._ended.set()
        self._beating.join()
        for program in self.programs.values():
            if program.running:
                program.kill()

    def _beat(self) -> None:
        with self.log.open("ab", buffering=0) as log:
            while not self._ended.wait(BEAT_SECONDS):
                log.write(f"{time.monotonic_ns()} crew beat - 0 0\n".encode())

    def _start(self, language: str, number: int) -> None:
        orders = {
            "tag": f"{language}.{number}",
            "tasks": self._tasks,
            "clients": self._clients,
            "first": self.dice.randrange(1_000_000),
            "end": self._end,
            "turns": str(self._turns),
            "log": str(self.log),
        }
        self.programs[language] = Program(self._commands[language], orders, self._url, self._app_id)

    def disturb(self, look: Callable[[], None]) -> None:
        """Kills one and starts it anew, or stops it past its TTLs, for a part of the run; looks in between."""
        languages = list(self.programs)
        for number in itertools.count(1):
            pause = self.dice.uniform(1.2, 3)
            if time.monotonic_ns() + int((pause + STOPPED_SECONDS) * NS) > self._calm:
                break
            time.sleep(pause)
            look()
            language = languages[number % len(languages)]
            if number % 3 == 0:
                began = time.monotonic_ns()
                self.programs[language].stop_for(STOPPED_SECONDS)
                self.stopped.append((began, time.monotonic_ns()))
            else:
                self.programs[language].kill()
                self.killed.append(self.programs[language].tag)
                self._start(language, number)
        self.calm_from = time.monotonic_ns() + int(SETTLE_SECONDS * NS)
        time.sleep(max(0, self._end - time.monotonic_ns()) / NS)
        for program in self.programs.values():
            program.done()
        look()
