"""The examples do what they say: tests on `memory:`, a fenced row, a job in one place only, one without overlap."""

from __future__ import annotations

import re
import signal
import sys
import threading
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest
from conftest import EXAMPLES, Program

import leaselock

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

LANGUAGES = {"python": ".py", "node": ".mjs", "rust": ".rs"}
TESTS = [
    [sys.executable, "-m", "pytest", "-q", str(EXAMPLES / "python" / "test_with_memory.py")],
    ["node", "--test", str(EXAMPLES / "node" / "with_memory.test.mjs")],
]

LEADERS = ["python/leader.py", "python/leader_asyncio.py", "node/leader.mjs", "rust/src/bin/leader.rs"]


def example(language: str, name: str) -> str:
    """The example's file."""
    folder = "rust/src/bin" if language == "rust" else language
    return f"{folder}/{name}{LANGUAGES[language]}"


def line_from(process: subprocess.Popen[str], wanted: str, timeout: float = 20) -> str:
    """Reads what a program prints until a line matches, and returns that line; kills the program if none comes."""
    assert process.stdout is not None
    seen = []
    watchdog = threading.Timer(timeout, process.kill)
    watchdog.start()
    try:
        for line in process.stdout:
            seen.append(line)
            if re.search(wanted, line):
                return line
    finally:
        watchdog.cancel()
    raise AssertionError(f"no line matches {wanted!r} in:\n{''.join(seen)}")


@pytest.mark.parametrize("command", TESTS, ids=["python", "node"])
def test_tests_with_memory(command: list[str]) -> None:
    output = Program([*command]).run("", timeout=60)
    assert re.search(r"\b2 passed|pass 2\b", output), output


@pytest.mark.parametrize("language", LANGUAGES)
def test_fenced_row(language: str, url: str, program: Callable[[str], Program], tmp_path: Path) -> None:
    run = program(example(language, "fenced_row")).run
    tokens = []
    for _ in range(2):
        output = run(url, str(tmp_path / "orders"))
        found = re.search(r"order 7 is paid, token (\d+)", output)
        assert found, output
        assert "a write with an older token: refused" in output
        tokens.append(int(found[1]))
    assert tokens[0] < tokens[1]


@pytest.mark.parametrize("language", LANGUAGES)
def test_two_accounts(language: str, url: str, program: Callable[[str], Program]) -> None:
    output = program(example(language, "two_accounts")).run(url)
    assert re.search(r"account:4\W+85\W+account:7\W+115\b", output), output


@pytest.mark.parametrize("language", ["python", "node"])
def test_reentrant(language: str, url: str, program: Callable[[str], Program]) -> None:
    output = program(example(language, "reentrant")).run(url)
    assert output.startswith("balance 110 after 1 lease\n"), output


@pytest.mark.alone  # the second has to start before the first is done
@pytest.mark.parametrize("language", LANGUAGES)
def test_cron_does_not_overlap(language: str, url: str, program: Callable[[str], Program]) -> None:
    job = program(example(language, "cron"))
    first = job.start(url)
    try:
        line_from(first, "cleaning up, token")
        assert "running elsewhere" in job.run(url)
        assert first.wait(20) == 0
        assert "cleaning up, token" in job.run(url)
    finally:
        first.kill()
        first.wait()


@pytest.mark.parametrize(("ending", "within"), [(signal.SIGINT, 1.0), (signal.SIGKILL, 3.5)], ids=["ctrl-c", "killed"])
@pytest.mark.parametrize("name", LEADERS)
def test_a_leader_is_followed(
    name: str, ending: signal.Signals, within: float, url: str, program: Callable[[str], Program]
) -> None:
    job = program(name)
    with ExitStack() as stack:

        def start() -> subprocess.Popen[str]:
            process = job.start(url)
            stack.callback(process.wait)
            stack.callback(process.kill)
            return process

        leader, heir = start(), None
        token = line_from(leader, "leads, token")
        heir = start()
        line_from(heir, "stands by")
        time.sleep(0.5)  # the heir queues
        leader.send_signal(ending)
        at = time.monotonic()
        heir_token = line_from(heir, "leads, token")
        assert time.monotonic() - at < within
        assert int(heir_token.split()[-1]) > int(token.split()[-1])
        if ending == signal.SIGINT:
            line_from(leader, "ends")
            assert leader.wait(10) == 0
        heir.send_signal(signal.SIGINT)
        line_from(heir, "ends")
        assert heir.wait(10) == 0


@pytest.mark.parametrize("name", LEADERS)
def test_a_leader_that_lost_the_name_leads_again(name: str, url: str, program: Callable[[str], Program]) -> None:
    with leaselock.Client(url) as client, program(name).start(url) as leader:
        token = line_from(leader, "leads, token")
        client.force_release("scheduler")
        again = line_from(leader, "leads, token")
        assert int(again.split()[-1]) > int(token.split()[-1])
        leader.send_signal(signal.SIGINT)
        line_from(leader, "ends")
        assert leader.wait(10) == 0
