"""Runs over several processes (`pytest -n`): servers of its own for each, and which tests go to one process."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from xdist.scheduler import LoadScopeScheduling

sys.path.insert(0, str(Path(__file__).resolve().parent))

from servers import Server

if TYPE_CHECKING:
    import pytest
    from xdist.remote import Producer
    from xdist.scheduler import Scheduling

OWN: list[Server] = []


def start_own() -> None:
    """Starts one of each kind that runs already, and puts these in the others' place.

    Tests flush their servers, configure them and kill their connections. It happens on import, since the suites' own
    conftest files read the variable on theirs.
    """
    for there in json.loads(os.environ.get("LEASELOCK_TEST_SERVERS", "[]")):
        OWN.append(Server(there["binary"], name=there["name"], die_with_parent=True).start())
    started = [{"name": s.name, "url": s.url, "binary": s.binary, "pid": s.pid} for s in OWN]
    os.environ["LEASELOCK_TEST_SERVERS"] = json.dumps(started)


def pytest_unconfigure() -> None:
    for server in OWN:
        server.stop()


if "PYTEST_XDIST_WORKER" in os.environ:
    start_own()


# The scenarios of one face and store are played together; the package is installed once for all tests of it.
ONE_PROCESS = re.compile(r"test_scenarios\.py::\w+\[(\w+-\w+)-|test_(install)\.py")


class Scheduler(LoadScopeScheduling):  # type: ignore[misc]
    """One test after the other to whichever process is free, but for those that go to one."""

    def _split_scope(self, nodeid: str) -> str:
        found = ONE_PROCESS.search(nodeid)
        return found[0] if found else nodeid


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Scheduling:
    """Asked for in runs with `-n`. The groups of pytest-xdist 3.8 do nothing under pytest 9.2."""
    return Scheduler(config, log)
