"""Whichever way a process ends, but by a kill: no name stays taken. One best effort, a second at most."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from conftest import PARAMS, Program, running

from leaselock import Client

if TYPE_CHECKING:
    from pathlib import Path

    from proxy import Proxy

# How many ends of each kind; some at once.
FULL = os.environ.get("FULL") == "1"
ENDS = 100 if FULL else 4
AT_ONCE = 4
SECONDS_TAKEN = 1.0

THREAD = "threading.Thread(target=work, daemon=True).start()\ntime.sleep(0.2)\n"
QUIET = "import warnings; warnings.simplefilter('ignore')\n"
HOLD = "lease = client.acquire(NAME, ttl=600)\n"
MAKE = "client = Client(URL, app_id=APP)\n"
MAKE_ASYNC = "client = AsyncClient(URL, app_id=APP)\n"
POOL = "import multiprocessing\nfrom concurrent.futures import ProcessPoolExecutor\n"
PROCESS = (
    "import multiprocessing\n"
    "def work():\n"
    "    global lease\n"
    "    lease = Client(URL, app_id=APP).acquire(NAME, ttl=600)\n"
    "if __name__ == '__main__':\n"
    "    context = multiprocessing.get_context({method!r})\n"
    "    process = context.Process(target=work)\n"
    "    process.start(); process.join(); assert process.exitcode == 0\n"
)

# What a process leaves undone, and its exit status.
KINDS = {
    "a lease held": (MAKE + HOLD, 0),
    "a lease held and the client gone": ("lease = Client(URL, app_id=APP).acquire(NAME, ttl=600)", 0),
    "sys.exit": (MAKE + HOLD + "sys.exit(3)", 3),
    "an uncaught exception": (MAKE + HOLD + "sys.excepthook = lambda *_: None\nraise ZeroDivisionError", 1),
    "a thread that holds": (MAKE + f"def work():\n    with client.lock(NAME, ttl=600): time.sleep(100)\n{THREAD}", 0),
    "sys.exit in a thread": (
        MAKE + f"def work():\n    global lease\n    {HOLD}    sys.exit()\n{THREAD.replace(', daemon=True', '')}",
        0,
    ),
    "a thread of a pool": (
        MAKE + "from concurrent.futures import ThreadPoolExecutor\n"
        "lease = ThreadPoolExecutor().submit(client.acquire, NAME, ttl=600)",
        0,
    ),
    "threads that wait behind the main one": (
        MAKE + HOLD + f"def work(): client.acquire(NAME, ttl=600)\nfor _ in range(8): {THREAD}",
        0,
    ),
    "threads that wait, one of them granted": (
        MAKE + HOLD + "def work(): client.acquire(NAME, ttl=600).release()\n"
        "for _ in range(8): threading.Thread(target=work, daemon=True).start()\ntime.sleep(0.2)\nlease.release()",
        0,
    ),
    "threads at work": (
        MAKE + "def work():\n    while True:\n        with client.lock(NAME, ttl=600): pass\n"
        f"for _ in range(4): {THREAD}",
        0,
    ),
    "threads that try again when they are sent home": (
        MAKE + HOLD + "def work():\n"
        "    while True:\n"
        "        try: client.acquire(NAME, ttl=600)\n"
        "        except LeaselockError: pass\n"
        f"for _ in range(4): {THREAD}lease.release()",
        0,
    ),
    "an async lease held": (
        MAKE_ASYNC + "async def main(): return await client.acquire(NAME, ttl=600)\nlease = asyncio.run(main())",
        0,
    ),
    "a loop in a thread": (
        QUIET + MAKE_ASYNC + "async def hold():\n    async with client.lock(NAME, ttl=600): await asyncio.sleep(0.01)\n"
        "async def main():\n    while True: await asyncio.gather(*(hold() for _ in range(4)))\n"
        f"def work(): asyncio.run(main())\n{THREAD}",
        0,
    ),
    "a lease taken at exit": (
        MAKE + f"import atexit\ndef late():\n    global lease\n    {HOLD}atexit.register(late)",
        0,
    ),
    "a forked process of multiprocessing": (PROCESS.format(method="fork"), 0),
    "a forked process of multiprocessing that inherits a client": (
        MAKE + "client.inspect(NAME)\n" + PROCESS.format(method="fork").replace("Client(URL, app_id=APP)", "client"),
        0,
    ),
    "a forked process with a thread that waits": (
        MAKE
        + "lease = client.acquire(NAME + '-other')\n"
        + PROCESS.format(method="fork")
        .replace(
            "    lease =",
            "    threading.Thread(target=client.acquire, args=(NAME,), kwargs={{'ttl': 600}}, daemon=True).start()\n"
            "    time.sleep(0.1)\n    lease =".replace("{{", "{").replace("}}", "}"),
        )
        .replace(".acquire(NAME, ttl=600)\nif", ".acquire(NAME + '-2', ttl=600)\nif"),
        0,
    ),
    "a worker of a process pool": (
        POOL + "def work():\n    global lease\n    lease = Client(URL, app_id=APP).acquire(NAME, ttl=600)\n"
        "with ProcessPoolExecutor(1, multiprocessing.get_context('fork')) as pool: pool.submit(work).result()",
        0,
    ),
    "an os.fork that ends as the interpreter does": (
        MAKE + "client.inspect(NAME)\n"
        f"if os.fork() == 0:\n    {HOLD}else:\n    _, status = os.wait(); assert status == 0",
        0,
    ),
}


@pytest.fixture(params=[*PARAMS, "file"], ids=lambda s: s["name"] if isinstance(s, dict) else s or "none")
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Each kind of store that outlives a process."""
    return f"file:{tmp_path / 'locks.db'}" if request.param == "file" else str(running(request.param)["url"])


@pytest.mark.timeout(1200 if FULL else 120)
@pytest.mark.parametrize(("source", "status"), KINDS.values(), ids=KINDS.keys())
def test_field_bug_61_no_name_stays_taken(url: str, app_id: str, name: str, source: str, status: int) -> None:
    with Client(url, app_id=app_id) as client:

        def end(i: int) -> None:
            process = Program(url, app_id, f"{name}-{i}").start(source)
            output, errors = process.communicate(timeout=60)
            at = time.monotonic()
            assert (process.returncode, output, errors) == (status, "", "")
            # A waiter who died in the queue is passed over.
            lease = client.acquire(f"{name}-{i}", wait=60)
            took = time.monotonic() - at
            lease.release()
            assert took < SECONDS_TAKEN

        with ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(end, range(ENDS)))


def seconds_to_end(proxy: Proxy, app_id: str, name: str, source: str) -> float:
    """How long a program takes to end once the server answers no more."""
    process = Program(proxy.url, app_id, name).start(
        f"{QUIET}{source}\nprint('ends', flush=True); sys.stdin.readline(); print(time.time(), flush=True)"
    )
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stdout.readline() == "ends\n"
    proxy.black_hole()
    process.stdin.write("\n")
    process.stdin.flush()
    at = float(process.stdout.readline())
    _, errors = process.communicate(timeout=60)
    took = time.time() - at
    proxy.heal()
    assert (process.returncode, errors) == (0, "")
    return took


# The limit, and what an interpreter may take to end on a busy machine.
SLOW_END, QUICK_END = 3.0, 0.9


def test_field_bug_61_a_silent_server_is_not_waited_for(proxy: Proxy, app_id: str, name: str) -> None:
    many = f"{MAKE}others = [Client(URL, app_id=APP) for _ in range(5)]\n"
    many += "leases = [other.acquire(f'{NAME}-{i}', ttl=5) for i, other in enumerate(others)]\n"
    assert seconds_to_end(proxy, app_id, name, many + HOLD.replace("600", "5")) < SLOW_END


def test_field_bug_61_where_nothing_is_left_the_end_comes_at_once(proxy: Proxy, app_id: str, name: str) -> None:
    used = f"{MAKE}client.acquire(NAME).release()\n"
    used += "asyncio.run(AsyncClient(URL, app_id=APP).inspect(NAME))\n"
    assert min(seconds_to_end(proxy, app_id, name, used) for _ in range(5)) < QUICK_END
