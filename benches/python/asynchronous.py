"""Contestants on asyncio: leaselock's `AsyncClient` and redis-py's asyncio lock."""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
import time
from time import perf_counter
from typing import Any

import protocol
from protocol import TTL, answer


class Leaselock:
    def __init__(self, url: str) -> None:
        import leaselock

        self.client = leaselock.AsyncClient(url)

    async def acquire(self, name: str) -> Any:
        return await self.client.acquire(name, ttl=TTL)

    @staticmethod
    async def release(held: Any) -> None:
        assert await held.release()

    @staticmethod
    def token(held: Any) -> int:
        return int(held.token)


class RedisPy:
    def __init__(self, url: str) -> None:
        import redis.asyncio

        self.client = redis.asyncio.Redis.from_url(url)

    async def acquire(self, name: str) -> Any:
        lock = self.client.lock(name, timeout=TTL)
        assert await lock.acquire()
        return lock

    @staticmethod
    async def release(held: Any) -> None:
        await held.release()

    @staticmethod
    def token(_held: Any) -> int:
        return 0


CONTESTANTS = {"leaselock-asyncio": Leaselock, "redis-py-asyncio": RedisPy}


async def run(locker: Any) -> None:
    loop = asyncio.get_running_loop()
    queued: list[asyncio.Task[dict[str, int]]] = []
    kept = []
    answer(ready=True)
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        request = json.loads(line)
        match request.pop("do"):
            case "pairs":
                await _pairs(locker, **request)
            case "hold":
                held = await locker.acquire(request["name"])
                answer(held=True)
                await asyncio.sleep(request["ms"] / 1000)
                released = time.monotonic_ns()
                await locker.release(held)
                answer(released=released)
            case "wait":
                held = await locker.acquire(request["name"])
                acquired = time.monotonic_ns()
                await locker.release(held)
                answer(acquired=acquired)
            case "contend":
                answer(turns=await _contend(locker, **request))
            case "queue":
                for number in request["ids"]:
                    serving = _serve(locker, request["name"], number, request.get("ms", 0))
                    queued.append(asyncio.create_task(serving))
                answer(queued=len(queued))
            case "served":
                answer(served=await asyncio.gather(*queued))
                queued.clear()
            case "keep":
                ttl, renew = request["ttl"] / 1000, request["renew"]
                kept.append(await locker.client.acquire(request["name"], ttl=ttl, renew=renew))
                answer(held=True)
            case "waiters":
                info = await locker.client.inspect(request["name"])
                answer(waiters=info.waiters if info else 0)


async def _pairs(locker: Any, seconds: float, inflight: int, each: int = 1) -> None:
    measured = protocol.Slice(seconds)
    end = measured.end

    async def one(names: list[str]) -> int:
        acquire, release = locker.acquire, locker.release
        ops = 0
        for name in itertools.cycle(names):
            if perf_counter() >= end:
                break
            await release(await acquire(name))
            ops += 1
        return ops

    names = protocol.names(inflight * each)
    if inflight == 1:
        measured.answer(await one(names))
    else:
        measured.answer(sum(await asyncio.gather(*(one(names[at::inflight]) for at in range(inflight)))))


async def _contend(locker: Any, name: str, waiters: int, turns: int, at: int) -> list[dict[str, int]]:
    taken: list[dict[str, int]] = []

    async def take(waiter: int) -> None:
        await asyncio.sleep(protocol.sleep_until(at))
        for _ in range(turns):
            held = await locker.acquire(name)
            acquired = time.monotonic_ns()
            await locker.release(held)
            taken.append({"waiter": waiter, "at": acquired, "released": time.monotonic_ns()})

    await asyncio.gather(*map(take, range(waiters)))
    return taken


async def _serve(locker: Any, name: str, number: int, ms: float) -> dict[str, int]:
    held = await locker.acquire(name)
    at = time.monotonic_ns()
    if ms:
        await asyncio.sleep(ms / 1000)
    await locker.release(held)
    return {"id": number, "token": locker.token(held), "at": at}
