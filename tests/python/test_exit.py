"""The end of the interpreter: it comes, at once, and nothing is printed."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Program

# Where leases are lost on purpose: a program without logging sees warnings on stderr, as logging has it.
QUIET = "import logging; logging.getLogger('leaselock').addHandler(logging.NullHandler())\n"

# What is still going on when the main program ends.
ENDINGS = {
    "nothing used": "client = Client(URL)",
    "not closed": "client = Client(URL); client.acquire(NAME).release()",
    "a lease held": "client = Client(URL); lease = client.acquire(NAME, ttl=1)",
    "a lease held and the client gone": "lease = Client(URL).acquire(NAME, ttl=1)",
    "a callback registered": "lease = Client(URL).acquire(NAME, ttl=1); lease.on_lost(print)",
    "callbacks pending": (
        f"{QUIET}"
        "client = Client(URL)\n"
        "leases = [client.acquire(f'{NAME}-{i}', ttl=0.1, renew=False) for i in range(50)]\n"
        "for lease in leases: lease.on_lost(lambda _: time.sleep(1))\n"
        "time.sleep(0.2)"
    ),
    "a callback that blocks": (
        f"{QUIET}"
        "client = Client(URL)\n"
        "lease = client.acquire(NAME, ttl=0.1, renew=False)\n"
        "lease.on_lost(lambda _: client.acquire(NAME + '-2').wait_lost())\n"
        "time.sleep(0.4)"
    ),
    "a daemon thread waiting": (
        "client = Client(URL)\n"
        "lease = client.acquire(NAME, ttl=1)\n"
        "threading.Thread(target=client.acquire, args=(NAME,), daemon=True).start()\n"
        "time.sleep(0.3)"
    ),
    "a daemon thread whose wait ends in the meantime": (
        "client = Client(URL)\n"
        "lease = client.acquire(NAME, ttl=1)\n"
        "def wait():\n"
        "    while True:\n"
        "        try: client.acquire(NAME, wait=0.001)\n"
        "        except LockTimeoutError: pass\n"
        "for _ in range(8): threading.Thread(target=wait, daemon=True).start()\n"
        "time.sleep(0.3)"
    ),
    "daemon threads at work": (
        "client = Client(URL)\n"
        "def work():\n"
        "    while True:\n"
        "        with client.lock(NAME): pass\n"
        "for _ in range(4): threading.Thread(target=work, daemon=True).start()\n"
        "time.sleep(0.3)"
    ),
    "an async client not closed": (
        "client = AsyncClient(URL)\nasync def main():\n    async with client.lock(NAME): pass\nasyncio.run(main())"
    ),
    "an async lease held": (
        "client = AsyncClient(URL)\n"
        "async def main(): return await client.acquire(NAME, ttl=1)\n"
        "lease = asyncio.run(main())"
    ),
    "an async acquire waiting in a loop that is never closed": (
        "import warnings; warnings.simplefilter('ignore')\n"
        "client = AsyncClient(URL)\n"
        "async def main():\n"
        "    lease = await client.acquire(NAME, ttl=1)\n"
        "    task = asyncio.ensure_future(client.acquire(NAME))\n"
        "    await asyncio.sleep(0.1)\n"
        "    task._log_destroy_pending = False\n"
        "    return lease, task\n"
        "loop = asyncio.new_event_loop()\n"
        "kept = loop.run_until_complete(main())"
    ),
    "a loop running in a daemon thread": (
        "client = AsyncClient(URL)\n"
        "async def main():\n"
        "    while True:\n"
        "        async with client.lock(NAME): pass\n"
        "threading.Thread(target=lambda: asyncio.run(main()), daemon=True).start()\n"
        "time.sleep(0.3)"
    ),
    "a call at exit": "import atexit; client = Client(URL); atexit.register(lambda: client.acquire(NAME).release())",
    "a client made at exit": "import atexit; atexit.register(lambda: Client(URL).acquire(NAME).release())",
    "a client made at exit, with a callback": (
        f"{QUIET}"
        "import atexit\n"
        "@atexit.register\n"
        "def late():\n"
        "    lease = Client(URL).acquire(NAME, ttl=0.1, renew=False)\n"
        "    lease.on_lost(lambda _: None)\n"
        "    lease.wait_lost()"
    ),
    "a call from a destructor": (
        "client = Client(URL)\n"
        "class Late:\n"
        "    def __del__(self): client.acquire(NAME).release()\n"
        "late = Late(); late.itself = late"
    ),
    "a server that is gone": "client = Client('redis://127.0.0.1:1', command_timeout=0.2)\n"
    "try: client.acquire(NAME)\nexcept StoreUnavailableError: pass",
}


@pytest.mark.parametrize("source", ENDINGS.values(), ids=ENDINGS.keys())
def test_the_interpreter_ends_silently(program: Program, source: str) -> None:
    started = time.monotonic()
    program.run(source, timeout=20)
    assert time.monotonic() - started < 8


def test_sys_exit_inside_a_block_gives_back(program: Program) -> None:
    program.run("with Client(URL, app_id=APP).lock(NAME, ttl=600): sys.exit(0)")
    program.run("assert Client(URL, app_id=APP).inspect(NAME) is None")


def test_an_uncaught_exception_comes_out_alone(program: Program) -> None:
    process = program.start("with Client(URL).lock(NAME): 1 / 0")
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 1
    assert errors.count("Traceback") == 1
    assert "ZeroDivisionError" in errors


def test_development_mode_says_nothing_of_a_tidy_program(program: Program) -> None:
    program.run(
        """
        with Client(URL) as client, client.lock(NAME): pass
        async def main():
            async with AsyncClient(URL) as client, client.lock(NAME): pass
        asyncio.run(main())
        """,
        "-X",
        "dev",
        "-W",
        "error",
    )


def test_a_lease_left_at_exit_is_worth_a_resource_warning(program: Program) -> None:
    process = program.start("lease = Client(URL).acquire(NAME, ttl=1)\ndel lease", "-W", "default::ResourceWarning")
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 0
    assert "ResourceWarning" in errors


SUBINTERPRETER = """
try:
    import _interpreters
    ended = _interpreters.exec(_interpreters.create(), "import leaselock")
    print(ended.formatted if ended is not None else "imported")
except ModuleNotFoundError:
    import _xxsubinterpreters as interpreters
    try:
        interpreters.run_string(interpreters.create(), "import leaselock")
        print("imported")
    except interpreters.RunFailedError as error:
        print(error)
"""


def test_a_subinterpreter_is_refused(program: Program) -> None:
    output = program.run(SUBINTERPRETER + "\nClient(URL).acquire(NAME).release()\nprint('fine')\n")
    first, last = output.splitlines()[0], output.splitlines()[-1]
    assert "ImportError" in first, output
    assert last == "fine"
