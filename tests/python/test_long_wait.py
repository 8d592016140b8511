"""An acquire that waits for long says so once, to the logger `leaselock`: what it waits for, and who holds it."""

from __future__ import annotations

import asyncio
import logging
import re
import threading
import time
import uuid
from typing import TYPE_CHECKING

import pytest
from conftest import SERVERS
from logged import fields

from leaselock import AsyncClient, Client, LockTimeoutError

if TYPE_CHECKING:
    from pathlib import Path

    from resp import Connection


@pytest.fixture(params=[*(server["name"] for server in SERVERS), "file", "memory"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Each kind of store."""
    if request.param == "file":
        return f"file:{tmp_path}/locks.db"
    if request.param == "memory":
        return f"memory:{uuid.uuid4().hex}"
    return next(str(server["url"]) for server in SERVERS if server["name"] == request.param)


def told(caplog: pytest.LogCaptureFixture, name: str) -> list[logging.LogRecord]:
    """The records of waits for the lock, once all that is to come has come."""
    time.sleep(0.5)
    here = [r for r in caplog.records if r.name == "leaselock" and getattr(r, "lock", None) == name]
    return [r for r in here if fields(r)["event"] == "waiting"]


def test_field_bug_64_a_function_under_a_lock_that_takes_it_again(
    url: str, app_id: str, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="leaselock")
    with Client(url, app_id=app_id) as client:

        @client.lock(name, label="outer")
        def outer() -> None:
            inner()

        @client.lock(name, label="inner", wait=11.5)
        def inner() -> None:
            pytest.fail("not re-entrant")

        with pytest.raises(LockTimeoutError):
            outer()
    [record] = told(caplog, name)
    assert record.levelno == logging.WARNING
    message = record.getMessage()
    assert "this process" in message
    assert "re-entrant" in message
    for text in ("this_process=true", "owner=inner:", "holder=outer:", "waited=5."):
        assert text in message
    told_of = fields(record)
    assert told_of["this_process"] is True
    assert str(told_of["owner"]).startswith("inner:")
    assert str(told_of["holder"]).startswith("outer:")
    assert re.fullmatch(r"5\.\d s", str(told_of["waited"]))
    assert told_of["app_id"] == app_id


def test_field_bug_64_a_coroutine_that_waits_for_ones_own_process(
    url: str, app_id: str, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="leaselock")

    async def main() -> None:
        async with (
            AsyncClient(url, app_id=app_id) as first,
            AsyncClient(url, app_id=app_id) as second,
            await first.acquire(name, label="outer"),
        ):
            with pytest.raises(LockTimeoutError):
                await second.acquire(name, wait=7)

    asyncio.run(main())
    [record] = told(caplog, name)
    assert record.levelno == logging.WARNING
    assert "holder=outer:" in record.getMessage()


def test_field_bug_64_a_wait_for_someone_else_and_one_that_is_not_long(
    client: Client, app_id: str, name: str, redis: Connection, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="leaselock")
    redis.command("SET", f"lock||{app_id}||{name}", "dapr-7", "PX", "60000")

    def wait_no_longer_than_that() -> None:
        with pytest.raises(LockTimeoutError):
            client.acquire(name, wait=5)

    short = threading.Thread(target=wait_no_longer_than_that)
    short.start()
    with pytest.raises(LockTimeoutError):
        client.acquire(name, label="long", wait=7)
    short.join()
    [record] = told(caplog, name)
    assert record.levelno == logging.INFO
    message = record.getMessage()
    assert "someone else" in message
    assert "this_process=false" in message
    assert "owner=long:" in message
    assert "holder=dapr-7" in message
