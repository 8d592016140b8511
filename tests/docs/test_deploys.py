"""The page on deploys: its programs end soon after SIGTERM, and their name is free."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING

import pytest
from blocks import ROOT, filled
from conftest import Program
from programs import SECONDS, rust_programs
from test_examples import line_from

from leaselock import Client

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

PAGE = ROOT / "docs" / "deploys.md"
PROGRAMS = ["python/sigterm.py", "python/sigterm_asyncio.py", "node/sigterm.mjs", "rust/src/bin/sigterm.rs"]
# What SIGTERM takes, and a busy machine.
SECONDS_TO_END = 5.0
SECONDS_TAKEN = 1.0


def test_the_page_shows_the_programs_as_they_are() -> None:
    text = PAGE.read_text()
    assert filled(text) == text
    assert all(f"<!-- examples/{name} -->" in text for name in PROGRAMS)


def ends_by_sigterm(process: subprocess.Popen[str], url: str, name: str) -> int:
    """Its exit status; the name that it held or waited for is free by then."""
    process.send_signal(signal.SIGTERM)
    status = process.wait(SECONDS_TO_END)
    ended = time.monotonic()
    with Client(url) as client:
        client.acquire(name, wait=SECONDS).release()
    assert time.monotonic() - ended < SECONDS_TAKEN
    return status


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_worker_ends_by_sigterm_with_its_name_free(name: str, url: str, program: Callable[[str], Program]) -> None:
    worker = program(name).start(url)
    try:
        line_from(worker, r"works, token \d+")
        assert ends_by_sigterm(worker, url, "worker") == 0
    finally:
        worker.kill()
        worker.communicate()


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_worker_that_waits_ends_by_sigterm(name: str, url: str, program: Callable[[str], Program]) -> None:
    with Client(url) as client, client.lock("worker"):
        worker = program(name).start(url)
        try:
            until = time.monotonic() + SECONDS
            while (info := client.inspect("worker")) is None or info.waiters == 0:
                assert time.monotonic() < until
                time.sleep(0.02)
            worker.send_signal(signal.SIGTERM)
            assert worker.wait(SECONDS_TO_END) == 0
            info = client.inspect("worker")
            assert info is not None
            assert info.waiters == 0
        finally:
            worker.kill()
            worker.communicate()


def test_leaselock_run_passes_sigterm_on(url: str) -> None:
    script = "trap 'exit 3' TERM; echo works; while :; do sleep 0.05; done"
    run = Program([rust_programs()["leaselock"], "run", "worker", "--", "sh", "-c", script]).start(url)
    try:
        line_from(run, "works")
        assert ends_by_sigterm(run, url, "worker") == 3
    finally:
        run.kill()
        run.communicate()
