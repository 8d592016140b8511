"""gevent and eventlet, where threads are greenlets: whoever waits lets the others run. FIELD-BUGS 58."""

from __future__ import annotations

import textwrap
import time
from dataclasses import replace
from importlib.util import find_spec
from typing import TYPE_CHECKING

import pytest
from conftest import PARAMS, Program, running

from leaselock import Client

if TYPE_CHECKING:
    from pathlib import Path

    from servers import Server

# Not imported here: eventlet would have its say in every fork of this process.
for library in ("gevent", "eventlet"):
    if find_spec(library) is None:
        pytest.skip(f"{library} is not installed", allow_module_level=True)

GEVENT = """
import gevent
def spawn(work, *args): return gevent.spawn(work, *args)
def end(greenlet): return greenlet.get()
def kill(greenlet): greenlet.kill()
TimeOut = gevent.Timeout
"""
EVENTLET = """
def spawn(work, *args): return eventlet.spawn(work, *args)
def end(greenlet): return greenlet.wait()
def kill(greenlet): greenlet.kill(); time.sleep(0)
TimeOut = eventlet.Timeout
"""
# How a program is patched, and what the same things are called there.
PATCHES = {
    "gevent": ("from gevent import monkey; monkey.patch_all()", GEVENT),
    "gevent-threads-left": ("from gevent import monkey; monkey.patch_all(thread=False)", GEVENT),
    "gevent-late": ("", "from gevent import monkey; monkey.patch_all()" + GEVENT),
    "eventlet": ("import eventlet; eventlet.monkey_patch()", EVENTLET),
}
# Measures for how long at most nobody else could run.
TICKER = """
gaps = [0.0]
def tick():
    last = time.monotonic()
    while True:
        time.sleep(0.01)
        now = time.monotonic()
        gaps[0] = max(gaps[0], now - last - 0.01)
        last = now
"""


def run(program: Program, patch: str, source: str, timeout: float = 60) -> str:
    first, helpers = PATCHES[patch]
    code = helpers + TICKER + textwrap.dedent(source)
    return replace(program, first=first).run(code, "-Wignore", timeout=timeout)


@pytest.fixture(
    params=[*PARAMS, "file", "memory"], ids=lambda param: param["name"] if isinstance(param, dict) else param
)
def anywhere(request: pytest.FixtureRequest, tmp_path: Path, app_id: str, name: str) -> Program:
    """A program on each store."""
    urls = {"file": f"file:{tmp_path}/locks.db", "memory": "memory:greenlets"}
    url = urls[request.param] if isinstance(request.param, str) else running(request.param)["url"]
    return Program(url, app_id, name)


@pytest.mark.parametrize("patch", PATCHES)
def test_field_bug_58_twelve_greenlets_on_one_lock(anywhere: Program, patch: str) -> None:
    """No update is lost, and the hub never stands still for a second."""
    output = run(
        anywhere,
        patch,
        """
        client = Client(URL, app_id=APP)
        counted = 0

        def count():
            global counted
            for _ in range(5):
                with client.lock(NAME) as lease:
                    before = counted
                    time.sleep(0.01)
                    counted = before + 1
                    lease.check()
        spawn(tick)
        for greenlet in [spawn(count) for _ in range(12)]: end(greenlet)
        stats = client.stats()
        client.close()
        print(counted, stats.acquired, stats.contended > 10, gaps[0] < 1 or gaps[0])
        """,
    )
    assert output == "60 60 True True\n"


@pytest.mark.parametrize("patch", PATCHES)
def test_field_bug_58_a_silent_server_does_not_stop_the_hub(own_server: Server, name: str, patch: str) -> None:
    program = Program(own_server.url, "app", name)
    source = """
        client = Client(URL, app_id=APP, command_timeout=1.5)
        for _ in range(5): client.acquire(NAME).release()
        print("in use", flush=True)
        sys.stdin.readline()
        spawn(tick)

        def ask(how):
            try:
                how()
            except StoreUnavailableError:
                return "unavailable"
        ways = [
            lambda: client.acquire(NAME, wait=1), lambda: client.try_acquire(NAME), lambda: client.inspect(NAME),
            lambda: client.release(NAME, "me"), lambda: client.force_release(NAME),
            lambda: client.extend(NAME, "me", 1), lambda: list(client.locks()),
        ]
        print(*[end(greenlet) for greenlet in [spawn(ask, way) for way in ways]], gaps[0] < 1 or gaps[0])
        """
    first, helpers = PATCHES[patch]
    process = replace(program, first=first).start(helpers + TICKER + textwrap.dedent(source), "-Wignore")
    assert process.stdout is not None
    assert process.stdout.readline() == "in use\n"
    own_server.pause()
    try:
        output, errors = process.communicate("\n", timeout=40)
    finally:
        own_server.resume()
        process.kill()
    assert (output, errors) == ("unavailable " * 7 + "True\n", "")


@pytest.mark.parametrize("patch", PATCHES)
def test_field_bug_58_waits_end_in_time_and_from_outside(anywhere: Program, patch: str) -> None:
    """By their own time, by the library's time-outs, and by a kill; each is undone."""
    output = run(
        anywhere,
        patch,
        """
        client, other = Client(URL, app_id=APP), Client(URL, app_id=APP)
        lease = client.acquire(NAME)
        begun = time.monotonic()
        try: other.acquire(NAME, wait=0.3)
        except LockTimeoutError: print("timed out", time.monotonic() - begun >= 0.3)
        try:
            with TimeOut(0.3): other.acquire(NAME)
        except TimeOut: print("ended by the library")
        waiting = spawn(other.acquire, NAME)
        while client.inspect(NAME).waiters != 1: time.sleep(0.01)
        kill(waiting)
        until = time.monotonic() + 10
        while client.inspect(NAME).waiters and time.monotonic() < until: time.sleep(0.01)
        print(client.inspect(NAME).waiters, other.stats().waiting)
        lease.release()
        with other.lock(NAME): pass
        client.close(); other.close()
        """,
    )
    assert output == "timed out True\nended by the library\n0 0\n"


@pytest.mark.parametrize("patch", PATCHES)
def test_field_bug_58_losses_and_everything_else(anywhere: Program, patch: str) -> None:
    output = run(
        anywhere,
        patch,
        """
        import logging
        logging.getLogger("leaselock").setLevel(logging.ERROR)
        client = Client(URL, app_id=APP)
        lost = []
        lease = client.acquire(NAME, ttl=0.6)
        lease.on_lost(lost.append)
        waiting = spawn(lease.wait_lost)
        time.sleep(0.05)
        print(lease.wait_lost(0.1), client.force_release(NAME).name, end(waiting), lease.state)
        until = time.monotonic() + 10
        while not lost and time.monotonic() < until: time.sleep(0.01)
        print([type(error).__name__ for error in lost])

        with client.lock(NAME) as lease:
            lease.extend(20)
            print([info.name == NAME for info in client.locks()])
            print(client.try_acquire(NAME), client.release(NAME, "x").name)
        detached = client.acquire(NAME)
        detached.detach()
        print(client.release(NAME, detached.owner).name)
        print(client.lock(NAME)(lambda: client.inspect(NAME).waiters)())
        kept = client.acquire(f"{NAME}-kept")
        client.close()
        print(kept.release(), client.closed)
        """,
    )
    assert output == ("False RELEASED True lost\n['LeaseLostError']\n[True]\nNone NOT_OWNER\nRELEASED\n0\nTrue True\n")


@pytest.mark.parametrize("patch", PATCHES)
def test_field_bug_58_a_program_ends(program: Program, patch: str) -> None:
    """At once, with a client open, callbacks registered and greenlets that wait."""
    with Client(program.url, app_id=program.app_id) as client, client.lock(program.name):
        begun = time.monotonic()
        output = run(
            program,
            patch,
            """
            client = Client(URL, app_id=APP)
            lease = client.acquire(f"{NAME}-mine", ttl=20)
            lease.on_lost(print)
            waiting = [spawn(client.acquire, NAME) for _ in range(3)]
            while client.inspect(NAME).waiters < 3: time.sleep(0.01)
            print("over", flush=True)
            """,
        )
        assert output == "over\n"
        assert time.monotonic() - begun < 15


@pytest.mark.parametrize("patch", PATCHES)
def test_field_bug_58_forks_of_greenlets(program: Program, patch: str) -> None:
    """As gunicorn forks: by the library's own `os.fork`, while others wait, whose copies in the child are refused."""
    output = run(
        program,
        patch,
        """
        client = Client(URL, app_id=APP)
        lease = client.acquire(NAME)
        parent = os.getpid()

        def wait():
            try:
                client.acquire(NAME).release()
            except RuntimeError as error:
                assert os.getpid() != parent and "forked" in str(error), error
        waiting = spawn(wait)
        while client.inspect(NAME).waiters < 1: time.sleep(0.01)
        child = os.fork()
        if child == 0:
            try:
                assert (lease.state, client.try_acquire(NAME)) == ("lost", None)
                client.acquire(f"{NAME}-child").release()
                try: client.acquire(NAME, wait=0.2)
                except LockTimeoutError: os._exit(0)
            finally:
                os._exit(1)
        while not (ended := os.waitpid(child, os.WNOHANG))[0]: time.sleep(0.01)
        print(os.waitstatus_to_exitcode(ended[1]))
        lease.release()
        end(waiting)
        client.close()
        """,
    )
    assert output == "0\n"
