"""What tests of whole programs share: the project's Rust programs, built, and waiting for what they bring about."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parents[1]
SECONDS = 30  # for what should happen at once, on a machine that may be busy


@functools.cache
def rust_programs() -> dict[str, str]:
    """Where each program and example is, by its name; `make setup` has built them, with the same command.

    `make test` looks once, and says it in LEASELOCK_TEST_PROGRAMS: a cargo at something else would keep tests waiting.
    """
    if known := os.environ.get("LEASELOCK_TEST_PROGRAMS"):
        return dict(json.loads(known))
    command = ["cargo", "build", "--quiet", "--locked", "--workspace", "--all-targets", "--message-format", "json"]
    built = subprocess.run(command, cwd=ROOT, check=True, text=True, stdout=subprocess.PIPE).stdout
    messages = [json.loads(line) for line in built.splitlines() if line.startswith("{")]
    return {m["target"]["name"]: m["executable"] for m in messages if m.get("executable") and not m["profile"]["test"]}


def wait_until(condition: Callable[[], object], what: str, seconds: float = SECONDS) -> None:
    """Waits until it holds; fails with `what` if that takes too long."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"after {seconds} s still not: {what}"
        time.sleep(0.02)


if __name__ == "__main__":
    print(json.dumps(rust_programs()))
