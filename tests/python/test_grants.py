"""A lease that begins with its grant: whoever asked lately holds the lock when it hears of that, without a claim."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from scenario_driver import AsyncFace, SyncFace

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from conftest import Program
    from proxy import Proxy
    from resp import Connection
    from scenario_driver import AnyClient, AnyLease

    from leaselock import Client

# On a busy machine a waiter may not sleep yet when its grant comes, or hear of it late: it claims, and is right to.
TRIES = 8


class Contest:
    """A client whose commands go through a proxy, and who holds the lock that it waits for."""

    def __init__(self, face: SyncFace | AsyncFace, proxy: Proxy, holder: Client, redis: Connection, name: str) -> None:
        self.face = face
        self.client: AnyClient = face.make(proxy.url, app_id=holder.app_id)
        self._sent = proxy.to_server
        self._sent.record = True
        self._holder = holder
        self._redis = redis
        self._name = name
        self._key = f"lock||{holder.app_id}||{name}"
        self._queue = f"{{{self._key}}}||||queue"

    async def wait(self, **options: Any) -> tuple[AnyLease, asyncio.Task[AnyLease]]:
        """The lease that is waited for, and who sleeps until it ends."""
        held = self._holder.acquire(self._name)
        call = self.face.call(self.client.acquire, self._name, **options)
        taking = asyncio.create_task(call)
        await eventually("it waits", lambda: self._redis.command("ZCARD", self._queue) == 1)
        await asyncio.sleep(0.05)
        self._sent.seen.clear()
        return held, taking

    async def begin(self, **options: Any) -> tuple[AnyLease, AnyLease]:
        """The lease that was waited for, and the next, begun while nothing of its client reached the server."""
        for _ in range(TRIES):
            held, taking = await self.wait(**options)
            self._sent.hold = True
            held.release()
            await asyncio.wait([taking], timeout=0.7)
            if taking.done():
                return held, await taking
            self._sent.hold = False
            await self.face.call((await taking).release)
        pytest.fail("none of its leases began with the grant")

    def go_on(self) -> None:
        """What it has sent meanwhile reaches the server."""
        self._sent.hold = False

    @property
    def has_asked(self) -> bool:
        """Whether it has asked for the lock since it sleeps: unlike a renewal, that names the queue."""
        return self._queue.encode() in b"".join(self._sent.seen)

    @property
    def commands(self) -> int:
        """How many commands it has sent since it sleeps."""
        return b"".join(self._sent.seen).count(b"EVALSHA")

    @property
    def pttl(self) -> int:
        """How long the store keeps the lock, in ms."""
        pttl = self._redis.command("PTTL", self._key)
        assert isinstance(pttl, int)
        return pttl


@pytest.fixture(params=[SyncFace, AsyncFace], ids=["Client", "AsyncClient"])
async def contest(
    request: pytest.FixtureRequest, proxy: Proxy, other: Client, redis: Connection, name: str
) -> AsyncIterator[Contest]:
    face = request.param()
    contest = Contest(face, proxy, other, redis, name)
    yield contest
    contest.go_on()
    await face.close(contest.client)
    face.shut()


async def eventually(what: str, holds: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"not so after {seconds} s: {what}"
        await asyncio.sleep(0.005)


@pytest.mark.parametrize("ttl", [2, 30])
async def test_a_lease_begins_with_its_grant_and_soon_has_its_ttl(contest: Contest, ttl: int) -> None:
    held, lease = await contest.begin(ttl=ttl)
    assert not contest.has_asked
    assert lease.held
    assert lease.token > held.token
    assert lease.ttl == ttl
    assert 0 < lease.expires_in < 2
    assert 0 < contest.pttl <= 2000, "the claim window"
    renewals = contest.client.stats().renewals
    contest.go_on()
    await eventually("it is renewed", lambda: contest.client.stats().renewals > renewals)
    await eventually("the store has its TTL", lambda: contest.pttl > 900 * ttl)
    await eventually("it knows", lambda: lease.expires_in > 0.9 * ttl)
    assert not contest.has_asked
    assert await contest.face.call(lease.release) is True
    assert contest.pttl == -2, "it is gone"


@pytest.mark.parametrize(
    ("options", "asleep"),
    [({"ttl": 1.9}, 0), ({"renew": False}, 0), ({"max_hold": 30}, 0), ({}, 1.1)],
    ids=["a TTL below the claim window", "without renewal", "with max_hold", "after more than a second"],
)
async def test_where_it_cannot_begin_it_is_claimed(contest: Contest, options: dict[str, Any], asleep: float) -> None:
    held, taking = await contest.wait(**options)
    await asyncio.sleep(asleep)
    held.release()
    lease = await asyncio.wait_for(taking, 10)
    assert contest.has_asked
    assert lease.held
    assert lease.token > held.token
    assert 0.8 * lease.ttl < contest.pttl / 1000 <= lease.ttl, "by the claim"
    assert await contest.face.call(lease.release) is True


async def test_a_lease_that_is_given_back_at_once_costs_one_command(contest: Contest) -> None:
    """No claim, and no renewal: on a busy machine not always, but some time."""
    for _ in range(3 * TRIES):
        held, taking = await contest.wait()
        held.release()
        lease = await taking
        # Longer than a renewal at once would take.
        await asyncio.sleep(0.003)
        assert await contest.face.call(lease.release) is True
        if contest.commands == 1:
            return
    pytest.fail("all were renewed or claimed")


async def test_a_lease_that_is_detached_at_once_has_its_ttl(contest: Contest) -> None:
    held, taking = await contest.wait(ttl=30)
    taking.add_done_callback(lambda taking: taking.result().detach())
    held.release()
    await taking
    await eventually("the store has its TTL", lambda: contest.pttl > 27_000)


async def test_a_lease_whose_renewals_get_no_answer_ends_with_the_claim_window(contest: Contest, other: Client) -> None:
    _, lease = await contest.begin(ttl=30)
    following = await asyncio.to_thread(other.acquire, lease.name, wait=10)
    assert not lease.held
    assert following.token > lease.token
    contest.go_on()
    assert await contest.face.call(lease.release) is False
    following.check()
    assert following.release() is True


WAITERS = {
    "Client": """
        lease = Client(URL, app_id=APP).acquire(NAME)
        print(time.monotonic(), lease.held, lease.token)
        lease.release()
    """,
    "AsyncClient": """
        async def main():
            async with AsyncClient(URL, app_id=APP) as client:
                lease = await client.acquire(NAME)
                print(time.monotonic(), lease.held, lease.token)
                await lease.release()
        asyncio.run(main())
    """,
}


@pytest.mark.parametrize("source", WAITERS.values(), ids=WAITERS.keys())
def test_a_process_that_is_stopped_when_its_grant_comes_does_not_hold_the_lock(
    program: Program, client: Client, other: Client, name: str, source: str
) -> None:
    def until_waiting(count: int) -> None:
        deadline = time.monotonic() + 30
        while (info := other.inspect(name)) is None or info.waiters < count:
            assert time.monotonic() < deadline
            time.sleep(0.005)

    holder = other.acquire(name)
    with program.start(source) as process:
        try:
            until_waiting(1)
            leases = []
            second = threading.Thread(target=lambda: leases.append(client.acquire(name, wait=30)))
            second.start()
            until_waiting(2)
            os.kill(process.pid, signal.SIGSTOP)
            os.waitpid(process.pid, os.WUNTRACED)  # until each of its threads has stopped
            holder.release()
            # The process is granted the lock, and lets its time pass.
            second.join()
            (lease,) = leases
            os.kill(process.pid, signal.SIGCONT)
            time.sleep(0.2)
            lease.check()
            released = time.monotonic()
            assert lease.release() is True
            output, errors = process.communicate(timeout=30)
        finally:
            process.kill()
    assert errors == ""
    at, held, token = output.split()
    assert held == "True"
    assert float(at) > released
    assert holder.token < lease.token < int(token)
