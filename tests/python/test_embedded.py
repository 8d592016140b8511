"""Stores without a server, as only Python uses them: forks, pickling, Ctrl-C, the interpreter's end."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import sys
import textwrap
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from conftest import Program

from leaselock import AsyncClient, Client, StoreRefusedError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

# Python warns of forking with threads around, and rightly so; here it is the point.
QUIET = "-Wignore::DeprecationWarning"

# What a child does; the parent waits for it and exits with its status.
CHILD = """
def start_child(work):
    child = os.fork()
    if child == 0:
        try:
            work()
        except BaseException:
            import traceback
            traceback.print_exc()
            os._exit(1)
        sys.stdout.flush()
        os._exit(0)
    return child

def end_child(child):
    _, status = os.waitpid(child, 0)
    assert status == 0, status

def in_child(work): end_child(start_child(work))

def count(client):
    # Without the lock, many of these would be lost.
    with client.lock(NAME, wait=30):
        path = os.environ["COUNTED"]
        counted = int(open(path).read())
        time.sleep(0)
        with open(path, "w") as file: file.write(str(counted + 1))
"""


@pytest.fixture
def file_url(tmp_path: Path) -> str:
    return f"file:{tmp_path}/locks.db"


@pytest.fixture
def counted(tmp_path: Path) -> Path:
    path = tmp_path / "counted"
    path.write_text("0")
    return path


@pytest.fixture
def local(file_url: str, name: str) -> Program:
    """A program whose URL is that of a file."""
    return Program(file_url, "app", name)


def run(program: Program, source: str, **variables: str) -> str:
    return program.run(CHILD + textwrap.dedent(source), QUIET, timeout=60, **variables)


def test_parent_and_child_exclude_each_other(local: Program, counted: Path) -> None:
    """FIELD-BUGS 23: by a client that was in use before the fork, again and again."""
    run(
        local,
        """
        client = Client(URL, app_id=APP)
        count(client)
        for _ in range(20):
            child = start_child(lambda: [count(client) for _ in range(10)])
            for _ in range(10): count(client)
            end_child(child)
        client.close()
        """,
        COUNTED=str(counted),
    )
    assert counted.read_text() == str(1 + 20 * 20)


@pytest.mark.alone  # its lease of 0.3 s is to be extended in time by a thread among many
def test_forks_while_threads_are_busy(local: Program, counted: Path) -> None:
    """FIELD-BUGS 23: at any moment of theirs: waiting, renewing, making clients and closing them."""
    output = run(
        local,
        """
        client = Client(URL, app_id=APP)
        count(client)
        stop = threading.Event()
        turns = [0] * 6

        def take(i):
            while not stop.is_set():
                count(client)
                turns[i] += 1

        def renew(i):
            with client.lock(f"{NAME}-{i}", ttl=0.3) as lease:
                while not stop.is_set():
                    lease.extend()
                    turns[i] += 1

        def make(i):
            while not stop.is_set():
                with Client(URL, app_id=APP) as other: other.inspect(NAME)
                turns[i] += 1

        threads = [threading.Thread(target=w, args=(i,)) for i, w in enumerate([take, take, take, renew, make, make])]
        for thread in threads: thread.start()

        def work():
            for _ in range(3): count(client)
            fresh = Client(URL, app_id=APP)
            count(fresh)
            assert client.try_acquire(f"{NAME}-3") is None, "it is the parent's"

        while 0 in turns: time.sleep(0.01)
        for _ in range(40):
            in_child(work)
        stop.set()
        for thread in threads: thread.join()
        client.close()
        print(1 + sum(turns[:3]) + 40 * 4)
        """,
        COUNTED=str(counted),
    )
    assert counted.read_text() == output.strip()


@pytest.mark.parametrize("ended", ["_exit", "collected"])
def test_a_lease_of_the_parent_outlives_its_children(local: Program, ended: str) -> None:
    """FIELD-BUGS 23: what the child closes is not what the parent uses."""
    output = run(
        local,
        f"""
        import gc
        client = Client(URL, app_id=APP)
        lease = client.acquire(NAME, ttl=0.6)

        def work():
            global client, lease
            assert (lease.state, lease.release()) == ("lost", False)
            assert client.try_acquire(NAME) is None
            with client.lock(NAME + "-2"): pass
            if {ended!r} == "collected":
                client.close()
                client = lease = None
                gc.collect()
        for _ in range(5):
            in_child(work)
        time.sleep(0.8)
        lease.check()
        in_child(work)
        assert lease.release() is True
        in_child(lambda: client.acquire(NAME).release())
        client.close()
        print("done")
        """,
    )
    assert output == "done\n"


def test_asyncio_in_parent_and_child(local: Program, counted: Path) -> None:
    run(
        local,
        """
        client = AsyncClient(URL, app_id=APP)

        async def acount():
            async with client.lock(NAME, wait=30):
                path = os.environ["COUNTED"]
                counted = int(open(path).read())
                await asyncio.sleep(0)
                with open(path, "w") as file: file.write(str(counted + 1))

        async def some():
            await asyncio.gather(*(acount() for _ in range(10)))

        async def main():
            for _ in range(10):
                under_way = asyncio.gather(*(acount() for _ in range(5)))
                await asyncio.sleep(0.002)
                child = start_child(lambda: asyncio.run(some()))
                await some()
                await under_way
                await asyncio.to_thread(end_child, child)
            await client.aclose()

        asyncio.run(main())
        """,
        COUNTED=str(counted),
    )
    assert counted.read_text() == str(10 * 25)


def test_a_store_in_memory_is_empty_in_the_child(local: Program) -> None:
    output = run(
        replace(local, url="memory:forked"),
        """
        client = Client(URL, app_id=APP)
        lease = client.acquire(NAME)

        def work():
            assert client.inspect(NAME) is None
            with client.lock(NAME): assert Client(URL, app_id=APP).try_acquire(NAME) is None
            print("taken in the child")
        in_child(work)
        lease.check()
        assert client.try_acquire(NAME) is None
        assert lease.release() is True
        client.close()
        """,
    )
    assert output == "taken in the child\n"


def hold(url: str, name: str) -> int:
    with Client(url).lock(name) as lease:
        return lease.token


@pytest.mark.skipif(sys.platform == "darwin", reason="fork is not what multiprocessing does there")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_multiprocessing(file_url: str, name: str, method: str) -> None:
    with Client(file_url) as client, client.lock(name) as lease:
        first = lease.token
    work: Callable[[str, str], int] = hold
    with multiprocessing.get_context(method).Pool(2) as pool:
        tokens = pool.starmap(work, [(file_url, name)] * 6)
    assert len(set(tokens)) == 6
    assert min(tokens) > first


@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_clients_are_not_pickled(file_url: str, kind: type[Client | AsyncClient]) -> None:
    with pytest.raises(TypeError, match="cannot pickle"):
        pickle.dumps(kind(file_url))


def test_a_file_that_is_no_store(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("not a store, by any means" * 100)
    with pytest.raises(StoreRefusedError, match=r"notes\.txt"):
        Client(f"file:{tmp_path}/notes.txt").acquire("a")


@pytest.mark.parametrize("url", ["file:{}/locks.db", "memory:interrupted"])
def test_ctrl_c_ends_a_wait(local: Program, tmp_path: Path, url: str) -> None:
    output = replace(local, url=url.format(tmp_path)).run(
        """
        client = Client(URL)
        lease = client.acquire(NAME)
        threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
        started = time.monotonic()
        try:
            client.acquire(NAME)
        except KeyboardInterrupt:
            print("interrupted", time.monotonic() - started < 1)
        while client.inspect(NAME).waiters: time.sleep(0.01)
        lease.release()
        """
    )
    assert output == "interrupted True\n"


ENDINGS: dict[str, Any] = {
    "not closed": "client = Client(URL); client.acquire(NAME).release()",
    "a lease held": "client = Client(URL); lease = client.acquire(NAME, ttl=1)",
    "a daemon thread waiting": (
        "client = Client(URL)\n"
        "lease = client.acquire(NAME, ttl=1)\n"
        "threading.Thread(target=client.acquire, args=(NAME,), daemon=True).start()\n"
        "time.sleep(0.3)"
    ),
    "a loop running in a daemon thread": (
        "client = AsyncClient(URL)\n"
        "async def main():\n"
        "    while True:\n"
        "        async with client.lock(NAME): pass\n"
        "threading.Thread(target=lambda: asyncio.run(main()), daemon=True).start()\n"
        "time.sleep(0.3)"
    ),
}


@pytest.mark.parametrize("url", ["file:{}/locks.db", "memory:ended"])
@pytest.mark.parametrize("source", ENDINGS.values(), ids=ENDINGS.keys())
def test_the_interpreter_ends_silently(local: Program, tmp_path: Path, url: str, source: str) -> None:
    replace(local, url=url.format(tmp_path)).run(source, timeout=20)


def test_a_grant_that_is_heard_late_leaves_a_detached_lease_alone(local: Program) -> None:
    """A process that was stopped may look and claim before it reads the news of its grant."""
    waiter = local.start(
        """
        client = Client(URL, app_id=APP)
        for line in sys.stdin:
            lease = client.acquire(line.strip())
            lease.detach()
            time.sleep(0.05)
            info = client.inspect(lease.name)
            print(info is not None and info.owner == lease.owner, flush=True)
        """
    )
    assert waiter.stdin is not None
    assert waiter.stdout is not None
    kept = []
    with waiter, Client(local.url, app_id=local.app_id) as client:
        try:
            for turn in range(12):
                holder = client.acquire(f"{local.name}-{turn}", ttl=0.3)
                waiter.stdin.write(f"{holder.name}\n")
                waiter.stdin.flush()
                while (info := client.inspect(holder.name)) is None or info.waiters == 0:
                    time.sleep(0.005)
                os.kill(waiter.pid, signal.SIGSTOP)
                assert holder.release() is True
                # Until it would look by itself, and less than the claim window.
                time.sleep(0.4)
                os.kill(waiter.pid, signal.SIGCONT)
                kept.append(waiter.stdout.readline().strip())
        finally:
            waiter.kill()
    assert kept == ["True"] * 12
