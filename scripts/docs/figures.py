"""Counts what the page on operations says of locks: commands, connections, memory, and how long an outage may last.

Run it beside a server: `python tests/servers.py -- .venv/bin/python scripts/docs/figures.py`
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import threading
import time
from typing import TYPE_CHECKING

import redis

from leaselock import AsyncClient, Client

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeAlias

    Admin: TypeAlias = Any
    Commands = dict[str, int]


def counted(admin: Admin, act: Callable[[], object]) -> Commands:
    """The commands that the server carried out meanwhile, those inside scripts too."""
    admin.config_resetstat()
    act()
    stats = admin.info("commandstats")
    mine = ("info", "config|resetstat")
    return {
        name.removeprefix("cmdstat_"): row["calls"]
        for name, row in stats.items()
        if name.removeprefix("cmdstat_") not in mine
    }


def commands(url: str, admin: Admin) -> None:
    with Client(url) as client:
        client.acquire("warm").release()
        client.acquire("warm").release()

        def pairs() -> None:
            for _ in range(100):
                client.acquire("one").release()

        print("100 uncontended pairs:", counted(admin, pairs))

        def renewals() -> None:
            leases = [client.acquire(f"r{i}", ttl=3) for i in range(100)]
            admin.config_resetstat()
            time.sleep(10)
            for lease in leases:
                lease.release()

        print("100 leases, ttl 3 s, for 10 s, and their releases:", counted(admin, renewals))

    def queued() -> None:
        with Client(url) as holder, Client(url) as client:
            first = holder.acquire("queued")
            threads = [threading.Thread(target=lambda: client.acquire("queued").release()) for _ in range(20)]
            for thread in threads:
                thread.start()
            while (info := holder.inspect("queued")) is None or info.waiters < 20:
                time.sleep(0.05)
            admin.config_resetstat()
            first.release()
            for thread in threads:
                thread.join()

    print("21 releases with 20 waiters:", counted(admin, queued))


def connections(url: str, admin: Admin) -> None:  # noqa: C901 - one story, told in steps
    def ours() -> int:
        return len([c for c in admin.client_list() if int(c["id"]) != admin.client_id()])

    def settle() -> int:
        time.sleep(0.5)
        return ours()

    while ours():
        time.sleep(0.1)
    with Client(url) as client:
        client.acquire("a").release()
        print("connections, one thread, an acquire and a release:", settle())
        client.acquire("a", ttl=1)
        time.sleep(1)
        print("  holding a lease that is renewed:", settle())
        barrier = threading.Barrier(20)

        def at_once(i: int) -> None:
            barrier.wait()
            for _ in range(200):
                client.acquire(f"t{i}").release()

        threads = [threading.Thread(target=at_once, args=(i,)) for i in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        print("  after 20 threads that acquired at the same time:", settle())
    time.sleep(0.5)
    with Client(url) as holder, Client(url) as client:
        first = holder.acquire("w")
        before = settle()
        threads = [threading.Thread(target=lambda: client.acquire("w").release()) for _ in range(20)]
        for thread in threads:
            thread.start()
        print("  20 threads that wait for a name, beside its holder's:", settle() - before)
        first.release()
        for thread in threads:
            thread.join()

    async def aio() -> None:
        async with AsyncClient(url) as client:
            for _ in range(3):
                await (await client.acquire("a")).release()
            await asyncio.gather(*[pair(client, i) for i in range(100)])
            await asyncio.sleep(0.5)
            print("  asyncio, 100 tasks:", ours())

    async def pair(client: AsyncClient, i: int) -> None:
        await (await client.acquire(f"x{i}")).release()

    asyncio.run(aio())


def memory(url: str, admin: Admin) -> None:
    admin.flushall()
    with Client(url) as client:
        client.acquire("warm").release()
        before = admin.info("memory")["used_memory"]
        leases = [client.acquire(f"order-{i:07}", ttl=300) for i in range(20_000)]
        used = admin.info("memory")["used_memory"] - before
        print(f"memory of a held lock with a name of 13 bytes: {used / len(leases):.0f} bytes")
        print("  MEMORY USAGE of its key:", admin.memory_usage("lock||order-0000007"))
        print("  of the counter:", admin.memory_usage("lock||||fence"))
        del leases
    admin.flushall()

    async def queue(count: int) -> None:
        async with AsyncClient(url) as client:
            first = await client.acquire("queued")
            waiting = [asyncio.create_task(client.acquire("queued")) for _ in range(count)]
            while (info := await client.inspect("queued")) is None or info.waiters < count:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
            key = next(k for k in admin.keys("*queue*"))
            print(f"  of a queue of {count}: {admin.memory_usage(key, samples=0) / count:.0f} bytes a waiter")
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)
            await first.release()

    for count in (100, 1000):
        asyncio.run(queue(count))


def outages(url: str, admin: Admin) -> None:
    pid = admin.info("server")["process_id"]
    for ttl in (3.0, 6.0):
        for part in (0.3, 0.4, 0.5, 0.55, 0.6, 0.65, 0.7, 0.8):
            with Client(url) as client:
                leases = []
                for i in range(60):
                    leases.append(client.acquire(f"o{i}", ttl=ttl))
                    time.sleep(ttl / 3 / 60)
                time.sleep(ttl)
                os.kill(pid, signal.SIGSTOP)
                time.sleep(part * ttl)
                os.kill(pid, signal.SIGCONT)
                time.sleep(ttl + 0.5)
                lost = sum(not lease.held for lease in leases)
                stood = f"ttl {ttl:.0f} s, the server stands still for {part:.2f} of it"
                print(f"{stood}: {lost} of {len(leases)} leases lost", flush=True)
                for lease in leases:
                    lease.release()


def main() -> None:
    """All of it, on each server."""
    logging.getLogger("leaselock").setLevel(logging.CRITICAL)  # outages are what is counted here
    for server in json.loads(os.environ["LEASELOCK_TEST_SERVERS"]):
        url = server["url"]
        admin = redis.Redis.from_url(url, decode_responses=True)
        version = admin.info("server")
        print(f"== {server['name']} {version.get('valkey_version') or version['redis_version']}")
        commands(url, admin)
        connections(url, admin)
        memory(url, admin)
        outages(url, admin)


if __name__ == "__main__":
    main()
