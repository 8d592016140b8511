"""A pytest plugin: each test that asks has a store of its own, in memory, and clients for it. PYTEST_DONT_REWRITE.

It is imported in every run of pytest where leaselock is installed, so it imports leaselock only where a test asks.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from leaselock import AsyncClient, Client


_numbers = itertools.count(1)


@pytest.fixture
def leaselock_url() -> str:
    """The URL of a store of this test alone, in memory. Clients of this process that have it share the locks."""
    return f"memory:pytest-{next(_numbers)}"


@pytest.fixture
def leaselock_client(leaselock_url: str) -> Iterator[Client]:
    """A Client for that store, which is closed when the test has ended."""
    from leaselock import Client  # noqa: PLC0415

    with Client(leaselock_url) as client:
        yield client


@pytest.fixture
def leaselock_async_client(leaselock_url: str) -> Iterator[AsyncClient]:
    """An AsyncClient for that store, which is closed when the test has ended. It goes with any plugin for asyncio."""
    import asyncio  # noqa: PLC0415
    import threading  # noqa: PLC0415

    from leaselock import AsyncClient  # noqa: PLC0415

    client = AsyncClient(leaselock_url)
    yield client
    # In a thread of its own: whether this one has a loop, and which, is for other plugins.
    closing = threading.Thread(target=lambda: asyncio.run(client.aclose()))
    closing.start()
    closing.join()
