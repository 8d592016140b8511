"""The locks that the scenario is run with, and where: this project in each language on each store, and its peers."""

from __future__ import annotations

import contextlib
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))

import topologies
from programs import rust_programs
from servers import Server, binaries

if TYPE_CHECKING:
    from collections.abc import Iterator

FACES = ("python", "asyncio", "node", "rust", "rust-blocking")
PEERS = ("redis-py", "redlock", "redisson", "redisson-fenced")
# Where this project's locks are kept.
STORES = ("redis", "valkey", "sentinel", "cluster", "file")
# Redis servers that know nothing of each other, for redlock.
INDEPENDENT = "3 redis"

WORKERS = ROOT / "tests/jepsen/workers"
JAVA = ROOT / "benches/target/java"
# What is idle most of the time has no need of several compilers and collectors.
SMALL_JAVA = ["-Xmx96m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]


def command(lock: str) -> list[str]:
    """How a program is started; its orders are one argument more."""
    if lock in ("python", "asyncio", "redis-py"):
        return [sys.executable, str(WORKERS / "process.py"), lock]
    if lock in ("node", "redlock"):
        return ["node", str(WORKERS / "process.mjs"), lock]
    if lock in ("rust", "rust-blocking"):
        return [rust_programs()["jepsen_worker"], lock]
    return ["java", *SMALL_JAVA, "-cp", f"{JAVA}/*:{JAVA}/lib/*", "benches.Jepsen", lock]


def is_there(lock: str) -> bool:
    """Whether `benches/setup.sh peers` could install it."""
    if lock.startswith("redisson"):
        return (JAVA / "lib").is_dir()
    return lock != "redlock" or (ROOT / "benches/node/node_modules/redlock").is_dir()


@contextlib.contextmanager
def store(name: str) -> Iterator[str]:
    """The URL of a store of this name, while it is entered; of several servers, with spaces between."""
    with contextlib.ExitStack() as stack:
        if name == "file":
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="leaselock-jepsen-"))
            yield f"file:{folder}/locks.db"
        elif name in ("sentinel", "cluster"):
            server = "redis" if binaries()["redis"] else "valkey"
            make = topologies.sentinel if name == "sentinel" else topologies.cluster
            topology = stack.enter_context(make(server))
            topology.stay()
            yield topology.url
        else:
            kind = "redis" if name == INDEPENDENT else name
            binary = binaries()[kind]
            if not binary:
                raise SystemExit(f"there is no {kind}-server")
            count = 3 if name == INDEPENDENT else 1
            servers = [stack.enter_context(Server(binary, die_with_parent=True)) for _ in range(count)]
            yield " ".join(server.url for server in servers)
