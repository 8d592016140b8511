"""Networks that forget, lead elsewhere or stay silent: no lease is lost, and nobody waits longer than was said.

FIELD-BUGS 38 to 44, for `Client` and `AsyncClient`.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from faces import Face, eventually, face
from proxy import Proxy
from servers import Server

from leaselock import (
    AsyncClient,
    Client,
    LeaselockError,
    LeaseLostError,
    LockTimeoutError,
    StoreUnavailableError,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable
    from contextlib import AbstractAsyncContextManager

    from faces import AnyLease

Kind = type[Client] | type[AsyncClient]
both = pytest.mark.parametrize("kind", [Client, AsyncClient])
# An operation on a forgotten connection takes no longer; a lease is unsure no longer.
DROP_COSTS = 2.0
EARLY, LATE = 0.05, 0.3
CLIENTS_FULL = "max number of clients reached"


async def timed(awaited: Awaitable[Any]) -> tuple[Any, float]:
    """The outcome, or the error, and how many seconds it took."""
    start = time.monotonic()
    try:
        outcome = await awaited
    except LeaselockError as error:
        outcome = error
    return outcome, time.monotonic() - start


def hears_of_its_loss(lease: AnyLease) -> list[LeaseLostError]:
    """Holds the loss once it was told."""
    losses: list[LeaseLostError] = []
    lease.on_lost(losses.append)
    return losses


async def watch(leases: list[AnyLease], seconds: float) -> list[tuple[set[str], float]]:
    """What each lease was meanwhile, and for how long at a time it was unsure at most."""
    seen: list[set[str]] = [set() for _ in leases]
    since: list[float | None] = [None for _ in leases]
    longest = [0.0 for _ in leases]
    end = time.monotonic() + seconds
    while (now := time.monotonic()) < end:
        for at, lease in enumerate(leases):
            state = lease.state
            seen[at].add(state)
            began = since[at] or now
            since[at] = began if state == "unsure" else None
            longest[at] = max(longest[at], now - began)
        await asyncio.sleep(0.005)
    return list(zip(seen, longest, strict=True))


async def forgotten(kind: Kind, server_url: str, app_id: str, ttls: list[float], seconds: float) -> None:
    """Forgets the connections of a client that holds leases of these TTLs, and looks on for so long."""
    with Proxy(int(server_url.rsplit(":", 1)[1])) as proxy:
        async with face(kind, proxy.url, app_id) as one:
            await one.warm(f"warm-{ttls}", proxy)
            leases = [await one.acquire(f"res-{ttl}", ttl=ttl) for ttl in ttls]
            losses = [hears_of_its_loss(lease) for lease in leases]
            await asyncio.sleep(0.05)
            before, start = proxy.accepted, time.monotonic()
            proxy.forget()
            seen = await watch(leases, seconds)
            stats = one.stats()
            what = f"{ttls}: {seen}, {stats}"
            for lease, ttl, (states, longest_unsure) in zip(leases, ttls, seen, strict=True):
                assert "lost" not in states, what
                assert longest_unsure < DROP_COSTS, what
                lease.check()
                assert lease.state == "held", what
                assert lease.expires_in > ttl / 2, what
            assert losses == [[] for _ in leases], what
            assert stats.lost == 0, what
            assert stats.reconnects >= 1, what
            assert 1 <= proxy.accepted - before <= time.monotonic() - start + 2, what
            for lease in leases:
                assert await one.release(lease), what


@both
async def test_field_bug_38_a_forgotten_connection_loses_no_lease(kind: Kind, server_url: str, app_id: str) -> None:
    ttls = (1.0, 2.0, 3.0, 8.0)
    await asyncio.gather(*(forgotten(kind, server_url, app_id, [ttl], 2 * ttl) for ttl in ttls))


@both
async def test_field_bug_38_leases_renewed_together_are_not_lost_together(
    kind: Kind, server_url: str, app_id: str
) -> None:
    await forgotten(kind, server_url, app_id, [20.0, 30.0], 25)


@both
async def test_field_bug_54_a_restart_without_data_is_seen_at_once(
    kind: Kind, own_server: Server, app_id: str, name: str
) -> None:
    async with face(kind, own_server.url, app_id) as one:
        await one.inspect(name)
        lease = await one.acquire(name, ttl=30)
        losses = hears_of_its_loss(lease)
        own_server.restart(keep_data=False)
        await eventually("the loss is seen", lambda: lease.state == "lost", 2)
        await eventually("the loss is told", lambda: len(losses) == 1, 1)


@contextlib.asynccontextmanager
async def warm(kind: Kind, proxy: Proxy, app_id: str, idle: float = 0) -> Any:
    """A client with all its connections, which have been idle for so long."""
    async with face(kind, proxy.url, app_id) as one:
        await one.warm("warm", proxy)
        await asyncio.sleep(idle)
        yield one


idle = pytest.mark.parametrize("idle", [0, 3], ids=["in use", "idle"])


@both
@idle
async def test_field_bug_39_an_acquire_on_forgotten_connections(
    kind: Kind, proxy: Proxy, app_id: str, name: str, idle: float
) -> None:
    async with warm(kind, proxy, app_id, idle) as one:
        proxy.forget()
        lease, took = await timed(one.acquire(name, wait=30))
        assert not isinstance(lease, Exception), (lease, took)
        assert took < DROP_COSTS
        released, took = await timed(one.release(lease))
        assert released is True
        assert took < 0.5


@both
@idle
async def test_field_bug_39_a_release_on_forgotten_connections(
    kind: Kind, proxy: Proxy, app_id: str, name: str, idle: float
) -> None:
    async with warm(kind, proxy, app_id, idle) as one:
        lease = await one.acquire(name)
        proxy.forget()
        released, took = await timed(one.release(lease))
        assert released is True, (released, took)
        assert took < DROP_COSTS


@both
@idle
async def test_field_bug_39_an_inspect_on_forgotten_connections(
    kind: Kind, proxy: Proxy, app_id: str, name: str, idle: float
) -> None:
    async with warm(kind, proxy, app_id, idle) as one:
        proxy.forget()
        found, took = await timed(one.inspect(name))
        assert found is None, (found, took)
        assert took < DROP_COSTS


@both
async def test_field_bug_39_a_waiter_whose_connections_were_forgotten(
    kind: Kind, proxy: Proxy, client: Client, app_id: str, name: str
) -> None:
    async with warm(kind, proxy, app_id) as one:
        held = client.acquire(name, ttl=60)
        waiting = asyncio.ensure_future(timed(one.acquire(name, wait=30)))
        await eventually("it waits", lambda: (found := client.inspect(name)) is not None and found.waiters == 1)
        await asyncio.sleep(0.2)
        proxy.forget()
        assert held.release()
        lease, took = await asyncio.wait_for(waiting, 35)
        assert not isinstance(lease, Exception), (lease, took)
        # Its own fallback finds the grant that it never heard of.
        assert took < 0.5 + 3 + 3
        assert await one.release(lease)


# The options are those of a master and of its replica.
REPLICATION = ("--repl-diskless-sync-delay", "0")


@both
async def test_field_bug_40_a_demoted_master_is_left_and_the_lease_is_kept(
    kind: Kind, server: dict[str, Any], app_id: str, name: str
) -> None:
    with (
        Server(server["binary"], *REPLICATION) as old,
        Server(server["binary"], *REPLICATION, "--replicaof", f"127.0.0.1 {old.port}") as new,
        Proxy(old.port) as proxy,
    ):
        async with warm(kind, proxy, app_id) as one:
            lease = await one.acquire(name, ttl=10)
            losses = hears_of_its_loss(lease)
            key = f"lock||{app_id}||{name}"
            await eventually("both have it", lambda: new.command("EXISTS", key) == 1, 10)
            new.command("REPLICAOF", "NO", "ONE")
            proxy.target_port = new.port
            old.command("REPLICAOF", "127.0.0.1", str(new.port))
            start = time.monotonic()
            await works_again(one, start + 8)
            await asyncio.sleep(start + 11.5 - time.monotonic())
            assert lease.state == "held", one.stats()
            assert losses == []
            assert await one.release(lease)
            assert new.command("EXISTS", key) == 0


async def works_again(one: Face, deadline: float) -> None:
    while True:
        taken, _ = await timed(one.try_acquire("again"))
        assert time.monotonic() < deadline, taken
        if not isinstance(taken, StoreUnavailableError):
            assert await one.release(taken)
            return
        await asyncio.sleep(0.02)


async def in_each_warmth(
    kind: Kind, proxy: Proxy, app_id: str, open_: contextlib.AsyncExitStack, **options: Any
) -> Any:
    """A client without a connection, one with the shared one, one with all: by what they are."""
    cold, shared, warmed = [await open_.enter_async_context(face(kind, proxy.url, app_id, **options)) for _ in range(3)]
    await shared.inspect("warm")
    await warmed.warm("warm", proxy)
    return {"cold": cold, "shared": shared, "warm": warmed}


def ends_after(limit: float, outcome: object, took: float, what: str) -> None:
    assert isinstance(outcome, StoreUnavailableError), (what, outcome, took)
    assert limit - EARLY <= took <= limit + LATE, (what, outcome, took)


@pytest.mark.alone
@both
async def test_field_bug_41_a_wait_bounds_an_acquire_at_a_silent_server(
    kind: Kind, own_server: Server, app_id: str, name: str
) -> None:
    with Proxy(own_server.port) as proxy:
        async with contextlib.AsyncExitStack() as open_:
            asked = [
                (wait, warmth, one)
                for wait in (0.2, 1, 2, 4)
                for warmth, one in (await in_each_warmth(kind, proxy, app_id, open_)).items()
            ]
            await asyncio.sleep(1.1)  # a take has to go by the script again
            own_server.pause()
            try:
                ends = await asyncio.gather(
                    *(timed(one.acquire(f"{name}-{wait}-{warmth}", wait=wait)) for wait, warmth, one in asked)
                )
            finally:
                own_server.resume()
            for (wait, warmth, _), (outcome, took) in zip(asked, ends, strict=True):
                ends_after(wait, outcome, took, warmth)


@pytest.mark.alone
@both
async def test_field_bug_41_trying_once_ends_after_the_command_timeout(
    kind: Kind, own_server: Server, app_id: str, name: str
) -> None:
    with Proxy(own_server.port) as proxy:
        async with contextlib.AsyncExitStack() as open_:
            tried = await in_each_warmth(kind, proxy, app_id, open_, command_timeout=1.5)
            once = await in_each_warmth(kind, proxy, app_id, open_, command_timeout=1.5)
            own_server.pause()
            try:
                ends = await asyncio.gather(
                    *(timed(one.try_acquire(f"{name}-{warmth}-try")) for warmth, one in tried.items()),
                    *(timed(one.acquire(f"{name}-{warmth}", wait=0)) for warmth, one in once.items()),
                )
            finally:
                own_server.resume()
            for warmth, (outcome, took) in zip([*tried, *once], ends, strict=True):
                ends_after(1.5, outcome, took, warmth)


@pytest.mark.alone
@both
async def test_field_bug_41_a_waiter_that_is_queued_ends_with_its_wait(
    kind: Kind, own_server: Server, app_id: str, name: str
) -> None:
    with Client(own_server.url, app_id=app_id) as holder:
        held = holder.acquire(name, ttl=60)
        async with face(kind, own_server.url, app_id) as one, face(kind, own_server.url, app_id) as other:
            waits = (1.5, 4.5)
            clients: tuple[Face, ...] = (one, other)
            waiting = [
                asyncio.ensure_future(timed(each.acquire(name, wait=wait)))
                for each, wait in zip(clients, waits, strict=True)
            ]
            await eventually("they wait", lambda: (found := holder.inspect(name)) is not None and found.waiters == 2)
            own_server.pause()
            try:
                ends = await asyncio.gather(*waiting)
            finally:
                own_server.resume()
            for wait, (outcome, took) in zip(waits, ends, strict=True):
                assert isinstance(outcome, (LockTimeoutError, StoreUnavailableError)), outcome
                assert wait - EARLY <= took <= wait + LATE, (wait, took, outcome)
        assert held.release()


@both
async def test_field_bug_42_a_full_server_is_quoted(kind: Kind, own_server: Server, app_id: str, name: str) -> None:
    def client() -> AbstractAsyncContextManager[Face]:
        return face(kind, proxy.url, app_id, command_timeout=0.6)

    async def says_so(one: Face) -> None:
        for outcome, _ in (await timed(one.try_acquire(name)), await timed(one.acquire(name, wait=1))):
            assert isinstance(outcome, StoreUnavailableError), outcome
            assert CLIENTS_FULL in str(outcome)

    with Proxy(own_server.port) as proxy:
        async with client() as warmed:
            await warmed.warm("warm", proxy)
            with own_server.connect() as own:
                own.command("CONFIG", "SET", "maxclients", "1")
                own.command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
                own.command("CLIENT", "KILL", "TYPE", "pubsub")
                for _ in range(10):
                    await says_so(warmed)
                    async with client() as cold:
                        await says_so(cold)
                own.command("CONFIG", "SET", "maxclients", "100")
            lease, _ = await timed(warmed.acquire(name, wait=5))
            assert await warmed.release(lease)


def connections(server: Server) -> int:
    """How many connections there are, but for the one that asks."""
    return len(re.findall(r"^id=", str(server.command("CLIENT", "LIST")), re.MULTILINE)) - 1


def test_field_bug_44_connections_of_many_threads_do_not_stay(own_server: Server, app_id: str) -> None:
    with Client(own_server.url, app_id=app_id) as client:
        enough = threading.Event()

        def use(number: int) -> None:
            while not enough.is_set():
                with client.acquire(f"res-{number}"):
                    time.sleep(0.1)

        threads = [threading.Thread(target=use, args=(number,)) for number in range(20)]
        for thread in threads:
            thread.start()
        deadline = time.monotonic() + 30
        while (opened := connections(own_server)) <= 10 and time.monotonic() < deadline:
            time.sleep(0.1)
        enough.set()
        for thread in threads:
            thread.join()
        assert opened > 10
        deadline = time.monotonic() + 75
        while (left := connections(own_server)) > 2:
            assert time.monotonic() < deadline, f"{left} connections are left"
            time.sleep(0.2)
        with client.acquire("res-0"):
            pass
