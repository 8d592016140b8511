"""After a fork: the child works, and never touches what is the parent's. FIELD-BUGS 23."""

from __future__ import annotations

import multiprocessing
import sys
import textwrap
from typing import TYPE_CHECKING

import pytest
from conftest import Program

from leaselock import Client

if TYPE_CHECKING:
    from collections.abc import Callable

# Python warns of forking with threads around, and rightly so; here it is the point.
QUIET = "-Wignore::DeprecationWarning"

# What a child does, and what both print; the parent waits for it and exits with its status.
CHILD = """
def in_child(work):
    child = os.fork()
    if child == 0:
        try:
            work()
        except BaseException as error:
            import traceback
            traceback.print_exc()
            os._exit(1)
        sys.stdout.flush()
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert status == 0, status
"""


def run(program: Program, source: str, timeout: float = 30) -> str:
    return program.run(CHILD + textwrap.dedent(source), QUIET, timeout=timeout)


def test_an_inherited_client_works_again_under_a_new_id(program: Program) -> None:
    output = run(
        program,
        """
        client = Client(URL, app_id=APP)
        with client.lock(NAME): pass
        before = client.id

        def work():
            assert client.id != before
            assert client.app_id == APP
            with client.lock(NAME, ttl=0.6) as lease:
                time.sleep(0.9)
                lease.check()
                print("held in the child", client.stats().acquired, client.stats().renewals > 0)
            client.close()
        in_child(work)
        assert client.id == before
        with client.lock(NAME) as lease:
            print("held in the parent", client.stats().acquired)
        client.close()
        """,
    )
    assert output == "held in the child 1 True\nheld in the parent 2\n"


def test_inherited_leases_are_lost_and_left_alone(program: Program) -> None:
    output = run(
        program,
        """
        import gc
        client = Client(URL, app_id=APP)
        lease = client.acquire(NAME, ttl=0.9)
        heard = []
        lease.on_lost(heard.append)

        def work():
            global lease
            assert (lease.state, lease.held, lease.expires_in) == ("lost", False, 0.0)
            assert (lease.name, lease.ttl) == (NAME, 0.9) and lease.owner and lease.token
            for call in (lease.check, lease.extend, lease.__enter__):
                try:
                    call()
                except LeaseLostError as error:
                    assert error.reason == "taken", error.reason
                else:
                    raise AssertionError(call)
            assert lease.release() is False
            assert lease.wait_lost() is True
            lease.detach()
            repr(lease)
            info = client.inspect(NAME)
            assert info.owner == lease.owner, "the parent's lease is still there"
            del lease
            gc.collect()
            time.sleep(0.5)
            assert client.inspect(NAME) is not None, "nor is it given back by being collected"
            assert heard == []
            print("child is done")
        in_child(work)
        time.sleep(0.5)
        lease.check()
        assert lease.release() is True
        client.close()
        print("parent is done")
        """,
    )
    assert output == "child is done\nparent is done\n"


def test_a_block_left_in_the_child(program: Program) -> None:
    output = run(
        program,
        """
        client = Client(URL, app_id=APP)
        try:
            with client.lock(NAME) as lease:
                child = os.fork()
        except LeaseLostError as error:
            print("child", error.reason, flush=True)
            os._exit(0)
        os.waitpid(child, 0)
        print("parent", lease.state, client.inspect(NAME))
        client.close()
        """,
    )
    assert output == "child taken\nparent released None\n"


def test_child_and_parent_exclude_each_other(program: Program) -> None:
    output = run(
        program,
        """
        client = Client(URL, app_id=APP)
        lease = client.acquire(NAME)

        def work():
            assert client.try_acquire(NAME) is None
            try:
                client.acquire(NAME, wait=0.2)
            except LockTimeoutError:
                print("timed out")
        in_child(work)
        lease.release()
        in_child(lambda: client.acquire(NAME).release() and print("taken"))
        client.close()
        """,
    )
    assert output == "timed out\ntaken\n"


def test_forking_while_other_threads_use_the_client(program: Program) -> None:
    output = run(
        program,
        """
        client = Client(URL, app_id=APP)
        stop = False

        def busy(i):
            while not stop:
                with client.lock(f"{NAME}-{i % 2}"): pass

        threads = [threading.Thread(target=busy, args=(i,)) for i in range(4)]
        for thread in threads: thread.start()

        def work():
            with client.lock(NAME): pass
            Client(URL, app_id=APP).acquire(NAME).release()
        for _ in range(25):
            in_child(work)
        stop = True
        for thread in threads: thread.join()
        client.close()
        print("done")
        """,
        timeout=60,
    )
    assert output == "done\n"


def test_forking_while_another_thread_waits(program: Program) -> None:
    output = run(
        program,
        """
        client = Client(URL, app_id=APP)
        lease = client.acquire(NAME)
        waiting = threading.Thread(target=lambda: client.acquire(NAME).release())
        waiting.start()
        while client.inspect(NAME).waiters == 0: time.sleep(0.01)

        def work():
            assert client.inspect(NAME).waiters == 1
            assert client.stats().waiting == 0
        in_child(work)
        assert client.inspect(NAME).waiters == 1
        lease.release()
        waiting.join(5)
        assert not waiting.is_alive()
        client.close()
        print("done")
        """,
    )
    assert output == "done\n"


def test_a_fork_of_a_fork(program: Program) -> None:
    output = run(
        program,
        """
        client = Client(URL, app_id=APP)
        ids = {client.id}
        client.acquire(NAME).release()

        def deeper(depth):
            assert client.id not in ids
            ids.add(client.id)
            client.acquire(NAME).release()
            print("depth", depth, flush=True)
            if depth < 3:
                in_child(lambda: deeper(depth + 1))
        in_child(lambda: deeper(1))
        client.close()
        """,
    )
    assert output == "depth 1\ndepth 2\ndepth 3\n"


def test_a_fork_from_a_thread(program: Program) -> None:
    """The forking thread is the child's main thread: Ctrl-C works in it."""
    output = run(
        program,
        """
        client = Client(URL, app_id=APP)
        lease = client.acquire(NAME)

        def work():
            threading.Timer(0.2, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
            try:
                client.acquire(NAME)
            except KeyboardInterrupt:
                print("interrupted")
        thread = threading.Thread(target=lambda: (client.inspect(NAME), in_child(work)))
        thread.start()
        thread.join()
        lease.release()
        client.close()
        """,
    )
    assert output == "interrupted\n"


def test_a_closed_client_stays_closed_in_the_child(program: Program) -> None:
    output = run(
        program,
        """
        client = Client(URL, app_id=APP)
        client.inspect(NAME)
        client.close()

        def work():
            assert client.closed
            try:
                client.acquire(NAME)
            except ClientClosedError:
                print("closed")
        in_child(work)
        """,
    )
    assert output == "closed\n"


def test_asyncio_in_the_child(program: Program) -> None:
    output = run(
        program,
        """
        import gc
        client = AsyncClient(URL, app_id=APP)
        lock = client.lock(NAME, wait=2)
        kept = []

        async def parent():
            kept.append(await client.acquire(f"{NAME}-kept", ttl=30))
            async with lock as lease:
                in_child(lambda: asyncio.run(child(lease)))
                lease.check()
            in_child(lambda: asyncio.run(free()))
            await client.aclose()

        async def child(lease):
            assert lease.state == "lost"
            assert await lease.release() is False
            assert await lease.wait_lost() is True
            try:
                await lease.extend()
            except LeaseLostError as error:
                assert error.reason == "taken"
            assert await client.try_acquire(NAME) is None
            kept.clear()
            gc.collect()
            assert await client.inspect(f"{NAME}-kept") is not None
            print("child of a running loop", flush=True)

        async def free():
            async with client.lock(NAME): print("taken", flush=True)
            await client.aclose()

        asyncio.run(parent())
        """,
    )
    assert output == "child of a running loop\ntaken\n"


def hold(url: str, app_id: str, name: str) -> int:
    with Client(url, app_id=app_id).lock(name) as lease:
        return lease.token


@pytest.mark.skipif(sys.platform == "darwin", reason="fork is not what multiprocessing does there")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_multiprocessing(client: Client, server_url: str, app_id: str, name: str, method: str) -> None:
    with client.lock(name) as lease:
        first = lease.token
    work: Callable[[str, str, str], int] = hold
    with multiprocessing.get_context(method).Pool(2) as pool:
        tokens = pool.starmap(work, [(server_url, app_id, name)] * 6)
    assert len(set(tokens)) == 6
    assert min(tokens) > first


def test_a_fork_while_another_thread_makes_its_first_call(name: str) -> None:
    """What that thread is looking up, its child looks up itself: it would wait for a thread that it has not got."""
    output = Program(f"memory:{name}", "app", name).run(
        """
        import builtins
        inside, go_on = threading.Event(), threading.Event()
        imports = builtins.__import__

        def slow(module, *rest):
            if module == "select" and threading.current_thread() is thread:
                inside.set()
                go_on.wait()
            return imports(module, *rest)

        client = Client(URL, app_id=APP)
        thread = threading.Thread(target=lambda: client.acquire(NAME).release())
        builtins.__import__ = slow
        thread.start()
        assert inside.wait(20)
        child = os.fork()
        if child == 0:
            signal.alarm(20)
            client.acquire(NAME).release()
            os._exit(0)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        go_on.set()
        thread.join()
        client.close()
        """,
        "-Wignore",
        timeout=60,
    )
    assert output == "0\n"
