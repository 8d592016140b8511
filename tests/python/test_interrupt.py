"""Ctrl-C in blocking calls: KeyboardInterrupt promptly, and the call undone. FIELD-BUGS 20, 21."""

from __future__ import annotations

import signal
import statistics
import threading
import time
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

    from conftest import Program
    from proxy import Proxy

    from leaselock import Client

TRIES = 5
# A machine under load is late now and then; in the middle it is not.
MEDIAN_SECONDS = 0.1
WORST_SECONDS = 1.0

# What is set up before the server goes silent, and the call that then blocks.
CALLS = {
    "acquire, queued": ("held = other.acquire(NAME)", "client.acquire(NAME)"),
    "a with block, queued": ("held = other.acquire(NAME)", "client.lock(NAME).__enter__()"),
    "a decorated function, queued": ("held = other.acquire(NAME)", "client.lock(NAME)(print)()"),
    "wait_lost": ("lease = client.acquire(NAME, ttl=60)", "lease.wait_lost()"),
    "acquire, no answer": ("silence()", "client.acquire(NAME)"),
    "try_acquire, no answer": ("silence()", "client.try_acquire(NAME)"),
    "extend, no answer": ("lease = client.acquire(NAME, ttl=60); silence()", "lease.extend(50)"),
    "release, no answer": ("lease = client.acquire(NAME, ttl=60); silence()", "lease.release()"),
    "the end of a with block, no answer": (
        "lease = client.acquire(NAME, ttl=60); silence()",
        "lease.__exit__(None, None, None)",
    ),
    "release by hand, no answer": ("silence()", "client.release(NAME, 'owner')"),
    "extend by hand, no answer": ("silence()", "client.extend(NAME, 'owner', 1)"),
    "force_release, no answer": ("silence()", "client.force_release(NAME)"),
    "inspect, no answer": ("silence()", "client.inspect(NAME)"),
    "locks, no answer": ("silence()", "list(client.locks())"),
    "close, no answer": ("lease = client.acquire(NAME, ttl=60); silence()", "client.close()"),
}

SOURCE = """
import warnings
warnings.simplefilter("ignore")
NAME += f"-{{os.getpid()}}"
client, other = Client(URL, app_id=APP, command_timeout=20), Client(URL, app_id=APP)
client.inspect("warm up"); client.acquire("warm-up").release()

def silence():
    print("silence", flush=True)
    sys.stdin.readline()

{before}
print("blocking", flush=True)
try:
    {call}
except KeyboardInterrupt:
    print("interrupted", time.time(), flush=True)
    time.sleep(0.2)
else:
    print("not interrupted", flush=True)
os._exit(0)
"""


def interrupt_once(program: Program, proxy: Proxy, before: str, call: str) -> float:
    """Seconds from the signal to the exception."""
    process = program.start(SOURCE.format(before=before, call=call))
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if line == "silence\n":
            proxy.black_hole()
            wake(process)
            line = process.stdout.readline()
        assert line == "blocking\n", line + (process.stderr.read() if process.stderr else "")
        time.sleep(0.15)
        sent = time.time()
        process.send_signal(signal.SIGINT)
        word, _, at = process.stdout.readline().partition(" ")
        assert word == "interrupted"
        return float(at) - sent
    finally:
        proxy.heal()
        process.kill()
        process.communicate()


def wake(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


@pytest.mark.parametrize(("before", "call"), CALLS.values(), ids=CALLS.keys())
def test_ctrl_c_ends_a_blocking_call(proxied: Program, proxy: Proxy, before: str, call: str) -> None:
    took = [interrupt_once(proxied, proxy, before, call) for _ in range(TRIES)]
    assert statistics.median(took) < MEDIAN_SECONDS, took
    assert max(took) < WORST_SECONDS, took


@pytest.fixture
def proxied(program: Program, proxy: Proxy) -> Program:
    """Programs that reach the server through the proxy."""
    return type(program)(proxy.url, program.app_id, program.name)


def test_an_interrupted_acquire_is_undone(client: Client, program: Program, name: str) -> None:
    with client.lock(name):
        process = program.start(
            """
            client = Client(URL, app_id=APP)
            try:
                client.acquire(NAME)
            except KeyboardInterrupt:
                print("interrupted", flush=True)
            time.sleep(30)
            """
        )
        until(lambda: waiters(client, name) == 1)
        process.send_signal(signal.SIGINT)
        assert process.stdout is not None
        assert process.stdout.readline() == "interrupted\n"
        until(lambda: waiters(client, name) == 0)
    assert client.inspect(name) is None
    process.kill()
    process.communicate()


def test_an_interrupted_release_goes_on(client: Client, proxied: Program, proxy: Proxy, name: str) -> None:
    """FIELD-BUGS 21: the lock is not stuck until its TTL."""
    process = proxied.start(
        """
        client = Client(URL, app_id=APP, command_timeout=20)
        lease = client.acquire(NAME, ttl=600)
        print("held", flush=True)
        sys.stdin.readline()
        try:
            lease.release()
        except KeyboardInterrupt:
            print("interrupted", lease.state, flush=True)
        sys.stdin.readline()
        print(lease.release(), flush=True)
        """
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    proxy.black_hole()
    wake(process)
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    assert process.stdout.readline() == "interrupted released\n"
    proxy.heal()
    until(lambda: client.inspect(name) is None)
    wake(process)
    output, errors = process.communicate(timeout=10)
    assert (output, errors) == ("True\n", "")


def test_handlers_that_do_not_raise_do_not_end_the_call(client: Client, program: Program, name: str) -> None:
    with client.lock(name):
        process = program.start(
            """
            signal.signal(signal.SIGUSR1, lambda *_: print("handled", flush=True))
            client = Client(URL, app_id=APP)
            with client.lock(NAME, wait=20):
                print("held", flush=True)
            """
        )
        until(lambda: waiters(client, name) == 1)
        process.send_signal(signal.SIGUSR1)
        assert process.stdout is not None
        assert process.stdout.readline() == "handled\n"
        assert waiters(client, name) == 1
    output, errors = process.communicate(timeout=10)
    assert (output, errors, process.returncode) == ("held\n", "", 0)


def test_a_handler_may_use_the_client_that_blocks(client: Client, program: Program, name: str) -> None:
    with client.lock(name):
        output = program.run(
            """
            client = Client(URL, app_id=APP)
            done = []
            def handler(*_):
                with client.lock(NAME + "-other"): done.append(client.inspect(NAME).waiters)
            signal.signal(signal.SIGALRM, handler)
            signal.setitimer(signal.ITIMER_REAL, 0.2)
            try:
                client.acquire(NAME, wait=0.6)
            except LockTimeoutError:
                print(done)
            """
        )
    assert output == "[1]\n"


def test_what_a_handler_raises_comes_out(program: Program, client: Client, name: str) -> None:
    with client.lock(name):
        output = program.run(
            """
            class Mine(Exception): pass
            def handler(*_): raise Mine("from the handler")
            signal.signal(signal.SIGALRM, handler)
            signal.setitimer(signal.ITIMER_REAL, 0.2)
            client = Client(URL, app_id=APP)
            try:
                client.acquire(NAME)
            except Mine as error:
                print(repr(error))
            """
        )
    assert output == "Mine('from the handler')\n"


def test_ctrl_c_reaches_the_main_thread_while_others_block(client: Client, program: Program, name: str) -> None:
    with client.lock(name):
        output = program.run(
            """
            client = Client(URL, app_id=APP)
            def wait():
                try: client.acquire(NAME)
                except ClientClosedError: pass
            thread = threading.Thread(target=wait)
            thread.start()
            threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
            try:
                client.acquire(NAME)
            except KeyboardInterrupt:
                print("interrupted", thread.is_alive())
            client.close()
            """
        )
    assert output == "interrupted True\n"


def waiters(client: Client, name: str) -> int:
    info = client.inspect(name)
    return 0 if info is None else info.waiters


def until(true: Callable[[], bool], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_thread_that_is_not_main_is_not_interrupted(client: Client, other: Client, name: str) -> None:
    """A pending signal is the main thread's; a blocked thread neither handles it nor takes the GIL to look."""
    outcome: list[str] = []

    def wait() -> None:
        with client.lock(name, wait=5):
            outcome.append("held")

    def on_alarm(*_: object) -> None:
        outcome.append("handled by " + threading.current_thread().name)

    before = signal.signal(signal.SIGALRM, on_alarm)
    try:
        with other.lock(name):
            thread = threading.Thread(target=wait)
            thread.start()
            until(lambda: waiters(other, name) == 1)
            signal.raise_signal(signal.SIGALRM)
            time.sleep(0.1)
        thread.join(5)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert outcome == ["handled by MainThread", "held"]


def test_field_bug_47_a_handler_gets_the_lock_that_its_thread_waits_for(
    client: Client, other: Client, name: str
) -> None:
    """The thread's own acquire is not polled while its handler runs, and stands before the handler's in the queue."""
    held = other.acquire(name, ttl=60)
    waits: list[float] = []

    def handler(*_: object) -> None:
        freer.start()
        start = time.monotonic()
        with client.acquire(name, wait=15):
            waits.append(time.monotonic() - start)

    freer = threading.Timer(0.5, held.release)
    before = signal.signal(signal.SIGALRM, handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.3)
        client.acquire(name, wait=30).release()
    finally:
        signal.signal(signal.SIGALRM, before)
    # The claim window of the one that is not polled, and the release before it.
    (waited,) = waits
    assert waited < 8
