"""Blocking calls from several threads: in parallel, without the GIL, and without leaving anything behind."""

from __future__ import annotations

import gc
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from leaselock import Client, LockTimeoutError


def threads_of_this_process() -> int:
    return len(list(Path("/proc/self/task").iterdir()))


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_a_blocked_thread_does_not_hold_up_others(client: Client, other: Client, name: str) -> None:
    with other.lock(name):
        waiting = threading.Thread(target=lambda: client.acquire(name).release())
        waiting.start()
        started = time.monotonic()
        for i in range(100):
            with client.lock(f"{name}-{i}"):
                pass
        assert time.monotonic() - started < 3
        assert waiting.is_alive()
    waiting.join(5)
    assert not waiting.is_alive()


def test_blocking_calls_run_in_parallel(client: Client, other: Client, name: str) -> None:
    def wait_in_vain(i: int) -> float:
        started = time.monotonic()
        try:
            client.acquire(f"{name}-{i}", wait=0.5)
        except LockTimeoutError:
            return time.monotonic() - started
        raise AssertionError

    leases = [other.acquire(f"{name}-{i}") for i in range(20)]
    started = time.monotonic()
    with ThreadPoolExecutor(20) as pool:
        took = list(pool.map(wait_in_vain, range(20)))
    assert time.monotonic() - started < 2.5, "twenty waits of half a second each"
    assert min(took) >= 0.5
    for lease in leases:
        lease.release()


def test_many_threads_count_up_under_one_lock(client: Client, name: str) -> None:
    total = 0

    def work() -> None:
        nonlocal total
        for _ in range(50):
            with client.lock(name):
                read = total
                time.sleep(0)
                total = read + 1

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert total == 400


def test_one_lease_used_by_many_threads(client: Client, name: str) -> None:
    lease = client.acquire(name, ttl=5)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: lease.extend(5), range(40)))
        list(pool.map(lambda _: lease.check(), range(40)))
        given_back = list(pool.map(lambda _: lease.release(), range(8)))
    assert given_back == [True] * 8


def test_closing_while_others_wait(client: Client, other: Client, name: str) -> None:
    errors: list[str] = []

    def wait() -> None:
        try:
            client.acquire(name)
        except Exception as error:
            errors.append(type(error).__name__)

    with other.lock(name):
        threads = [threading.Thread(target=wait) for _ in range(5)]
        for thread in threads:
            thread.start()
        while (info := other.inspect(name)) is None or info.waiters < 5:
            time.sleep(0.01)
        client.close()
        for thread in threads:
            thread.join(5)
    assert errors == ["ClientClosedError"] * 5


def test_many_clients_leave_no_threads_and_no_descriptors(server_url: str, name: str) -> None:
    def use(close: bool) -> None:
        client = Client(server_url)
        with client.lock(name):
            pass
        if close:
            client.close()

    use(close=True)
    time.sleep(0.1)
    before = threads_of_this_process(), descriptors()
    for i in range(60):
        use(close=i % 2 == 0)
    gc.collect()
    deadline = time.monotonic() + 15
    # Connections and helpers of name resolution end in the background.
    while threads_of_this_process() > before[0] or descriptors() > before[1]:
        assert time.monotonic() < deadline, (before, threads_of_this_process(), descriptors())
        time.sleep(0.05)


def test_all_clients_share_one_thread_of_the_core(server_url: str, name: str) -> None:
    clients = [Client(server_url) for _ in range(10)]
    for client in clients:
        client.inspect(name)
    names = [(task / "comm").read_text(encoding="utf-8").strip() for task in Path("/proc/self/task").iterdir()]
    assert names.count("leaselock") == 1
    assert sum(thread.name == "leaselock-callbacks" for thread in threading.enumerate()) == 1
    for client in clients:
        client.close()
