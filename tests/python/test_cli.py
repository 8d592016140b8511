"""The command `leaselock` as pip installs it: what Python must not change about it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from leaselock.__main__ import main

if TYPE_CHECKING:
    from collections.abc import Callable

    from leaselock import Client

SECONDS = 30
SCRIPT = str(Path(sys.executable).parent / "leaselock")
COMMANDS = {"script": [SCRIPT], "module": [sys.executable, "-m", "leaselock"]}
IGNORED = "grep SigIgn /proc/self/status"
linux = pytest.mark.skipif(sys.platform != "linux", reason="/proc tells which signals are ignored")


@pytest.fixture(params=COMMANDS)
def start(request: pytest.FixtureRequest, server_url: str, app_id: str) -> Callable[..., subprocess.Popen[bytes]]:
    """Starts the command, either way."""

    def start(*arguments: str | bytes, before: str = "", **options: Any) -> subprocess.Popen[bytes]:
        command: list[str | bytes] = [*COMMANDS[request.param], *arguments]
        if before:
            command = ["sh", "-c", before + ' exec "$@"', "sh", *command]
        environment = {**os.environ, "LEASELOCK_URL": server_url, "LEASELOCK_APP_ID": app_id}
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
        return subprocess.Popen(command, env=environment, start_new_session=True, **pipes)

    return start


def end_of(process: subprocess.Popen[bytes], given: bytes | None = None) -> tuple[int, bytes, bytes]:
    output, errors = process.communicate(given, timeout=SECONDS)
    return process.returncode, output, errors


def wait_until(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def test_the_script_is_the_module() -> None:
    (script,) = entry_points(group="console_scripts", name="leaselock")
    assert script.load() is main
    assert Path(SCRIPT).exists()


def test_it_holds_the_lock_while_a_command_runs(
    start: Callable[..., subprocess.Popen[bytes]], client: Client, name: str
) -> None:
    process = start("run", name, "--", "sh", "-c", "cat; exit 7", stdin=subprocess.PIPE)
    wait_until(lambda: client.inspect(name), "it holds the lock")
    assert client.try_acquire(name) is None
    assert end_of(process, b"from stdin") == (7, b"from stdin", b"")
    assert client.inspect(name) is None


def test_errors_are_one_line_and_a_status(start: Callable[..., subprocess.Popen[bytes]]) -> None:
    status, output, errors = end_of(start("run"))
    assert (status, output) == (64, b"")
    assert errors.startswith(b"leaselock: ")
    assert errors.count(b"\n") == 1


def test_help_names_the_command_and_not_python(start: Callable[..., subprocess.Popen[bytes]]) -> None:
    status, output, errors = end_of(start("run", "--help"))
    assert (status, errors) == (0, b"")
    assert b"Usage: leaselock run" in output


@pytest.mark.parametrize(("sent", "status"), [(signal.SIGINT, -signal.SIGINT), (signal.SIGTERM, 128 + signal.SIGTERM)])
def test_a_signal_ends_the_command_and_gives_the_lock_back(
    sent: signal.Signals, status: int, start: Callable[..., subprocess.Popen[bytes]], client: Client, name: str
) -> None:
    process = start("run", name, "--", "sh", "-c", "echo runs; exec sleep 60")
    assert process.stdout is not None
    assert process.stdout.readline() == b"runs\n"
    process.send_signal(sent)
    assert end_of(process) == (status, b"", b""), "no traceback of a KeyboardInterrupt, say"
    assert client.inspect(name) is None


def test_ctrl_c_ends_a_wait_at_once(start: Callable[..., subprocess.Popen[bytes]], client: Client, name: str) -> None:
    with client.acquire(name):
        process = start("run", name, "--", "true")
        wait_until(lambda: (found := client.inspect(name)) and found.waiters == 1, "it waits")
        process.send_signal(signal.SIGINT)
        status, output, _ = end_of(process)
        assert (status, output) in {(-signal.SIGINT, b""), (128 + signal.SIGINT, b"")}
        wait_until(lambda: (found := client.inspect(name)) and found.waiters == 0, "it has left the queue")


@linux
def test_the_command_inherits_signals_as_they_were_found(
    start: Callable[..., subprocess.Popen[bytes]], name: str
) -> None:
    assert ignored(start("run", name, "--", "sh", "-c", IGNORED)) == set()
    ignoring = start("run", name, "--", "sh", "-c", IGNORED, before="trap '' INT HUP;")
    assert ignored(ignoring) == {signal.SIGINT, signal.SIGHUP}, "as nohup wants it"


def ignored(process: subprocess.Popen[bytes]) -> set[int]:
    """The signals that it tells to be ignored; 32 and 33 are the C library's own."""
    status, output, errors = end_of(process)
    assert (status, errors) == (0, b"")
    mask = int(output.split()[1], 16)
    return {number for number in range(1, 32) if mask & 1 << number - 1}


def test_arguments_need_not_be_text(start: Callable[..., subprocess.Popen[bytes]], name: str) -> None:
    assert end_of(start("run", name, "--", "printf", "%s", b"\xff\xfe")) == (0, b"\xff\xfe", b"")
