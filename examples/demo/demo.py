"""leaselock at work: two Python workers and a Node worker take turns on one lock.

One of them is killed while it holds the lock; the next gets it when the lease ends. The lock is in the store that
LEASELOCK_URL names, or else in a file made for this, with no server. The exit code is 0 only if all went as promised.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from fenced import Resource, serve

from leaselock import Client, LeaselockError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HERE = Path(__file__).resolve().parent
APP_ID = "demo"
TTL = 2.0
SLACK = 0.5  # what is promised: acquirable again within the TTL and this
HANG = 3.0  # longer than the TTL, to show that a live holder is renewed
LIMIT = 30.0
VICTIM, OTHERS = "python-2", ("python-1", "node-1")
COLOURS = {"python-1": "33", "python-2": "35", "node-1": "36", "ok": "32", "no": "31"}


def paint(text: str, colour: str) -> str:
    """Colours text on a terminal, and only there."""
    if not sys.stdout.isatty() or os.environ.get("NO_COLOR"):
        return text
    return f"\x1b[{COLOURS.get(colour, '0')}m{text}\x1b[0m"


class DemoError(Exception):
    """What should have happened did not."""


class Demo:
    """The play: who shall do what when it enters, and what is shown of it."""

    def __init__(self) -> None:
        self.started = time.monotonic()
        self.victim_hangs = False
        self.ending = False
        self.workers: dict[str, subprocess.Popen[bytes]] = {}
        self.resource = Resource(self.show, self.decide)

    def show(self, worker: str, what: str, token: int | None) -> None:
        """Prints one line of the play."""
        clock = f"{time.monotonic() - self.started:6.2f} s"
        print(f"  {clock}  {paint(f'{worker:<9}', worker)} {what:<36} {token or ''}".rstrip(), flush=True)

    def decide(self, worker: str) -> str:
        """Everyone has two turns; then the victim hangs; then the others have two more."""
        turns = self.resource.turns
        if self.ending:
            return "stop"
        if worker == VICTIM and min(turns[w] for w in (VICTIM, *OTHERS)) >= 2:
            self.victim_hangs = True
            return "hang"
        return "work"

    def until(self, what: str, condition: Callable[[], bool]) -> None:
        """Waits for a condition, but not for ever, and not when a worker gave up."""
        while not condition():
            for name, process in self.workers.items():
                if process.poll():
                    raise DemoError(f"{name} failed; what it said stands above")
            if time.monotonic() - self.started > LIMIT:
                raise DemoError(f"after {LIMIT:.0f} s still waiting until {what}")
            time.sleep(0.01)


@contextmanager
def store() -> Iterator[tuple[str, str]]:
    """The URL of a store, and words about it."""
    if url := os.environ.get("LEASELOCK_URL"):
        if url.startswith("memory:"):
            raise DemoError("memory: is for one process, and the workers are three; use file:PATH.db, or a server")
        yield url, "the one that LEASELOCK_URL names"
        return
    with tempfile.TemporaryDirectory(prefix="leaselock-demo-") as folder:
        yield f"file:{folder}/locks.db", "a file made for this demo; no server anywhere"


@contextmanager
def worker(command: list[str], name: str, lock: str, url: str, resource: str) -> Iterator[subprocess.Popen[bytes]]:
    """Runs a worker as a process of its own."""
    environment = {**os.environ, "LEASELOCK_URL": url, "LEASELOCK_APP_ID": APP_ID}
    process = subprocess.Popen(
        [*command, name, lock, str(TTL), resource], env=environment, stdin=subprocess.PIPE, start_new_session=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def play(demo: Demo, url: str) -> list[tuple[bool, str]]:
    """Runs the workers and returns what was seen: whether it was right, and the words for it."""
    resource, lock = demo.resource, f"report-{os.getpid()}"
    with ExitStack() as stack:
        service = serve(resource)
        stack.callback(service.shutdown)
        address = f"http://127.0.0.1:{service.server_address[1]}"
        commands = {
            "python-1": [sys.executable, str(HERE / "worker.py")],
            "python-2": [sys.executable, str(HERE / "worker.py")],
            "node-1": ["node", str(HERE / "worker.mjs")],
        }
        workers = {n: stack.enter_context(worker(c, n, lock, url, address)) for n, c in commands.items()}
        demo.workers = dict(workers)

        demo.until("every worker had two turns and one hangs", lambda: demo.victim_hangs)
        entered, token = resource.entered[VICTIM]
        demo.show(VICTIM, f"hangs; its lease of {TTL:.0f} s is renewed", None)
        time.sleep(max(0.0, entered + HANG - time.monotonic()))
        kept = resource.inside == VICTIM and resource.tokens[-1] == token
        with resource.lock:
            demo.workers.pop(VICTIM).kill()
            killed = time.monotonic()
            resource.inside = None
            demo.show(VICTIM, "KILLED (-9) while it holds the lock", None)
        turns = sum(resource.turns.values())
        demo.until("another worker gets the killed one's lock", lambda: sum(resource.turns.values()) > turns)
        heir, (at, _) = max(resource.entered.items(), key=lambda item: item[1][0])
        demo.until("the heir has had its turn", lambda: resource.inside != heir)

        with resource.lock:
            demo.show(VICTIM, "its last write arrives late", token)
            late = resource.write(token)
            demo.show("resource", "accepts it" if late else "refuses it: older than the newest", None)
        before = dict(resource.turns)
        demo.until("the other two had two turns more", lambda: all(resource.turns[w] >= before[w] + 2 for w in OTHERS))
        demo.ending = True
        demo.until("the workers ended", lambda: all(workers[name].poll() is not None for name in OTHERS))
        clean = all(workers[name].returncode == 0 for name in OTHERS)

    turns_taken = ", ".join(f"{name} {resource.turns[name]}" for name in commands)
    tokens = resource.tokens
    growing = all(older < newer for older, newer in pairwise(tokens))
    return [
        (clean, f"workers of two languages took turns: {turns_taken}"),
        (not resource.overlaps, "; ".join(resource.overlaps) or "never two of them inside at once"),
        (growing, f"{len(tokens)} tokens, each larger than the one before" if growing else f"tokens: {tokens}"),
        (kept, f"a hung but living holder kept its lease for {HANG:.0f} s"),
        (at - killed <= TTL + SLACK, f"killed, its lock went to {heir} after {at - killed:.2f} s (lease {TTL:.0f} s)"),
        (not late and resource.refused == 1, "a late write with the dead worker's token was refused"),
    ]


def main() -> int:
    """Entry point."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    print("leaselock demo: three workers, one lock, and one of them is killed\n")
    try:
        with store() as (url, words):
            with Client(url, app_id=APP_ID) as client:
                client.inspect("report")  # a store that cannot be used is said once, and not by each worker
            print(f"  store   {words}\n  lock    a lease of {TTL:.0f} s, renewed while it is held\n")
            print(f"  {'time':>8}  {'worker':<9} {'what happens':<36} fencing token")
            seen = play(Demo(), url)
    except (DemoError, LeaselockError) as failure:
        print(f"  {paint('FAILED', 'no')}  {failure}")
        return 1
    except KeyboardInterrupt:
        print("\n  stopped; its workers are gone")
        return 130
    print("\n  What was seen")
    for right, words in seen:
        print(f"    {paint('ok', 'ok') if right else paint('NO', 'no')}  {words}")
    return 0 if all(right for right, _ in seen) else 1


if __name__ == "__main__":
    sys.exit(main())
