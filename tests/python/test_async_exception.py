"""An exception that another thread sets in a blocked one ends the call at once, as time limits of job queues do it."""

from __future__ import annotations

import ctypes
import statistics
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from conftest import PARAMS, running
from test_interrupt import MEDIAN_SECONDS, TRIES, WORST_SECONDS, until, waiters

from leaselock import Client, Lease

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from proxy import Proxy


class TimeLimitError(Exception):
    """What dramatiq, func_timeout and debuggers set in a thread."""


class Blocked:
    """A thread in a call that blocks."""

    def __init__(self, call: Callable[[], object]) -> None:
        self.raised: BaseException | None = None
        self.ended_at = 0.0
        self.thread = threading.Thread(target=self._run, args=(call,))
        self.thread.start()

    def _run(self, call: Callable[[], object]) -> None:
        try:
            call()
        except BaseException as error:
            self.raised = error
        self.ended_at = time.monotonic()

    def stop(self) -> float:
        """Sets the exception in it; the seconds until it came out."""
        at = time.monotonic()
        number = ctypes.c_ulong(self.thread.ident or 0)
        assert ctypes.pythonapi.PyThreadState_SetAsyncExc(number, ctypes.py_object(TimeLimitError)) == 1
        self.thread.join(20)
        assert isinstance(self.raised, TimeLimitError), self.raised
        return self.ended_at - at


@pytest.fixture(params=[*PARAMS, "file", "memory"], ids=lambda s: s["name"] if isinstance(s, dict) else s or "none")
def store_url(request: pytest.FixtureRequest, tmp_path: Path, name: str) -> str:
    """Each kind of store."""
    match request.param:
        case "file":
            return f"file:{tmp_path / 'locks.db'}"
        case "memory":
            return f"memory:{name}"
        case server:
            return str(running(server)["url"])


QUEUED: dict[str, Callable[[Client, str], object]] = {
    "acquire": lambda client, name: client.acquire(name),
    "acquire with a wait": lambda client, name: client.acquire(name, wait=60),
    "a with block": lambda client, name: client.lock(name).__enter__(),
    "a decorated function": lambda client, name: client.lock(name)(print)(),
    "wait_lost": lambda client, name: held(client, name + "-2").wait_lost(),
}


def held(client: Client, name: str) -> Lease:
    """A lease that ends with the client."""
    lease = client.acquire(name, ttl=60)
    KEPT.append(lease)
    return lease


KEPT: list[Lease] = []


@pytest.mark.alone
@pytest.mark.parametrize("call", QUEUED.values(), ids=QUEUED.keys())
def test_field_bug_62_it_ends_a_wait(
    store_url: str, app_id: str, name: str, call: Callable[[Client, str], Any]
) -> None:
    with Client(store_url, app_id=app_id) as client, Client(store_url, app_id=app_id) as other:
        took = []
        with other.lock(name):
            for _ in range(TRIES):
                blocked = Blocked(lambda: call(client, name))
                time.sleep(0.15)
                took.append(blocked.stop())
                until(lambda: waiters(other, name) == 0)
        assert other.inspect(name) is None, "the acquire was undone"
        assert client.stats().waiting == 0
        for lease in KEPT:
            lease.release()
        KEPT.clear()
    assert statistics.median(took) < MEDIAN_SECONDS, took
    assert max(took) < WORST_SECONDS, took


# With a lease at hand, and no answer from the server.
SILENT: dict[str, Callable[[Client, Lease], object]] = {
    "acquire": lambda client, lease: client.acquire(lease.name),
    "try_acquire": lambda client, lease: client.try_acquire(lease.name),
    "extend": lambda _, lease: lease.extend(50),
    "release": lambda _, lease: lease.release(),
    "the end of a with block": lambda _, lease: lease.__exit__(None, None, None),
    "release by hand": lambda client, lease: client.release(lease.name, lease.owner),
    "force_release": lambda client, lease: client.force_release(lease.name),
    "inspect": lambda client, lease: client.inspect(lease.name),
    "locks": lambda client, _: list(client.locks()),
    "close": lambda client, _: client.close(),
}


@pytest.mark.alone
@pytest.mark.parametrize("call", SILENT.values(), ids=SILENT.keys())
def test_field_bug_62_it_ends_a_call_without_an_answer(
    proxy: Proxy, other: Client, app_id: str, name: str, call: Callable[[Client, Lease], Any]
) -> None:
    took = []
    for _ in range(TRIES):
        client = Client(proxy.url, app_id=app_id, command_timeout=20)
        lease = client.acquire(name, ttl=60)
        proxy.black_hole()
        blocked = Blocked(partial(call, client, lease))
        time.sleep(0.15)
        took.append(blocked.stop())
        proxy.heal()
        lease.release()
        until(lambda: other.inspect(name) is None)
        client.close()
    assert statistics.median(took) < MEDIAN_SECONDS, took
    assert max(took) < WORST_SECONDS, took


def test_field_bug_62_the_main_thread_too(client: Client, other: Client, name: str) -> None:
    with other.lock(name):
        number = ctypes.c_ulong(threading.get_ident())
        error = ctypes.py_object(TimeLimitError)
        timer = threading.Timer(0.2, lambda: ctypes.pythonapi.PyThreadState_SetAsyncExc(number, error))
        timer.start()
        started = time.monotonic()
        with pytest.raises(TimeLimitError):
            client.acquire(name, wait=20)
        assert time.monotonic() - started < 0.2 + WORST_SECONDS
        timer.join()
        until(lambda: waiters(other, name) == 0)
