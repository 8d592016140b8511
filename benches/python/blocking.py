"""Contestants whose calls block: leaselock's `Client`, redis-py, python-redis-lock, pottery."""

from __future__ import annotations

import itertools
import queue
import threading
import time
from importlib import import_module
from time import perf_counter
from typing import Any

import protocol
from protocol import TTL, answer


class Leaselock:
    def __init__(self, url: str, ttl_ms: float = TTL * 1000) -> None:
        import leaselock

        self.client = leaselock.Client(url)
        self.ttl = ttl_ms / 1000

    def acquire(self, name: str) -> Any:
        return self.client.acquire(name, ttl=self.ttl)

    @staticmethod
    def release(held: Any) -> None:
        assert held.release()

    @staticmethod
    def token(held: Any) -> int:
        return int(held.token)


class Observed(Leaselock):
    """Somebody hears of everything."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        import leaselock

        leaselock.observe(lambda _event: None)


class Counted(Leaselock):
    """Everything is counted for Prometheus."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        from leaselock import prometheus

        prometheus.instrument()


class RedisPy:
    def __init__(self, url: str) -> None:
        import redis

        self.client = redis.Redis.from_url(url)

    def acquire(self, name: str) -> Any:
        lock = self.client.lock(name, timeout=TTL)
        assert lock.acquire()
        return lock

    @staticmethod
    def release(held: Any) -> None:
        held.release()

    @staticmethod
    def token(_held: Any) -> int:
        return 0


class PythonRedisLock(RedisPy):
    def __init__(self, url: str) -> None:
        super().__init__(url)
        self._lock = import_module("redis_lock").Lock

    def acquire(self, name: str) -> Any:
        lock = self._lock(self.client, name, expire=TTL)
        assert lock.acquire()
        return lock


class Pottery(RedisPy):
    def __init__(self, url: str) -> None:
        super().__init__(url)
        self._lock = import_module("pottery").Redlock
        self._masters = {self.client}

    def acquire(self, name: str) -> Any:
        lock = self._lock(key=name, masters=self._masters, auto_release_time=TTL)
        assert lock.acquire()
        return lock


CONTESTANTS = {
    "leaselock": Leaselock,
    "leaselock, observed": Observed,
    "leaselock, for Prometheus": Counted,
    "redis-py": RedisPy,
    "python-redis-lock": PythonRedisLock,
    "pottery": Pottery,
}


def run(locker: Any) -> None:
    served: queue.Queue[dict[str, int]] = queue.Queue()
    queued = 0
    kept = []
    answer(ready=True)
    for request in protocol.requests():
        match request.pop("do"):
            case "pairs":
                _pairs(locker, **request)
            case "hold":
                held = locker.acquire(request["name"])
                answer(held=True)
                time.sleep(request["ms"] / 1000)
                released = time.monotonic_ns()
                locker.release(held)
                answer(released=released)
            case "wait":
                held = locker.acquire(request["name"])
                acquired = time.monotonic_ns()
                locker.release(held)
                answer(acquired=acquired)
            case "contend":
                answer(turns=_contend(locker, **request))
            case "queue":
                for number in request["ids"]:
                    queued += 1
                    _start(_serve, locker, request["name"], number, request.get("ms", 0), served)
                answer(queued=queued)
            case "served":
                answer(served=[served.get() for _ in range(queued)])
                queued = 0
            case "keep":
                kept.append(locker.client.acquire(request["name"], ttl=request["ttl"] / 1000, renew=request["renew"]))
                answer(held=True)
            case "waiters":
                info = locker.client.inspect(request["name"])
                answer(waiters=info.waiters if info else 0)


def _pairs(locker: Any, seconds: float, inflight: int, each: int = 1) -> None:
    measured = protocol.Slice(seconds)
    end = measured.end
    acquire, release = locker.acquire, locker.release
    assert inflight == 1, "one thread"
    ops = 0
    for name in itertools.cycle(protocol.names(each)):
        if perf_counter() >= end:
            break
        release(acquire(name))
        ops += 1
    measured.answer(ops)


def _contend(locker: Any, name: str, waiters: int, turns: int, at: int) -> list[dict[str, int]]:
    taken: list[dict[str, int]] = []

    def take(waiter: int) -> None:
        time.sleep(protocol.sleep_until(at))
        for _ in range(turns):
            held = locker.acquire(name)
            acquired = time.monotonic_ns()
            locker.release(held)
            taken.append({"waiter": waiter, "at": acquired, "released": time.monotonic_ns()})

    threads = [_start(take, waiter) for waiter in range(waiters)]
    for thread in threads:
        thread.join()
    return taken


def _serve(locker: Any, name: str, number: int, ms: float, served: queue.Queue[dict[str, int]]) -> None:
    held = locker.acquire(name)
    at = time.monotonic_ns()
    if ms:
        time.sleep(ms / 1000)
    locker.release(held)
    served.put({"id": number, "token": locker.token(held), "at": at})


def _start(work: Any, *arguments: Any) -> threading.Thread:
    thread = threading.Thread(target=work, args=arguments, daemon=True)
    thread.start()
    return thread
