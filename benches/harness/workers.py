"""Contestants as long-lived processes that obey requests, one line of JSON each."""

from __future__ import annotations

import json
import select
import signal
import subprocess
import sys
from typing import IO, Any, cast

from . import machine

BENCHES = machine.ROOT / "benches"

COMMANDS = {
    "rust": [str(BENCHES / "target/release/bench-worker")],
    "python": [str(BENCHES / ".venv/bin/python"), str(BENCHES / "python/worker.py")],
    "node": ["node", str(BENCHES / "node/worker.mjs")],
    "java": ["java", "-cp", f"{BENCHES}/target/java/*:{BENCHES}/target/java/lib/*", "benches.Worker"],
}


def has(language: str) -> bool:
    """Whether `setup.sh` could build it: Java's is left out where there is none."""
    return language != "java" or (BENCHES / "target/java/lib").is_dir()


class Worker:
    """One process of one contestant. It ends when its input does, so none outlives the benchmark."""

    def __init__(self, language: str, contestant: str, url: str, options: dict[str, Any] | None = None) -> None:
        self.name = f"{language} {contestant}"
        self._process = subprocess.Popen(
            [*COMMANDS[language], contestant, url, json.dumps(options or {})],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.read() == {"ready": True}

    @property
    def pid(self) -> int:
        return self._process.pid

    def pin(self, cores: list[int]) -> None:
        machine.pin(self.pid, cores)

    def send(self, request: dict[str, Any]) -> None:
        stdin = cast("IO[str]", self._process.stdin)
        stdin.write(json.dumps(request) + "\n")
        stdin.flush()

    def read(self) -> dict[str, Any]:
        line = cast("IO[str]", self._process.stdout).readline()
        if not line:
            raise RuntimeError(f"the worker of {self.name} has ended (status {self._process.wait()})")
        return cast("dict[str, Any]", json.loads(line))

    def read_within(self, seconds: float) -> dict[str, Any] | None:
        """The answer, if it comes in time."""
        ready, _, _ = select.select([cast("IO[str]", self._process.stdout)], [], [], seconds)
        return self.read() if ready else None

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        self.send(request)
        return self.read()

    def stop(self) -> None:
        """As a machine does that is suspended."""
        self._process.send_signal(signal.SIGSTOP)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        cast("IO[str]", self._process.stdin).close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            print(f"bench: the worker of {self.name} did not end by itself", file=sys.stderr)
            self.kill()
        cast("IO[str]", self._process.stdout).close()

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
