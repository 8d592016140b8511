"""The churn in sync Python: a thread for each task. `tests/mixed/README.md` says what it is told and answers.

A thread cannot be cancelled: it waits by a client of its own, which is closed under it. The main thread is a task, too,
and is interrupted by a signal whose handler raises.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from churn_shared import AFTER_FAILURE, Diary, Orders, Turn, block, counters

import leaselock


class InterruptedByAlarmError(Exception):
    """What the signal handler raises."""


class Alarm:
    """Interrupts the main thread, once, after so many seconds, unless the `with` has been left by then."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._armed = False

    def __enter__(self) -> None:
        self._armed = True
        signal.signal(signal.SIGALRM, self._ring)
        signal.setitimer(signal.ITIMER_REAL, self._seconds)

    def __exit__(self, *exc: object) -> None:
        self._armed = False
        signal.setitimer(signal.ITIMER_REAL, 0)

    def _ring(self, *_: object) -> None:
        if self._armed:
            self._armed = False
            raise InterruptedByAlarmError


def acquire(by: leaselock.Client, turn: Turn, diary: Diary) -> leaselock.Lease:
    return by.acquire(turn.name, ttl=turn.ttl, wait=turn.wait, renew=turn.renew, label=diary.who)


def take_turn(client: leaselock.Client, turn: Turn, diary: Diary) -> None:
    diary.wants(turn)
    try:
        if turn.cancel is None:
            hold(acquire(client, turn, diary), turn, diary)
        elif threading.current_thread() is threading.main_thread():
            with Alarm(turn.cancel):
                lease = acquire(client, turn, diary)
            hold(lease, turn, diary)
        else:
            with leaselock.Client() as own:
                closing = threading.Timer(turn.cancel, own.close)
                closing.start()
                try:
                    lease = acquire(own, turn, diary)
                finally:
                    closing.cancel()
                    closing.join()
                if own.closed:
                    diary.note("cancelled", turn.name)
                else:
                    hold(lease, turn, diary)
    except leaselock.LockTimeoutError:
        diary.note("timeout", turn.name)
    except (InterruptedByAlarmError, leaselock.ClientClosedError):
        diary.note("cancelled", turn.name)
    except leaselock.LeaselockError as error:
        diary.note("failed", turn.name, more=f"{error.code}: {error}")
        time.sleep(AFTER_FAILURE)


def hold(lease: leaselock.Lease, turn: Turn, diary: Diary) -> None:
    for pause in turn.pauses:
        if not diary.writes(lease):
            return
        time.sleep(pause)
    if turn.block is not None:
        block(turn.block)
    if turn.extend is not None:
        diary.note("extends", lease.name, lease.token)
        with contextlib.suppress(leaselock.LeaseLostError):  # the next look says so
            lease.extend(turn.extend)
    if not diary.writes(lease):
        return
    if turn.leave:
        diary.note("left", lease.name, lease.token)
        lease.detach()
    else:
        diary.note("ends", lease.name, lease.token)
        diary.note("released" if lease.release() else "gone", lease.name, lease.token)


def run(client: leaselock.Client, orders: Orders, task: int) -> None:
    diary = Diary(orders, task)
    for turn in orders.turns(task):
        take_turn(client, turn, diary)


def work(orders: Orders) -> list[leaselock.Client]:
    clients = [leaselock.Client(**orders.options) for _ in range(orders.clients)]
    with ThreadPoolExecutor(orders.tasks) as pool:
        others = [pool.submit(run, clients[task % len(clients)], orders, task) for task in range(1, orders.tasks)]
        run(clients[0], orders, 0)
        for other in others:
            other.result()
    orders.close()
    print("done", flush=True)
    return clients


def main() -> None:
    print(os.getpid(), flush=True)
    clients = work(Orders(sys.argv[1]))
    for line in sys.stdin:
        if line.isspace():
            print(counters(*clients), flush=True)
        else:
            close(clients)
            clients = work(Orders(line))
    close(clients)


def close(clients: list[leaselock.Client]) -> None:
    for client in clients:
        client.close()


main()
