"""The garbage collector may run at any moment, also while a lease is made."""

from __future__ import annotations

import subprocess
import sys

CODE = """
import gc

from leaselock import Client

with Client("memory:collector") as client:
    gc.set_threshold(1)
    kept = []
    for i in range(400):  # more than Python keeps free dictionaries for
        kept += [[] for _ in range(i % 3)]
        kept.append(client.acquire(f"name-{i}"))
print("fine")
"""


def test_the_collector_runs_whenever_an_object_is_made() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "fine\n"), done.stderr
