"""Tests with the fixtures of the plugin: each has a store of its own, and none needs a server."""

import asyncio

import pytest

from leaselock import AsyncClient, Client


def write_report(client: Client) -> str:  # the code under test
    lease = client.try_acquire("nightly-report")
    if lease is None:
        return "another is at it"
    with lease:
        return "written"


def test_the_report_is_written(leaselock_client: Client) -> None:
    assert write_report(leaselock_client) == "written"


def test_not_while_another_is_at_it(leaselock_client: Client, leaselock_async_client: AsyncClient) -> None:
    async def by_another() -> str:
        async with leaselock_async_client.lock("nightly-report"):
            return write_report(leaselock_client)

    assert asyncio.run(by_another()) == "another is at it"


def test_code_that_makes_its_own_client(leaselock_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEASELOCK_URL", leaselock_url)
    with Client() as client:
        assert write_report(client) == "written"
