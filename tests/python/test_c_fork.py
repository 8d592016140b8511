"""Forks that Python does not see: in C, as uWSGI forks, and past every fork handler. FIELD-BUGS 50, 59."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from typing import TYPE_CHECKING, Any

import pytest
from conftest import PARAMS, Program, running
from resp import Connection

from leaselock import AsyncClient, Client

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from servers import Server

    from leaselock import Lease

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc, and calls glibc's _Fork")

QUIET = "-Wignore"

# `start(work)` forks in C, with the GIL in hand, and nobody asking for it: else Python itself would hang in the child.
# A child that hangs ends as -9.
FORK = """
import ctypes, gc
sys.setswitchinterval(1000)
HOW = os.environ.get("HOW", "fork")
LIBC = ctypes.PyDLL(None)

def start(work):
    child = getattr(LIBC, HOW)() if HOW != "os.fork" else os.fork()
    if child: return child
    try:
        os._exit(work() or 0)
    except BaseException:
        import traceback
        traceback.print_exc()
        os._exit(1)

def end(child):
    until = time.monotonic() + 20
    while not (ended := os.waitpid(child, os.WNOHANG))[0]:
        if time.monotonic() > until: os.kill(child, 9)
        time.sleep(0.001)
    return os.waitstatus_to_exitcode(ended[1])

def fully_in_use(client):
    for _ in range(3): client.acquire(f"{NAME}-warm").release()
"""

# The client's uncontended calls go by a connection of their own by now.
TWO_HOLDERS = """
client = Client(URL, app_id=APP)
fully_in_use(client)

def ask_for_held():
    for _ in range(20):
        if client.try_acquire(NAME) is not None: return 2

def take_free():
    for _ in range(20):
        lease = client.try_acquire(f"{NAME}-free")
        if lease: lease.release()

ends = []
for _ in range(100):
    children = start(ask_for_held), start(take_free)
    ends += map(end, children)
print({how: ends.count(how) for how in set(ends)})
fully_in_use(client)
client.close()
"""


def run(program: Program, source: str, **variables: str) -> str:
    return program.run(FORK + textwrap.dedent(source), QUIET, timeout=110, **variables)


@pytest.fixture(params=[*PARAMS, "file"], ids=lambda param: param["name"] if isinstance(param, dict) else param)
def anywhere(request: pytest.FixtureRequest, tmp_path: Path, app_id: str, name: str) -> Program:
    """A program on each server, and on a file."""
    url = f"file:{tmp_path}/locks.db" if request.param == "file" else running(request.param)["url"]
    return Program(url, app_id, name)


def test_field_bug_59_forks_in_c_beside_a_holder(anywhere: Program) -> None:
    """200 children, two at a time: none takes what another process holds, and none hangs."""
    with Client(anywhere.url, app_id=anywhere.app_id) as client, client.lock(anywhere.name) as lease:
        assert run(anywhere, TWO_HOLDERS) == "{0: 200}\n"
        lease.check()


def test_field_bug_59_forks_past_the_handlers_beside_a_holder(client: Client, program: Program) -> None:
    with client.lock(program.name) as lease:
        assert run(program, TWO_HOLDERS, HOW="_Fork") == "{0: 200}\n"
        lease.check()


def test_field_bug_59_a_file_is_refused_past_the_handlers(tmp_path: Path, app_id: str, name: str) -> None:
    """Nothing is known there of what SQLite was doing."""
    output = run(
        Program(f"file:{tmp_path}/locks.db", app_id, name),
        """
        client = Client(URL, app_id=APP)
        lease = client.acquire(NAME)

        def work():
            assert lease.state == "lost" and lease.release() is False
            try:
                client.acquire(NAME)
            except StoreUnavailableError as error:
                print(error, flush=True)
        print(end(start(work)))
        lease.check()
        lease.release()
        client.close()
        """,
        HOW="_Fork",
    )
    words = "file: and memory: stores cannot be used in a process that was forked past its fork handlers (_Fork, clone)"
    assert output == f"{words}\n0\n"


@pytest.mark.parametrize("how", ["fork", "_Fork", "os.fork"])
def test_field_bug_59_a_lease_stays_with_its_process(program: Program, how: str) -> None:
    output = run(
        program,
        """
        client = Client(URL, app_id=APP)
        fully_in_use(client)
        lease = client.acquire(NAME, ttl=30)
        before = client.id

        def work():
            assert (lease.held, lease.state, lease.release()) == (False, "lost", False)
            assert client.id != before
            assert client.inspect(NAME).owner == lease.owner
            assert client.try_acquire(NAME) is None
            assert end(start(deeper)) == 0
        def deeper():
            ids = {before, client.id}
            client.acquire(f"{NAME}-deeper").release()
            lease = client.acquire(f"{NAME}-deeper", ttl=0.5)
            time.sleep(0.8)
            lease.check()
            lease.release()
        print(end(start(work)))
        lease.check()
        assert lease.release()
        client.close()
        """,
        HOW=how,
    )
    assert output == "0\n"


@pytest.mark.parametrize("how", ["fork", "_Fork", "os.fork"])
def test_field_bug_59_asyncio(client: Client, program: Program, how: str) -> None:
    """The line of the loop, the bridge, and a loop that was forked while it ran."""
    with client.lock(f"{program.name}-held"):
        output = run(
            program,
            """
            client = AsyncClient(URL, app_id=APP)

            async def use():
                for _ in range(20):
                    async with client.lock(NAME): pass
                    assert await client.try_acquire(f"{NAME}-held") is None

            async def parent():
                await use()
                lease = await client.acquire(f"{NAME}-kept")
                children = [start(lambda: asyncio.run(child(lease))) for _ in range(4)]
                await use()
                ends = [await asyncio.to_thread(end, child) for child in children]
                await lease.release()
                await client.aclose()
                return ends

            async def child(lease):
                assert lease.state == "lost" and not await lease.release()
                await use()
                gc.collect()
                await use()

            print(asyncio.run(parent()))
            """,
            HOW=how,
        )
    assert output == "[0, 0, 0, 0]\n"


def test_field_bug_59_whatever_the_parents_threads_do(anywhere: Program) -> None:
    """Threads that take, wait, renew, open and close. The child sets Python's own locks right, as uWSGI does."""
    output = run(
        anywhere,
        """
        client = Client(URL, app_id=APP)
        fully_in_use(client)
        stop = threading.Event()

        def take(i):
            while not stop.is_set():
                with client.lock(f"{NAME}-{i % 2}"): pass
        def renew(i):
            with client.lock(f"{NAME}-renewed-{i}", ttl=20) as lease:
                while not stop.is_set(): lease.extend()
        def make(i):
            while not stop.is_set():
                with Client(URL, app_id=APP) as other: other.acquire(f"{NAME}-{i}").release()
        threads = [threading.Thread(target=w, args=(i,)) for i, w in enumerate([take, take, take, renew, make])]
        for thread in threads: thread.start()

        def work():
            ctypes.pythonapi.PyOS_AfterFork_Child()
            client.acquire(f"{NAME}-child-{os.getpid()}").release()
            Client(URL, app_id=APP).acquire(f"{NAME}-child-{os.getpid()}").release()
        ends = [end(start(work)) for _ in range(30)]
        stop.set()
        for thread in threads: thread.join()
        client.close()
        print(set(ends))
        """,
    )
    assert output == "{0}\n"


@pytest.mark.parametrize("how", ["fork", "os.fork"])
def test_field_bug_59_a_signal_handler_that_forks(anywhere: Program, how: str) -> None:
    """In the middle of a call that waits: the child's copy of it ends, the parent's gets the lock."""
    with Client(anywhere.url, app_id=anywhere.app_id) as client:
        lease = client.acquire(anywhere.name)
        process = anywhere.start(
            FORK
            + textwrap.dedent(r"""
            client = Client(URL, app_id=APP)
            fully_in_use(client)
            parent, children = os.getpid(), []

            def on_signal(*_):
                children.append(getattr(LIBC, HOW)() if HOW != "os.fork" else os.fork())
                os.write(1, b"forked\n")
            signal.signal(signal.SIGUSR1, on_signal)
            try:
                mine = client.acquire(NAME)
            except RuntimeError as error:
                client.acquire(f"{NAME}-child").release()
                os._exit(0 if os.getpid() != parent and "forked" in str(error) else 3)
            assert os.getpid() == parent
            print([end(child) for child in children], mine.release(), flush=True)
            client.close()
            """),
            QUIET,
            HOW=how,
        )
        assert process.stdout is not None
        for waiting in range(3):
            while client.inspect(anywhere.name).waiters < 1:  # type: ignore[union-attr]
                time.sleep(0.02)
            process.send_signal(signal.SIGUSR1)
            assert [process.stdout.readline() for _ in range(2)] == ["forked\n"] * 2, waiting
        lease.release()
        assert process.communicate(timeout=30) == ("[0, 0, 0] True\n", "")


# ---- what a child keeps open


def connections(server: Server) -> int:
    with Connection(port=server.port) as redis:
        return len(str(redis.command("CLIENT", "LIST")).splitlines()) - 1


# It is killed with its connections open; its child, which never uses leaselock, lives on.
KILLED = {
    "sync": """
        client = Client(URL, app_id=APP)
        fully_in_use(client)
        print(start(lambda: time.sleep(60)), flush=True)
        client.acquire(NAME)
        """,
    "asyncio": """
        async def main():
            client = AsyncClient(URL, app_id=APP)
            for _ in range(4): await (await client.acquire(f"{NAME}-warm")).release()
            print(start(lambda: time.sleep(60)), flush=True)
            await client.acquire(NAME)
        asyncio.run(main())
        """,
}


def kill(process: subprocess.Popen[str]) -> None:
    """Its pipes stay open in its child, so nobody reads them to their end."""
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()


@pytest.fixture
def killed() -> Iterator[list[int]]:
    """Children without parents, which are ended with the test."""
    children: list[int] = []
    yield children
    for child in children:
        os.kill(child, 9)


def kill_waiters(program: Program, client: Client, killed: list[int], face: str, **variables: str) -> None:
    """Has three processes wait, each with a child of its own, and kills them."""
    processes = []
    for waiting in range(1, 4):
        process = program.start(FORK + textwrap.dedent(KILLED[face]), QUIET, **variables)
        processes.append(process)
        assert process.stdout is not None
        killed.append(int(process.stdout.readline()))
        while client.inspect(program.name).waiters < waiting:  # type: ignore[union-attr]
            time.sleep(0.02)
    for process in processes:
        kill(process)


def next_is_not_kept_waiting(client: Client, lease: Lease) -> None:
    """Each waiter that counts as alive would have two seconds to claim what it is granted."""
    lease.release()
    begun = time.monotonic()
    client.acquire(lease.name, wait=30).release()
    assert time.monotonic() - begun < 1.5


@pytest.mark.parametrize("how", ["fork", "os.fork"])
@pytest.mark.parametrize("face", KILLED)
def test_field_bug_50_a_child_closes_its_parents_connections(
    own_server: Server, killed: list[int], name: str, face: str, how: str
) -> None:
    """At once, though it never uses leaselock: so the server sees a killed waiter go."""
    with Client(own_server.url, app_id="app") as client:
        lease = client.acquire(name)
        client.inspect(name)
        before = connections(own_server)
        kill_waiters(Program(own_server.url, "app", name), client, killed, face, HOW=how)
        until = time.monotonic() + 10
        while connections(own_server) > before:
            assert time.monotonic() < until, "the children keep the connections of their parents open"
            time.sleep(0.02)
        next_is_not_kept_waiting(client, lease)


@pytest.mark.parametrize("how", ["fork", "os.fork"])
def test_field_bug_50_a_child_closes_its_parents_inbox(tmp_path: Path, killed: list[int], name: str, how: str) -> None:
    program = Program(f"file:{tmp_path}/locks.db", "app", name)
    with Client(program.url, app_id="app") as client:
        lease = client.acquire(name)
        kill_waiters(program, client, killed, "sync", HOW=how)
        next_is_not_kept_waiting(client, lease)


async def test_field_bug_50_a_program_that_is_started_inherits_nothing(server_url: str, app_id: str, name: str) -> None:
    """By `exec`, whether or not a fork came before."""
    async with AsyncClient(server_url, app_id=app_id) as aclient:
        for _ in range(4):
            await (await aclient.acquire(name)).release()
        with Client(server_url, app_id=app_id) as client:
            for _ in range(4):
                client.acquire(name).release()
            ways: list[dict[str, Any]] = [{}, {"preexec_fn": int}, {"start_new_session": True}]
            for options in ways:
                code = (
                    "import os\nfor n in os.listdir('/proc/self/fd'):\n"
                    " try: print(os.readlink(f'/proc/self/fd/{n}'))\n except OSError: pass"
                )
                words = [sys.executable, "-c", code]
                started = subprocess.run(
                    words,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    text=True,
                    close_fds=False,
                    check=True,
                    **options,
                )
                assert "socket:" not in started.stdout
                assert "eventfd" not in started.stdout
                client.acquire(name).release()
