"""The stores that installed artefacts are tried on: a Redis or a Valkey, a file, and memory."""

from __future__ import annotations

import contextlib
import platform
import re
import sys
import time
from typing import TYPE_CHECKING

from places import BrokenError
from toolchain import ROOT, say

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from places import Place

STORES = ("redis", "file", "memory")


@contextlib.contextmanager
def server_url() -> Iterator[str]:
    """The URL of a server of one's own. Windows has none: what is tried there is tried without one."""
    if platform.system() == "Windows":
        say("there is no server on Windows: nothing is tried on redis")
        yield ""
        return
    sys.path.insert(0, str(ROOT / "tests"))
    from servers import Server, binaries  # noqa: PLC0415 - it needs Unix

    binary = next((binary for binary in binaries().values() if binary), None)
    if binary is None:
        raise SystemExit("dist-test: there is neither redis-server nor valkey-server: apt-get install redis-server")
    with Server(binary) as server:
        yield server.url


def urls(place: Place, server: str) -> dict[str, str]:
    """The URL of each store; without a server none of that."""
    found = {"redis": server, "file": f"file:{place.folder / 'locks.db'}", "memory": "memory:quickstart"}
    return {store: url for store, url in found.items() if url}


def quickstarts(
    place: Place, server: str, commands: list[list[str]], variables: Mapping[str, str] | None = None
) -> dict[str, float]:
    """Runs quickstarts on each store; returns how many seconds all of them took there."""
    seconds = {}
    for store, url in urls(place, server).items():
        started = time.monotonic()
        for command in commands:
            printed = place.run(command, {**(variables or {}), "LEASELOCK_URL": url})
            if not re.search(r"report under token \d+", printed):
                raise BrokenError(f"{command[-1]} on {store} did not say what it does:\n{printed}")
        seconds[store] = time.monotonic() - started
    return seconds
