"""Losses that the server tells of: what ends a lease elsewhere shows when it happens, not at the next renewal."""

from __future__ import annotations

import time
from statistics import median
from typing import TYPE_CHECKING, Any

import pytest
from faces import eventually, face
from servers import Server

from leaselock import AsyncClient, Client

if TYPE_CHECKING:
    from faces import AnyLease, Face

    from leaselock import LeaseLostError

    Kind = type[Client | AsyncClient]

pytestmark = pytest.mark.alone

# Renewed each second: what shows much sooner was told.
TTL = 3.0
TOLD = 0.5
# What is promised of the middle one.
MIDDLE = 0.05
LEASES = 5


class Watched:
    """A lease that was renewed for the first time, and when its loss was told."""

    def __init__(self, lease: AnyLease) -> None:
        self.lease = lease
        self.told: list[tuple[float, LeaseLostError]] = []
        lease.on_lost(lambda error: self.told.append((time.monotonic(), error)))


async def renewed(one: Face, count: int) -> list[Watched]:
    leases = [await one.acquire(f"told-{time.monotonic_ns()}", ttl=TTL) for _ in range(count)]
    before = one.stats().renewals
    await eventually("all are renewed", lambda: one.stats().renewals >= before + count, TTL)
    return [Watched(lease) for lease in leases]


async def told(way: str, watched: list[Watched]) -> None:
    await eventually(f"{way}: told", lambda: all(it.told for it in watched), TOLD)


async def end(way: str, lease: AnyLease, server: Server, other: AsyncClient, app_id: str) -> None:
    key = f"lock||{app_id}||{lease.name}"
    match way:
        case "released by hand":
            await other.release(lease.name, lease.owner)
        case "broken":
            await other.force_release(lease.name)
        case "deleted":
            server.command("DEL", key)
        case "taken":
            server.command("SET", key, "someone")
        case "expired":
            # In a transaction nobody renews it in between.
            with server.connect() as plain:
                for command in ("MULTI", f"PEXPIRE {key} 1", "DEBUG SLEEP 0.005", "EXEC"):
                    plain.command(*command.split())
        case "FLUSHALL" | "FLUSHDB":
            server.command(way)
        case "evicted":
            server.command("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
            # Less than what an empty server needs.
            server.command("CONFIG", "SET", "maxmemory", "100kb")


WAYS = dict.fromkeys(("released by hand", "broken", "deleted", "expired"), "released") | {"taken": "taken"}


@pytest.fixture
def own_server(server: dict[str, Any]) -> Any:
    with Server(server["binary"], "--enable-debug-command", "yes", name=server["name"]) as own:
        yield own


@pytest.mark.parametrize("kind", [Client, AsyncClient])
async def test_field_bug_57_what_ends_a_lease_elsewhere_shows_when_it_happens(
    kind: Kind, own_server: Server, app_id: str
) -> None:
    async with face(kind, own_server.url, app_id) as one, AsyncClient(own_server.url, app_id=app_id) as other:
        watched = await renewed(one, LEASES * len(WAYS))
        for way, reason in WAYS.items():
            took = []
            for it in [watched.pop() for _ in range(LEASES)]:
                start = time.monotonic()
                await end(way, it.lease, own_server, other, app_id)
                await told(way, [it])
                ((at, error),) = it.told
                assert error.reason == reason, way
                took.append(at - start)
            assert median(took) < MIDDLE, (way, took)


@pytest.mark.parametrize("kind", [Client, AsyncClient])
async def test_field_bug_57_a_flush_and_an_eviction_show_when_they_happen(
    kind: Kind, own_server: Server, app_id: str
) -> None:
    async with face(kind, own_server.url, app_id) as one, AsyncClient(own_server.url, app_id=app_id) as other:
        for way in ("FLUSHALL", "FLUSHDB", "evicted"):
            watched = await renewed(one, LEASES)
            start = time.monotonic()
            await end(way, watched[0].lease, own_server, other, app_id)
            await told(way, watched)
            took = [it.told[0][0] - start for it in watched]
            assert {it.told[0][1].reason for it in watched} == {"released"}, way
            assert median(took) < MIDDLE, (way, took)
