"""`make demo` shows what it promises, fits a terminal of 80 columns, and leaves nothing running."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
from conftest import EXAMPLES, Program

if TYPE_CHECKING:
    from pathlib import Path

DEMO = Program([sys.executable, str(EXAMPLES / "demo" / "demo.py")])


def children_of(pid: int) -> list[int]:
    """The processes that a process has started."""
    listed = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False)
    return [int(word) for word in listed.stdout.split()]


def check(output: str) -> None:
    assert output.count("    ok  ") == 6, output
    assert "NO  " not in output
    assert "KILLED (-9) while it holds the lock" in output
    assert "\x1b" not in output
    assert max(map(len, output.splitlines())) <= 80
    tokens = [int(t) for t in re.findall(r"got the lock +(\d+)$", output, re.MULTILINE)]
    assert len(tokens) >= 10
    assert tokens == sorted(set(tokens))


def nowhere_is_a_server(folder: Path) -> dict[str, str]:
    """A PATH on which there is Node and nothing that could be a server, and a directory for temporary files."""
    programs = folder / "programs"
    programs.mkdir()
    node = shutil.which("node")
    assert node
    (programs / "node").symlink_to(node)
    return {"PATH": str(programs), "TMPDIR": str(folder)}


def test_without_a_server_it_runs_on_a_file(tmp_path: Path) -> None:
    started = time.monotonic()
    output = DEMO.run("", timeout=60, **nowhere_is_a_server(tmp_path))
    check(output)
    assert "no server" in output
    assert time.monotonic() - started < 25
    assert [left.name for left in tmp_path.iterdir()] == ["programs"]


def test_on_the_store_that_it_is_given(url: str) -> None:
    output = DEMO.run(url, timeout=60)
    check(output)
    assert "the one that LEASELOCK_URL names" in output


def test_ctrl_c_ends_it_quietly(tmp_path: Path) -> None:
    process = DEMO.start("", TMPDIR=str(tmp_path))
    assert process.stdout is not None
    while "got the lock" not in (line := process.stdout.readline()):
        assert line, "it ended by itself"
    children = children_of(process.pid)
    assert len(children) == 3
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=10)
    assert process.returncode == 130
    assert "Traceback" not in output
    for pid in children:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("redis://:canary@127.0.0.1:1", "127.0.0.1:1"),
        ("redis://[", "redis://"),
        ("ftp://host", "scheme"),
        ("file:/nowhere/x.db", "/nowhere"),
        ("memory:demo", "for one process"),
    ],
)
def test_a_url_that_cannot_work_is_said_in_words(url: str, words: str) -> None:
    process = DEMO.start(url)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert output.count("\n") == 3
    assert "FAILED" in output
    assert words in output
    assert "canary" not in output
