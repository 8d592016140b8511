"""Observers: who hears, where, in which context, and what becomes of their errors. The scenarios have what is told."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import logging
import os
import subprocess
import sys
import threading
import time
import uuid
import weakref
from typing import TYPE_CHECKING

import pytest

import leaselock
from leaselock import AsyncClient, Client, LockEvent

if TYPE_CHECKING:
    from collections.abc import Callable

VARIABLE = contextvars.ContextVar("VARIABLE", default="outside")


def fresh() -> str:
    return f"memory:{uuid.uuid4().hex}"


class Heard:
    """An observer that hears of one client."""

    def __init__(self, client_id: str) -> None:
        self.events: list[LockEvent] = []
        self.seen: list[tuple[str, str, str]] = []
        self._client_id = client_id

    def __call__(self, event: LockEvent) -> None:
        if event.client == self._client_id:
            self.events.append(event)
            self.seen.append((event.kind, VARIABLE.get(), threading.current_thread().name))


def until(condition: Callable[[], bool]) -> None:
    give_up_at = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < give_up_at
        time.sleep(0.01)


def test_an_observer_runs_in_the_context_of_the_acquire_and_on_the_callback_thread() -> None:
    with Client(fresh()) as client:
        stop = leaselock.observe(heard := Heard(client.id))

        def inside() -> leaselock.Lease:
            VARIABLE.set("inside")
            return client.acquire("n")

        lease = contextvars.copy_context().run(inside)
        lease.release()
        until(lambda: len(heard.seen) == 2)
        stop()
    assert heard.seen == [
        ("acquired", "inside", "leaselock-callbacks"),
        ("released", "inside", "leaselock-callbacks"),
    ]


async def test_the_context_of_a_task() -> None:
    async with AsyncClient(fresh()) as client:
        stop = leaselock.observe(heard := Heard(client.id))

        async def one(value: str) -> None:
            VARIABLE.set(value)
            async with client.lock(value):
                await asyncio.sleep(0.01)
            if (lease := await client.try_acquire(value)) is not None:
                await lease.release()

        await asyncio.gather(*(one(f"task-{n}") for n in range(10)))
    # Closing waits for observers.
    stop()
    assert len(heard.seen) == 40
    assert all(event.name == context for event, (_, context, _) in zip(heard.events, heard.seen, strict=True))


def test_closing_waits_for_observers_and_who_stops_hears_no_more() -> None:
    client = Client(fresh())
    slow = threading.Event()

    def callback(event: LockEvent) -> None:
        heard(event)
        if event.client == client.id:
            slow.wait(0.1)

    heard = Heard(client.id)
    stop = leaselock.observe(callback)
    with client:
        for _ in range(3):
            client.acquire("n").release()
    assert [event.kind for event in heard.events] == ["acquired", "released"] * 3
    stop()
    stop()
    with Client(fresh()) as other:
        other.acquire("n").release()
    assert len(heard.events) == 6


def test_an_observer_may_use_locks_and_close_its_client() -> None:
    inner = Client(fresh())

    def callback(event: LockEvent) -> None:
        if event.client == client.id and event.kind == "released":
            inner.acquire("n").release()
            # It waits for observers, but not for itself.
            inner.close()

    with Client(fresh()) as client:
        stop = leaselock.observe(callback)
        client.acquire("n").release()
    until(lambda: inner.closed)
    stop()


def test_what_an_observer_raises_is_logged_and_others_hear_on(caplog: pytest.LogCaptureFixture) -> None:
    def bad(event: LockEvent) -> None:
        if event.client == client.id:
            raise ValueError(event.kind)

    with Client(fresh()) as client:
        stop_bad = leaselock.observe(bad)
        stop = leaselock.observe(heard := Heard(client.id))
        with caplog.at_level(logging.ERROR, "leaselock"):
            client.acquire("n").release()
            client.close()
        stop_bad()
        stop()
    assert [event.kind for event in heard.events] == ["acquired", "released"]
    records = [record for record in caplog.records if getattr(record, "event", "") == "callback_failed"]
    assert len(records) == 2
    assert "an observer failed: <LockEvent acquired 'n' owner=" in records[0].getMessage().replace('"', "'")
    assert records[0].exc_info


def test_contexts_are_let_go_with_their_leases() -> None:
    class Big:
        pass

    gone: list[weakref.ref[Big]] = []
    with Client(fresh()) as client:
        stop = leaselock.observe(Heard(client.id))

        def one(name: str) -> None:
            big: contextvars.ContextVar[Big] = contextvars.ContextVar("big")
            big.set(Big())
            gone.append(weakref.ref(big.get()))
            client.acquire(name).release()

        for n in range(50):
            contextvars.copy_context().run(one, f"n{n}")

        def all_gone() -> bool:
            # The next event is when those that have ended are let go.
            client.acquire("again").release()
            gc.collect()
            return all(ref() is None for ref in gone)

        until(all_gone)
        stop()


def test_an_observer_of_a_parent_hears_of_its_child() -> None:
    program = """
import os, sys, leaselock
log = lambda event: os.write(1, f"{os.getpid() == parent} {event.kind}\\n".encode())
parent = os.getpid()
leaselock.observe(log)
client = leaselock.Client("memory:x")
with client.lock("n"):
    pass
client.close()
child = os.fork()
if child == 0:
    with leaselock.Client("memory:x") as mine:
        with mine.lock("n"):
            pass
    os._exit(0)
os.waitpid(child, 0)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stderr == ""
    assert done.stdout.splitlines() == ["True acquired", "True released", "False acquired", "False released"]


def test_the_end_of_the_process_tells_the_rest() -> None:
    program = """
import leaselock
leaselock.observe(lambda event: print(event.kind, flush=True))
client = leaselock.Client("memory:x")
client.acquire("n").release()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert (done.stdout, done.stderr) == ("acquired\nreleased\n", "")


def test_events_that_nobody_takes_are_counted_and_not_kept(caplog: pytest.LogCaptureFixture) -> None:
    go_on = threading.Event()

    def callback(event: LockEvent) -> None:
        if event.client == client.id:
            go_on.wait(60)

    with Client(fresh()) as client, caplog.at_level(logging.WARNING, "leaselock"):
        stop = leaselock.observe(callback)
        for _ in range(55_000):
            client.acquire("n").release()
        go_on.set()
        stop()
    until(lambda: any(getattr(record, "event", "") == "observers_behind" for record in caplog.records))
    behind = [record for record in caplog.records if getattr(record, "event", "") == "observers_behind"]
    # A batch had been taken out by then.
    assert sum(record.__dict__["missed"] for record in behind) in range(9_000, 10_001)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks here")
def test_a_fork_while_contexts_are_let_go() -> None:
    """What the core's threads drop in the moment of a fork keeps no child from going on."""
    program = """
import os, threading, leaselock
leaselock.observe(lambda event: None)
over = threading.Event()
def crew():
    with leaselock.Client("memory:x") as client:
        while not over.is_set():
            client.acquire(threading.current_thread().name).release()
threads = [threading.Thread(target=crew) for _ in range(4)]
for thread in threads: thread.start()
for _ in range(40):
    child = os.fork()
    if child == 0:
        with leaselock.Client("memory:x") as mine:
            mine.acquire("n").release()
        os._exit(7)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
over.set()
for thread in threads: thread.join()
"""
    subprocess.run([sys.executable, "-W", "ignore", "-c", program], check=True, timeout=90)
