"""`leaselock.apscheduler`: several schedulers with the same schedule, each with a persistent job store of its own."""

from __future__ import annotations

import sys
import time
from collections import Counter
from typing import TYPE_CHECKING

import pytest
from apscheduler_program import SECONDS
from beats import Run, never_two, runs
from conftest import HERE, PATIENCE, process, wait_until

from leaselock import AsyncClient, Client, InvalidArgumentError
from leaselock.apscheduler import exclusive

if TYPE_CHECKING:
    from pathlib import Path

# How long the schedulers run side by side.
LENGTH = 10


def slots(done: list[Run]) -> Counter[int]:
    """How often there was a run for each time of the schedule."""
    wall = time.time() - time.monotonic()
    return Counter(int((run.first + wall) // SECONDS) for run in done)


@pytest.mark.parametrize("kind", ["threads", "asyncio"])
def test_each_run_is_done_once(tmp_path: Path, environment: dict[str, str], kind: str) -> None:
    """Also by schedulers that found the jobs in their stores, by reference."""
    environment |= {"FOLDER": str(tmp_path)}
    words = [sys.executable, str(HERE / "apscheduler_program.py"), kind]
    databases = [str(tmp_path / f"{name}.db") for name in "ab"]
    for database in databases:
        with process([*words, database, "add"], tmp_path, environment) as one:
            wait_until(lambda one=one: "runs" in one.said, "it has its jobs", PATIENCE)  # type: ignore[misc]
    before = len(runs(str(tmp_path / "plain")))
    with (
        process([*words, databases[0], "go-on"], tmp_path, environment) as a,
        process([*words, databases[1], "go-on"], tmp_path, environment) as b,
    ):
        time.sleep(LENGTH)
        assert a.popen.poll() is b.popen.poll() is None, a.said + b.said
    # Without the lock both of them do each run.
    assert max(slots(runs(str(tmp_path / "plain"))[before:]).values()) == 2
    for name in ["short-oslo", *(["coroutine"] if kind == "asyncio" else [])]:
        done = never_two(str(tmp_path / name))
        assert set(slots(done).values()) == {1}
        assert len(done) >= LENGTH // SECONDS - 2
    # One that takes longer than the schedule's pause overlaps with itself in no scheduler.
    assert len(never_two(str(tmp_path / "long"))) >= 2
    assert "Traceback" not in a.said + b.said


def test_it_is_the_same_function_to_a_job_store(leaselock_client: Client) -> None:
    from apscheduler.util import obj_to_ref, ref_to_obj  # noqa: PLC0415
    from apscheduler_program import coroutine, short  # noqa: PLC0415

    for job in (short, coroutine):
        assert ref_to_obj(obj_to_ref(job)) is job


async def test_coroutines_and_clients(
    leaselock_url: str, leaselock_client: Client, leaselock_async_client: AsyncClient
) -> None:
    made = []

    def make() -> AsyncClient:
        made.append(AsyncClient(leaselock_url))
        return made[-1]

    @exclusive("job:{a}", min_hold=0.3, client=make)
    async def job(a: str) -> str:
        assert await leaselock_async_client.try_acquire(f"job:{a}") is None
        return a

    assert made == []
    assert [await job("{x}"), await job("{x}"), await job("*\t".strip())] == ["{x}", None, "*"]
    assert len(made) == 1
    async with leaselock_async_client.lock("job:{x}", wait=PATIENCE):
        pass

    @exclusive("job", min_hold=0, client=leaselock_client)
    async def wrong() -> None: ...

    with pytest.raises(TypeError, match="needs AsyncClient"):
        await wrong()
    await made[0].aclose()


def test_a_run_that_fails_gives_the_name_back(leaselock_client: Client) -> None:
    @exclusive("job", min_hold=60, client=leaselock_client)
    def job() -> None:
        raise ZeroDivisionError

    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            job()


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(InvalidArgumentError, match="min_hold"):
        exclusive("job", min_hold=-1)
    with pytest.raises(InvalidArgumentError, match="'skip', 'wait'"):
        exclusive("job", min_hold=1, on_busy="retry")  # type: ignore[arg-type]
    with pytest.raises(InvalidArgumentError, match="wait is for"):
        exclusive("job", min_hold=1, wait=1)
