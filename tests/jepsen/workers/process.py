"""A program of a crew in Python, as `README.md` describes it: `process.py LOCK ORDERS`."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import socket
import sys
import time

import redis

import leaselock

# Losses are what this is about.
logging.getLogger("leaselock").setLevel(logging.ERROR)
RETRY_SECONDS = 0.1


class SharedSet:
    """The set, and what this program has been told."""

    def __init__(self, orders: str) -> None:
        told = json.loads(orders)
        self.url: str = told["url"]
        self.name: str = told["name"]
        self.ttl: float = told["ttl"] / 1000
        self.over = False
        self._element = told["process"] * 1_000_000
        connection = socket.create_connection(("127.0.0.1", told["port"]))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._stream = connection.makefile("rw")
        self._say(f"hello {os.getpid()}")

    def add(self, token: int, lease: leaselock.Lease | leaselock.AsyncLease | None) -> None:
        """Adds an element: reads, waits a little, looks at the lease, writes."""
        answer, _, rest = self._ask(f"read {token}").partition(" ")
        self.over = answer == "over"
        if answer != "set":
            return
        milliseconds, _, elements = rest.partition(" ")
        numbers = json.loads(elements)
        time.sleep(int(milliseconds) / 1000)
        self._element += 1
        numbers.append(self._element)
        flag = int(lease.held) if lease else "-"
        self._ask(f"write {token} {flag} {self._element} {json.dumps(numbers)}")

    def failed(self, what: object) -> None:
        """Something went wrong that is tried again."""
        self._say(f"failed {what}")

    def _say(self, line: str) -> None:
        self._stream.write(line + "\n")
        self._stream.flush()

    def _ask(self, line: str) -> str:
        self._say(line)
        answer = self._stream.readline()
        if not answer:
            sys.exit("the set has gone")
        return answer.rstrip("\n")


def blocking(shared: SharedSet) -> None:
    with leaselock.Client() as client:
        while not shared.over:
            try:
                lease = client.acquire(shared.name, ttl=shared.ttl)
                shared.add(lease.token, lease)
                lease.release()
            except leaselock.LeaselockError as error:
                shared.failed(error.code)
                time.sleep(RETRY_SECONDS)


async def asynchronous(shared: SharedSet) -> None:
    async with leaselock.AsyncClient() as client:
        while not shared.over:
            try:
                lease = await client.acquire(shared.name, ttl=shared.ttl)
                await asyncio.to_thread(shared.add, lease.token, lease)
                await lease.release()
            except leaselock.LeaselockError as error:
                shared.failed(error.code)
                await asyncio.sleep(RETRY_SECONDS)


def redis_py(shared: SharedSet) -> None:
    """As its documentation has it: a lock with a time-out, which asks every 0.1 s."""
    with redis.Redis.from_url(shared.url) as client:
        while not shared.over:
            lock = client.lock(shared.name, timeout=shared.ttl)
            try:
                lock.acquire()
                shared.add(0, None)
                lock.release()
            except redis.exceptions.RedisError as error:
                shared.failed(type(error).__name__)


def main() -> None:
    lock, orders = sys.argv[1:]
    shared = SharedSet(orders)
    if lock == "asyncio":
        asyncio.run(asynchronous(shared))
    else:
        {"python": blocking, "redis-py": redis_py}[lock](shared)


main()
