"""What the tests of the command line share: the program, a store for each test, and a terminal."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pexpect
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from resp import Connection

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from programs import SECONDS, rust_programs, wait_until
from servers import HINTS, Server, find_redis

SERVERS: list[dict[str, Any]] = json.loads(os.environ.get("LEASELOCK_TEST_SERVERS", "[]"))


@dataclass
class Program:
    """The program on one store, started as a user would start it."""

    path: str
    url: str
    started: list[subprocess.Popen[str]] = field(default_factory=list)
    terminals: list[pexpect.spawn[str]] = field(default_factory=list)

    def environment(self, **variables: str) -> dict[str, str]:
        """What a user's shell has: the store's URL, the program in PATH."""
        unwanted = ("LEASELOCK_", "NO_COLOR", "CLICOLOR", "FORCE_COLOR", "COLUMNS", "LINES")
        # CI is a word for colours, too.
        environment = {k: v for k, v in os.environ.items() if k != "CI" and not k.startswith(unwanted)}
        path = f"{Path(self.path).parent}:{environment['PATH']}"
        environment |= {"TERM": "xterm-256color", "LANG": "C.UTF-8", "PATH": path}
        return environment | ({"LEASELOCK_URL": self.url} if self.url else {}) | variables

    def run(
        self, *arguments: str | bytes, seconds: float = SECONDS, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        """Runs it to its end, without a terminal."""
        return subprocess.run(
            [self.path, *arguments],
            env=self.environment(**variables),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=seconds,
            start_new_session=True,
            check=False,
        )

    def start(self, *arguments: str, **variables: str) -> subprocess.Popen[str]:
        """Starts it, without a terminal."""
        process = subprocess.Popen(
            [self.path, *arguments],
            env=self.environment(**variables),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.started.append(process)
        return process

    def terminal(
        self, *command: str, rows: int = 24, columns: int = 80, env: dict[str, str] | None = None
    ) -> pexpect.spawn[str]:
        """Starts a command in a terminal of its own; `leaselock` is the program."""
        spawned = pexpect.spawn(
            self.path if command[0] == "leaselock" else command[0],
            list(command[1:]),
            env=self.environment(**env or {}),
            encoding="utf-8",
            dimensions=(rows, columns),
            timeout=SECONDS,
        )
        self.terminals.append(spawned)
        return spawned

    def inspect(self, name: str) -> dict[str, Any]:
        """What `inspect --json` says."""
        shown = self.run("inspect", name, "--json")
        assert not shown.stderr, shown.stderr
        inspected: dict[str, Any] = json.loads(shown.stdout)
        return inspected

    def wait_held(self, name: str) -> dict[str, Any]:
        """Waits until the lock is held."""
        wait_until(lambda: self.inspect(name)["held"], f"{name} is held")
        return self.inspect(name)

    def wait_free(self, name: str, seconds: float = SECONDS) -> None:
        """Waits until the lock is free."""
        wait_until(lambda: not self.inspect(name)["held"], f"{name} is free", seconds)

    def end(self) -> None:
        """Ends whatever still runs."""
        for terminal in self.terminals:
            terminal.close(force=True)
        for process in self.started:
            # SIGTERM is passed on to the command, which would outlive a SIGKILL.
            process.terminate()
            process.send_signal(signal.SIGCONT)
            try:
                process.communicate(timeout=SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                raise


def end_of(process: subprocess.Popen[str], seconds: float = SECONDS) -> tuple[int, str, str]:
    """Waits for its end: status, stdout, stderr."""
    out, errors = process.communicate(timeout=seconds)
    return process.returncode, out, errors


def pid_of(terminal: pexpect.spawn[str]) -> int:
    """The process that was started there."""
    assert terminal.pid is not None
    return terminal.pid


def end_of_terminal(terminal: pexpect.spawn[str]) -> tuple[int | None, int | None]:
    """Waits for the end of what runs there: its exit status, or the signal that ended it."""
    terminal.expect(pexpect.EOF)
    terminal.wait()
    return terminal.exitstatus, terminal.signalstatus


@pytest.fixture(scope="session")
def path() -> str:
    """The program, built."""
    return rust_programs()["leaselock"]


@pytest.fixture(params=[*(server["name"] for server in SERVERS), "file"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Each kind of store, so far as servers run (`tests/servers.py`): a test runs once on each."""
    if request.param == "file":
        return f"file:{tmp_path}/locks.db"
    return next(str(server["url"]) for server in SERVERS if server["name"] == request.param)


@pytest.fixture
def leaselock(path: str, url: str) -> Iterator[Program]:
    """The program on each kind of store."""
    program = Program(path, url)
    yield program
    program.end()


@pytest.fixture
def server() -> Iterator[Server]:
    """A server for this test alone, to be broken."""
    binary = find_redis()
    if binary is None:
        pytest.fail(HINTS["redis"])
    with Server(binary) as server:
        yield server


@pytest.fixture
def on_server(path: str, server: Server) -> Iterator[Program]:
    """The program on a server for this test alone."""
    program = Program(path, server.url)
    yield program
    program.end()


@pytest.fixture
def redis(server: Server) -> Iterator[Connection]:
    """A plain connection to that server, to do what other programs do."""
    with server.connect() as connection:
        yield connection


@pytest.fixture
def name() -> str:
    """A name for this test alone."""
    return f"job-{uuid.uuid4().hex[:12]}"
