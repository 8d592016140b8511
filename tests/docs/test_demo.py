"""`make demo` shows what it promises, fits a terminal of 80 columns, and leaves nothing running."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time

import pytest
from conftest import EXAMPLES, Program

DEMO = Program([sys.executable, str(EXAMPLES / "demo" / "demo.py")])


def children_of(pid: int) -> list[int]:
    """The processes that a process has started."""
    listed = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False)
    return [int(word) for word in listed.stdout.split()]


def check(output: str) -> None:
    assert output.count("    ok  ") == 6, output
    assert "NO  " not in output
    assert "KILLED while it holds the lock" in output
    assert "\x1b" not in output
    assert max(map(len, output.splitlines())) <= 80
    tokens = [int(t) for t in re.findall(r"got the lock +(\d+)$", output, re.MULTILINE)]
    assert len(tokens) >= 10
    assert tokens == sorted(set(tokens))


def test_on_a_server_of_its_own() -> None:
    started = time.monotonic()
    output = DEMO.run("", timeout=60)
    check(output)
    assert "started for this demo" in output
    assert time.monotonic() - started < 25


def test_on_the_server_that_it_is_given(url: str) -> None:
    output = DEMO.run(url, timeout=60)
    check(output)
    assert "from LEASELOCK_URL" in output


def test_ctrl_c_ends_it_quietly() -> None:
    process = DEMO.start("")
    assert process.stdout is not None
    while "got the lock" not in (line := process.stdout.readline()):
        assert line, "it ended by itself"
    children = children_of(process.pid)
    assert len(children) == 4  # three workers, a server
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=10)
    assert process.returncode == 130
    assert "Traceback" not in output
    for pid in children:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_a_server_that_is_not_there_fails_it() -> None:
    process = DEMO.start("redis://127.0.0.1:1")
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "127.0.0.1:1" in output
