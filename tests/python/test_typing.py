"""What a type checker sees: `mypy --strict` over a program that uses everything."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import distribution, version
from pathlib import Path

import leaselock

PROGRAM = """
import asyncio
from datetime import timedelta
from typing import assert_type

from leaselock import (
    AsyncClient, AsyncGroupLock, AsyncLease, AsyncLeaseGroup, AsyncLock, Client, ExtendStatus, GroupLock, Lease,
    LeaseGroup, LeaseLostError, LeaseState, Lock, LockInfo, ReleaseStatus, Stats,
)

client = Client("redis://localhost", app_id="shop", command_timeout=timedelta(seconds=3))
assert_type(client.acquire("a", ttl=1, wait=0.5, max_hold=timedelta(hours=1), label="me"), Lease)
assert_type(client.try_acquire("a"), Lease | None)
assert_type(client.lock("a"), Lock)
assert_type(client.lock("a", reentrant=True), Lock)
assert_type(client.acquire_all(["a", "b"], ttl=1, wait=0.5, max_hold=timedelta(hours=1), label="me"), LeaseGroup)
assert_type(client.try_acquire_all({"a", "b"}), LeaseGroup | None)
assert_type(client.lock_all(("a", "b")), GroupLock)
with client.lock_all(["a", "b"]) as group:
    assert_type(group, LeaseGroup)
    assert_type(group.names, tuple[str, ...])
    assert_type(group.tokens, dict[str, int])
    assert_type(group.release(), bool)

@client.lock_all(["a", "b"])
def work_on_both(a: int) -> float:
    return 1.0

assert_type(work_on_both(1), float)
assert_type(client.inspect("a"), LockInfo | None)
assert_type(client.release("a", "b"), ReleaseStatus)
assert_type(client.extend("a", "b", timedelta(minutes=1)), ExtendStatus)
assert_type(client.force_release("a"), ReleaseStatus)
assert_type([info for info in client.locks("*")], list[LockInfo])
assert_type(client.stats(), Stats)
with client as same:
    assert_type(same, Client)
with client.lock("a") as lease:
    assert_type(lease, Lease)
    assert_type(lease.token, int)
    assert_type(lease.expires_in, float)
    state: LeaseState = lease.state
    assert_type(lease.release(), bool)
    assert_type(lease.wait_lost(1), bool)
    lease.on_lost(lambda error: print(error.reason))

@client.lock("a")
def work(a: int, *, b: str = "") -> float:
    return 1.0

assert_type(work(1, b="x"), float)

@client.lock(lambda a, b="": f"work:{a}", ttl=5, wait=1)
def named(a: int, *, b: str = "") -> float:
    return 1.0

@client.lock("a", skip=True)
def skipping(a: int) -> float:
    return 1.0

assert_type(named(1, b="x"), float)
assert_type(skipping(1), float | None)

def lead(lease: Lease) -> int:
    return lease.token

assert_type(client.lead("a", lead, ttl=1, max_hold=timedelta(hours=1), label="me"), int)

async def main() -> None:
    async with AsyncClient() as client:
        async def lead(lease: AsyncLease) -> int:
            return lease.token

        assert_type(await client.lead("a", lead, ttl=1, max_hold=None, label=None), int)
        assert_type(client, AsyncClient)
        assert_type(await client.acquire("a"), AsyncLease)
        assert_type(await client.try_acquire("a", cancel_on_lost=False), AsyncLease | None)
        assert_type(client.lock("a"), AsyncLock)
        assert_type(client.lock("a", reentrant=True), AsyncLock)
        assert_type(await client.acquire_all(["a", "b"]), AsyncLeaseGroup)
        assert_type(await client.try_acquire_all(["a", "b"], cancel_on_lost=False), AsyncLeaseGroup | None)
        assert_type(client.lock_all(["a", "b"]), AsyncGroupLock)
        async with client.lock_all(["a", "b"]) as group:
            assert_type(group, AsyncLeaseGroup)
            assert_type(group.tokens, dict[str, int])
            assert_type(await group.release(), bool)
        assert_type(await client.inspect("a"), LockInfo | None)
        assert_type(await client.release("a", "b"), ReleaseStatus)
        assert_type(await client.extend("a", "b", 60), ExtendStatus)
        assert_type([info async for info in client.locks()], list[LockInfo])
        async with client.lock("a") as lease:
            assert_type(lease, AsyncLease)
            assert_type(await lease.release(), bool)
        asyncio.create_task(client.acquire("a"))

        @client.lock("a")
        async def work(a: int, *, b: str = "") -> float:
            return 1.0

        assert_type(await work(1, b="x"), float)
        asyncio.create_task(work(1))

        @client.lock(lambda a, b="": f"work:{a}", wait=1, cancel_on_lost=False)
        async def named(a: int, *, b: str = "") -> float:
            return 1.0

        @client.lock(lambda a: f"work:{a}", skip=True)
        async def skipping(a: int) -> float:
            return 1.0

        assert_type(await named(1, b="x"), float)
        assert_type(await skipping(1), float | None)

try:
    client.acquire("a")
except LeaseLostError as error:
    assert_type(error.code, str)
"""

WRONG = """
from leaselock import AsyncClient, Client, ReleaseStatus
Client(7)
client = Client()
client.acquire(7)
client.acquire("a", ttl="30")
client.acquire("a", timeout=3)
client.acquire("a", 30)
client.lock("a")(7)
client.release("a", "b") == "RELEASED"
@client.lock("a")
def work(a: int) -> None: ...
work("x")
AsyncClient().lock("a")(work)
client.lead("a", work)
client.lead("a", print, wait=3)
AsyncClient().lead("a", len)
client.lock("a", skip=True, wait=1)
with client.lock("a", skip=True): pass
with client.lock(lambda: "a"): pass
"""


def mypy(tmp_path: Path, program: str) -> list[str]:
    path = tmp_path / "program.py"
    path.write_text(program, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", f"--cache-dir={tmp_path}", str(path)],
        cwd=tmp_path,
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.stderr == ""
    return done.stdout.splitlines()


def test_a_program_that_uses_everything(tmp_path: Path) -> None:
    program = PROGRAM
    if sys.version_info < (3, 11):
        program = program.replace("from typing import", "from typing_extensions import")
    assert mypy(tmp_path, program) == []


def test_mistakes_are_found(tmp_path: Path) -> None:
    lines = {line.split(":")[1] for line in mypy(tmp_path, WRONG) if ": error:" in line}
    assert lines == {str(n) for n in (3, 5, 6, 7, 8, 9, 10, 13, 14, 15, 16, 17, 18, 19, 20)}


def test_the_package_is_typed() -> None:
    assert (Path(leaselock.__file__).parent / "py.typed").exists()
    assert version("leaselock") == leaselock.__version__
    assert distribution("leaselock").metadata["Requires-Python"] == ">=3.10"
