"""Nothing leaks: no descriptor, no thread, no key, no memory that grows with use.

In `make test` it is 20,000 cycles in each way to call; `FULL=1` makes 100,000, some 30 s each.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from conftest import PARAMS

if TYPE_CHECKING:
    from resp import Connection

CYCLES = 100_000 if os.environ.get("FULL") else 20_000
MORE_KIB = 2_048
SECONDS = 600


# What is counted is in this process, whatever the server is.
@pytest.mark.alone
@pytest.mark.timeout(SECONDS)
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="counts in /proc")
@pytest.mark.parametrize("server", PARAMS[:1], indirect=True, ids=["first"])
@pytest.mark.parametrize("kind", ["sync", "asyncio"])
def test_many_cycles_leave_nothing(server: dict[str, Any], app_id: str, redis: Connection, kind: str) -> None:
    program = [sys.executable, str(Path(__file__).with_name("leaking.py")), kind, server["url"], app_id, str(CYCLES)]
    done = subprocess.run(program, check=False, text=True, capture_output=True, timeout=SECONDS)
    assert (done.returncode, done.stderr) == (0, "")
    told = json.loads(done.stdout)
    before, after = told["before"], told["after"]
    print(f"{kind}, {CYCLES} cycles: {told}")
    assert after["descriptors"] <= before["descriptors"], told
    assert after["threads"] <= before["threads"], told
    assert after["KiB"] < before["KiB"] + MORE_KIB, told
    keys = redis.command("KEYS", "*")
    assert isinstance(keys, list)
    assert [key for key in keys if app_id in str(key)] == [f"lock||{app_id}||||fence"]
