"""The line: the connection on which an event loop itself sends and receives uncontended acquires and releases."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import random
import re
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import certs
import pytest
import uvloop
from servers import Server

from leaselock import (
    AsyncClient,
    AsyncLease,
    Client,
    ClientClosedError,
    LockTimeoutError,
    StoreUnavailableError,
    _bridge,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from conftest import Program

COMMAND_TIMEOUT = 0.8


@dataclass(frozen=True)
class Lined:
    """A client whose line on the running loop is open, on a server of its own."""

    server: Server
    client: AsyncClient
    lines: set[str]
    """The server's numbers of the connections that came after its first."""


def connections(server: Server) -> set[str]:
    """The server's numbers of the connections to it, but for the one that asks."""
    with server.connect() as connection:
        own = str(connection.command("CLIENT", "ID"))
        listed = str(connection.command("CLIENT", "LIST"))
    return set(re.findall(r"^id=(\d+)", listed, re.MULTILINE)) - {own}


def left(server: Server) -> list[str]:
    """The keys of locks and queues that are left."""
    keys = server.command("KEYS", "*")
    assert isinstance(keys, list)
    return [str(key) for key in keys if not str(key).endswith("||fence")]


async def eventually(what: str, holds: Callable[[], bool], seconds: float = 5) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"not so after {seconds} s: {what}"
        await asyncio.sleep(0.01)


async def open_line(server: Server, client: AsyncClient) -> set[str]:
    """Uses a client until it has a line on this loop; the server's numbers of the connections that came meanwhile."""
    await (await client.acquire("first")).release()
    before = connections(server)
    deadline = time.monotonic() + 5
    while not (new := connections(server) - before):
        assert time.monotonic() < deadline, "no line was opened"
        await (await client.acquire("first")).release()
    # In use from here on, with its counter seeded.
    await (await client.acquire("first")).release()
    return new


@pytest.fixture
async def lined(own_server: Server) -> AsyncIterator[Lined]:
    async with AsyncClient(own_server.url, command_timeout=COMMAND_TIMEOUT) as client:
        yield Lined(own_server, client, await open_line(own_server, client))


@contextlib.contextmanager
def listening(lined: Lined) -> Iterator[Callable[[], tuple[int, int]]]:
    """Gives what counts the commands about `n…` that have come by the line meanwhile, and by other connections."""

    def count() -> tuple[int, int]:
        lined.server.command("ECHO", "over")
        asked: list[str] = []
        while '"over"' not in (line := str(monitor.read())):
            asked += re.findall(r"\[0 (\d\S+)\] .*lock\|\|n", line)
        by_line = [address for address in asked if address in addresses]
        return len(by_line), len(asked) - len(by_line)

    listed = str(lined.server.command("CLIENT", "LIST"))
    addresses = re.findall(rf"^id=(?:{'|'.join(lined.lines)}) addr=(\S+)", listed, re.MULTILINE)
    with lined.server.connect() as monitor:
        monitor.command("MONITOR")
        yield count


def names(count: int) -> list[str]:
    return [f"n{i}" for i in range(count)]


async def take_all(client: AsyncClient, wanted: list[str], **options: Any) -> list[AsyncLease]:
    return list(await asyncio.gather(*(client.acquire(name, **options) for name in wanted)))


async def release_all(leases: list[AsyncLease]) -> list[bool]:
    return list(await asyncio.gather(*(lease.release() for lease in leases)))


async def test_many_at_once_go_by_the_line(lined: Lined) -> None:
    with listening(lined) as count:
        for _ in range(3):
            leases = await take_all(lined.client, names(64))
            assert [lease.name for lease in leases] == names(64)
            assert [lease.token for lease in leases] == sorted({lease.token for lease in leases})
            assert await release_all(leases) == [True] * 64
        by_line, by_others = count()
    assert by_line >= 3 * 64 * 2
    assert by_others == 0
    assert left(lined.server) == []
    assert lined.client.stats().held == 0


@pytest.mark.parametrize("end", ["cancelled", "closed", "line broken", "blocked"])
async def test_an_end_about_the_time_of_a_grant(own_server: Server, end: str) -> None:
    """FIELD-BUGS 20: whatever happens then, nobody hangs and nothing is left."""
    for microseconds in (0, 50, 100, 200, 300, 500, 1000, 2000):
        async with AsyncClient(own_server.url, command_timeout=COMMAND_TIMEOUT) as client:
            lines = await open_line(own_server, client)
            with Client(own_server.url) as other:
                held = other.acquire("a")
                taking = asyncio.create_task(client.acquire("a"))
                await eventually("it waits", lambda: any(info.waiters for info in other.locks("a")))
                releasing = threading.Thread(target=held.release)
                releasing.start()
                await asyncio.sleep(microseconds / 1e6)
                if end == "cancelled":
                    taking.cancel()
                elif end == "closed":
                    await client.aclose()
                elif end == "line broken":
                    for line in lines:
                        own_server.command("CLIENT", "KILL", "ID", line)
                else:
                    time.sleep(0.05)
                (ended,) = await asyncio.wait_for(asyncio.gather(taking, return_exceptions=True), 5)
                await asyncio.to_thread(releasing.join)
                if isinstance(ended, AsyncLease):
                    assert ended.held or end == "closed"
                    await ended.release()
                elif end == "cancelled":
                    assert isinstance(ended, asyncio.CancelledError)
                else:
                    assert end == "closed"
                    assert isinstance(ended, ClientClosedError)
        await eventually("nothing is left", lambda: left(own_server) == [])


async def test_a_held_name_is_waited_for_and_told_when_tried_once(lined: Lined) -> None:
    client = lined.client
    holder = await client.acquire("held")
    assert await client.try_acquire("held") is None
    for wait in (0, 0.05):
        with pytest.raises(LockTimeoutError):
            await client.acquire("held", wait=wait)
    waiting = asyncio.create_task(client.acquire("held", wait=5))
    while (info := await client.inspect("held")) is None or info.waiters == 0:
        await asyncio.sleep(0.01)
    assert await holder.release() is True
    assert await holder.release() is True
    lease = await waiting
    assert lease.token > holder.token
    assert await asyncio.gather(*(lease.release() for _ in range(3))) == [True] * 3
    assert left(lined.server) == []


async def test_what_is_under_way_when_the_line_breaks_goes_on_elsewhere(lined: Lined) -> None:
    """FIELD-BUGS 20."""
    held = await take_all(lined.client, names(5))
    lined.server.pause()
    releasing = asyncio.create_task(release_all(held))
    taking = asyncio.create_task(take_all(lined.client, [f"k{i}" for i in range(20)]))
    await asyncio.sleep(0)
    killers = [
        threading.Thread(target=lined.server.command, args=("CLIENT", "KILL", "ID", line)) for line in lined.lines
    ]
    for killer in killers:
        killer.start()
    await asyncio.sleep(0.1)
    lined.server.resume()
    released, leases = await releasing, await taking
    for killer in killers:
        await asyncio.to_thread(killer.join)
    assert released == [True] * 5
    assert all(lease.held for lease in leases)
    assert not lined.lines & connections(lined.server)
    shared = connections(lined.server)
    deadline = time.monotonic() + 5
    while connections(lined.server) <= shared:
        assert time.monotonic() < deadline, "no other line was opened"
        await (await lined.client.acquire("first")).release()
    assert await release_all(leases) == [True] * 20
    await eventually("nothing is left", lambda: left(lined.server) == [])


async def test_a_server_that_is_silent_for_longer_than_the_command_timeout(lined: Lined) -> None:
    client = lined.client
    held = await client.acquire("held")
    lined.server.pause()
    try:
        started = time.monotonic()
        ends = asyncio.gather(
            client.try_acquire("once"),
            client.acquire("short", wait=0.3),
            client.acquire("waiting"),
            held.release(),
            return_exceptions=True,
        )
        with pytest.raises(StoreUnavailableError):
            await client.acquire("shorter", wait=0.1)
        assert 0.09 < time.monotonic() - started < 0.7
        assert [type(end) for end in await ends] == [StoreUnavailableError] * 4
        assert time.monotonic() - started < 4
    finally:
        lined.server.resume()
    await eventually("all but one is undone", lambda: left(lined.server) in ([], ["lock||held"]), 8)
    assert await held.release() is True, "it may be tried again"
    assert left(lined.server) == []


@pytest.mark.alone  # on a busy machine the server may answer before the loop looks at its clock
@pytest.mark.parametrize("blocked", [0.5, 1.5])
async def test_a_loop_that_is_blocked_while_operations_are_under_way(lined: Lined, blocked: float) -> None:
    """FIELD-BUGS 7: for longer than half the TTL, and for longer than the command time-out."""
    held = await take_all(lined.client, names(3), ttl=0.6)
    releasing = [asyncio.create_task(lease.release()) for lease in held]
    taking = [asyncio.create_task(lined.client.acquire(f"t{i}", ttl=0.6, renew=False)) for i in range(3)]
    # Begun in the loop's next turn, and those that do not go alone are written in the one after it.
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    time.sleep(blocked)
    assert await asyncio.gather(*releasing) == [True] * 3
    for lease in await asyncio.gather(*taking):
        assert lease.held
        assert lease.expires_in > 0.2
        assert lined.server.command("GET", f"lock||{lease.name}") == lease.owner
        assert await lease.release() is True
    # It goes on, by the same line or the next.
    assert await release_all(await take_all(lined.client, names(20))) == [True] * 20
    assert left(lined.server) == []


@pytest.mark.parametrize("seed", range(4))
async def test_a_storm_of_cancellations_leaves_nothing(lined: Lined, seed: int) -> None:
    """FIELD-BUGS 20: whoever is not cancelled gets what it asked for, and all that was taken is given back."""
    chance = random.Random(seed)
    finished = 0

    async def work(name: str) -> None:
        nonlocal finished
        async with lined.client.lock(name):
            await asyncio.sleep(chance.choice([0, 0, 0.001]))
        finished += 1

    tasks = []
    for i in range(400):
        # Some share a name, and wait on the runtime for it.
        tasks.append(asyncio.create_task(work(f"n{i % 40}")))
        if chance.random() < 0.3:
            await asyncio.sleep(chance.choice([0, 0, 0.0005]))
        if chance.random() < 0.5:
            chance.choice(tasks).cancel()
    ends = await asyncio.gather(*tasks, return_exceptions=True)
    cancelled = [end for end in ends if isinstance(end, asyncio.CancelledError)]
    assert [end for end in ends if end is not None and end not in cancelled] == []
    assert finished == 400 - len(cancelled)
    assert cancelled
    assert await release_all(await take_all(lined.client, names(40), wait=4)) == [True] * 40
    await eventually("nothing is left", lambda: left(lined.server) == [])
    assert lined.client.stats().held == 0


async def test_cancelling_before_the_answer_comes(lined: Lined) -> None:
    """FIELD-BUGS 20: what is under way is undone when its answer comes; a release is carried out all the same."""
    held = await take_all(lined.client, names(5))
    lined.server.pause()
    tasks = [asyncio.create_task(lined.client.acquire(f"c{i}")) for i in range(5)]
    tasks += [asyncio.create_task(lease.release()) for lease in held]  # type: ignore[arg-type]
    await asyncio.sleep(0.05)
    for task in tasks:
        task.cancel()
    for task in tasks:
        with pytest.raises(asyncio.CancelledError):
            await task
    lined.server.resume()
    await eventually("nothing is left", lambda: left(lined.server) == [])
    assert [lease.state for lease in held] == ["released"] * 5
    assert await release_all(held) == [True] * 5
    assert lined.lines <= connections(lined.server)


async def test_what_is_abandoned_while_answers_are_told_does_not_wait(
    lined: Lined, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A collection of garbage may do that in the middle of anything."""
    loop = asyncio.get_running_loop()
    heard = asyncio.Event()

    def hear(_: object) -> None:
        heard.set()

    def call_soon(callback: Callable[..., Any], *args: Any, **kwargs: Any) -> asyncio.Handle:
        if callback is hear:
            abandoned.close()
        return type(loop).call_soon(loop, callback, *args, **kwargs)

    with Client(lined.server.url) as other, other.lock("held"):
        told, abandoned = lined.client.acquire("free"), lined.client.acquire("held")
        # Both answers come together.
        lined.server.pause()
        told.send(None).add_done_callback(hear)
        abandoned.send(None)
        monkeypatch.setattr(loop, "call_soon", call_soon)
        await asyncio.sleep(0.05)
        lined.server.resume()
        await heard.wait()
        await asyncio.sleep(0.1)
        assert [info.waiters for info in other.locks("held")] == [0]
        told.close()
    await eventually("nothing is left", lambda: left(lined.server) == [])


async def test_closing_a_client_while_its_line_is_busy(lined: Lined) -> None:
    held = await lined.client.acquire("held")
    taking = [asyncio.create_task(lined.client.acquire(name)) for name in names(20)]
    releasing = asyncio.create_task(held.release())
    await asyncio.sleep(0)
    await lined.client.aclose()
    for end in await asyncio.gather(*taking, return_exceptions=True):
        assert isinstance(end, (AsyncLease, ClientClosedError)), end
        assert not isinstance(end, AsyncLease) or not end.held
    assert await releasing is True
    await eventually("nothing is left", lambda: left(lined.server) == [])
    await eventually("its connections are closed", lambda: connections(lined.server) == set())
    assert id(asyncio.get_running_loop()) not in _bridge._bridges


async def test_collecting_a_client_ends_its_line(own_server: Server) -> None:
    client = AsyncClient(own_server.url)
    await open_line(own_server, client)
    lease = await client.acquire("a")
    del client
    gc.collect()
    assert await lease.release() is True
    del lease
    await eventually("its connections are closed", lambda: connections(own_server) == set())
    await eventually("so is the bridge", lambda: id(asyncio.get_running_loop()) not in _bridge._bridges)


def test_a_loop_that_is_closed_with_operations_under_way(own_server: Server) -> None:
    """FIELD-BUGS 20, 21: what was asked for is undone, what was given back is given back."""
    client = AsyncClient(own_server.url, command_timeout=COMMAND_TIMEOUT)

    async def main(*, cancel: bool) -> None:
        await open_line(own_server, client)
        held = await take_all(client, names(3))
        own_server.pause()
        tasks = [asyncio.create_task(client.acquire(f"k{i}")) for i in range(3)]
        tasks += [asyncio.create_task(lease.release()) for lease in held]  # type: ignore[arg-type]
        await asyncio.sleep(0.02)
        if cancel:
            for task in tasks:
                task.cancel()

    for cancel in (True, False):
        # `run` cancels what is left; its loop does not turn often enough for any answer.
        asyncio.run(main(cancel=cancel))
        gc.collect()
        own_server.resume()
        deadline = time.monotonic() + 8
        while left(own_server) != []:
            assert time.monotonic() < deadline, left(own_server)
            time.sleep(0.02)
    asyncio.run(client.aclose())


def test_a_line_for_each_loop(own_server: Server) -> None:
    client = AsyncClient(own_server.url)
    ready = threading.Barrier(2)
    lines: list[set[str]] = []
    alone = threading.Lock()

    async def work(number: int) -> None:
        with alone:
            lines.append(await open_line(own_server, client))
        await asyncio.to_thread(ready.wait)
        for _ in range(20):
            assert await release_all(await take_all(client, [f"{number}-{name}" for name in names(16)])) == [True] * 16
        # A lease of one loop, given back on the other.
        kept.append(await client.acquire(f"kept-{number}"))
        await asyncio.to_thread(ready.wait)
        assert await kept[0 if kept[0].name != f"kept-{number}" else 1].release() is True
        await asyncio.to_thread(ready.wait)
        if number == 0:
            await client.aclose()
        await asyncio.to_thread(ready.wait)
        await eventually("the bridge is closed", lambda: id(asyncio.get_running_loop()) not in _bridge._bridges)

    kept: list[AsyncLease] = []
    threads = [threading.Thread(target=lambda i=i: asyncio.run(work(i))) for i in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()
    assert len(lines) == 2
    assert not lines[0] & lines[1]
    assert left(own_server) == []
    deadline = time.monotonic() + 5
    while connections(own_server):
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_loops_that_end_leave_no_connections(own_server: Server, new_loop: Callable[[], Any]) -> None:
    client = AsyncClient(own_server.url)

    async def main() -> None:
        await open_line(own_server, client)
        assert await release_all(await take_all(client, names(16))) == [True] * 16

    def descriptors() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    def run() -> None:
        loop = new_loop()
        loop.run_until_complete(main())
        loop.close()

    run()
    gc.collect()
    shared = 2  # what all loops use, with and without waiting
    deadline = time.monotonic() + 5
    while len(connections(own_server)) > shared:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    before = descriptors()
    for _ in range(8):
        run()
    gc.collect()
    # The second of those connections may have come after the count, and has a few.
    while len(connections(own_server)) > shared or descriptors() > before + 4:
        assert time.monotonic() < deadline + 5, (connections(own_server), descriptors(), before)
        time.sleep(0.02)
    asyncio.run(client.aclose())


def test_a_line_in_a_fork(program: Program) -> None:
    """FIELD-BUGS 23: the parent's line is the parent's, also when the child's end tears its loop down."""
    output = program.run(
        """
        import gc
        client = AsyncClient(URL, app_id=APP)

        async def use(rounds):
            for _ in range(rounds):
                leases = await asyncio.gather(*(client.acquire(f"{NAME}-{os.getpid()}-{i}") for i in range(8)))
                assert all(await asyncio.gather(*(lease.release() for lease in leases)))

        async def child():
            await use(50)
            assert await client.try_acquire(f"{NAME}-held") is None
            await client.aclose()

        async def main():
            await use(50)
            held = await client.acquire(f"{NAME}-held")
            for _ in range(5):
                under_way = asyncio.create_task(client.acquire(f"{NAME}-under-way"))
                await asyncio.sleep(0)
                pid = os.fork()
                if pid == 0:
                    status = 1
                    try:
                        asyncio.run(child())
                        gc.collect()
                        status = 0
                    finally:
                        os._exit(status)
                await use(50)
                assert await (await under_way).release()
                _, status = await asyncio.to_thread(os.waitpid, pid, 0)
                assert status == 0, status
            held.check()
            assert await held.release()
            await client.aclose()
            print("done")

        asyncio.run(main())
        """,
        "-Wignore::DeprecationWarning",
        timeout=60,
    )
    assert output == "done\n"


def test_the_interpreter_ends_with_operations_under_way(program: Program, own_server: Server) -> None:
    """FIELD-BUGS 21: at once and silently, whatever the loop was about to hear."""
    program.run(
        f"""
        import warnings; warnings.simplefilter("ignore")
        client = AsyncClient({own_server.url!r})
        async def main():
            for _ in range(50):
                await (await client.acquire(NAME)).release()
            os.kill({own_server.pid}, signal.SIGSTOP)
            task = asyncio.ensure_future(client.acquire(NAME))
            await asyncio.sleep(0.05)
            task._log_destroy_pending = False
            return task
        loop = asyncio.new_event_loop()
        kept = loop.run_until_complete(main())
        """,
        timeout=20,
    )
    own_server.resume()


def test_over_tls_all_goes_by_the_runtime(server: dict[str, Any], program: Program, tmp_path: Path) -> None:
    if server["name"] != "redis":
        pytest.skip("this build of the server may have no TLS")
    certs.make(tmp_path)
    with Server(server["binary"], tls=tmp_path) as secure:
        output = program.run(
            f"""
            async def main():
                async with AsyncClient({secure.url!r}) as client:
                    for _ in range(20):
                        names = [f"n{{i}}" for i in range(8)]
                        leases = await asyncio.gather(*map(client.acquire, names))
                        assert all(await asyncio.gather(*(lease.release() for lease in leases)))
                    print("done")
            asyncio.run(main())
            """,
            SSL_CERT_FILE=str(tmp_path / "ca.crt"),
        )
    assert output == "done\n"
