"""The page on switching over: a program that takes both locks is kept out by either, and leaves neither."""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING

import pytest
import redis
from programs import SECONDS

from leaselock import Client

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Program

NAME = "nightly-report"


def test_a_program_with_both_locks_waits_for_either(server_url: str, program: Callable[[str], Program]) -> None:
    old = redis.Redis.from_url(server_url)
    run = program("python/two_locks.py")
    with Client(server_url) as new:
        for lock in (old.lock(NAME, timeout=SECONDS), new.lock(NAME)):
            with lock:
                waiting = run.start(server_url)
                with pytest.raises(subprocess.TimeoutExpired):
                    waiting.wait(1.5)
            output, _ = waiting.communicate(timeout=SECONDS)
            assert waiting.returncode == 0
            assert re.fullmatch(r"works under both locks, token \d+\n", output)
        assert new.inspect(NAME) is None
        assert not old.lock(NAME).locked()
