"""Tests of code that takes locks: each has a store of its own in memory, and none needs a server."""

from collections.abc import Iterator

import pytest

from leaselock import Client


def write_report(client: Client) -> str:  # the code under test
    lease = client.try_acquire("nightly-report")
    if lease is None:
        return "another is at it"
    with lease:
        return "written"


@pytest.fixture
def client(request: pytest.FixtureRequest) -> Iterator[Client]:
    with Client(f"memory:{request.node.name}") as client:
        yield client


def test_the_report_is_written(client: Client) -> None:
    assert write_report(client) == "written"


def test_not_while_another_is_at_it(client: Client) -> None:
    with client.lock("nightly-report"):
        assert write_report(client) == "another is at it"
    assert write_report(client) == "written"
