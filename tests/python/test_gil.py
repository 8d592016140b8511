"""An interpreter that is blocked keeps its leases: renewal needs neither the GIL nor the loop. FIELD-BUGS 7."""

from __future__ import annotations

import asyncio
import ctypes
import time

from leaselock import AsyncClient, Client

TTL = 0.6

# Through PyDLL the GIL is held during the call, as in an extension module that does not give it back.
usleep = ctypes.PyDLL(None).usleep


def test_the_gil_held_in_a_c_call_for_three_times_the_ttl(client: Client, other: Client, name: str) -> None:
    with client.lock(name, ttl=TTL) as lease:
        usleep(int(3 * TTL * 1e6))
        assert lease.held
        assert lease.state == "held"
        lease.check()
        info = other.inspect(name)
        assert info is not None
        assert info.owner == lease.owner
    assert client.stats().renewals >= 6
    assert client.stats().renew_failures == 0


def test_the_gil_held_for_three_times_the_ttl_of_an_async_lease(server_url: str, name: str) -> None:
    async def main() -> None:
        async with AsyncClient(server_url) as client, client.lock(name, ttl=TTL) as lease:
            usleep(int(3 * TTL * 1e6))
            lease.check()
            await asyncio.sleep(0)
            lease.check()

    asyncio.run(main())


def test_the_deadline_is_known_with_the_gil_held(client: Client, name: str) -> None:
    lease = client.acquire(name, ttl=0.2, renew=False)
    usleep(300_000)
    assert not lease.held


def test_a_busy_interpreter_keeps_its_leases(client: Client, name: str) -> None:
    with client.lock(name, ttl=TTL) as lease:
        until = time.monotonic() + 3 * TTL
        while time.monotonic() < until:
            sum(range(1000))
        lease.check()


def test_max_hold_bounds_a_hung_holder(client: Client, other: Client, name: str) -> None:
    lease = client.acquire(name, ttl=0.3, max_hold=0.6)
    usleep(1_200_000)
    assert not lease.held
    assert lease.release() is False
    with other.lock(name, wait=0):
        pass
