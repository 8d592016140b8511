"""What the mixed-language tests share: the workers as processes, and a store for each test."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import queue
import subprocess
import sys
import threading
import uuid
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    import signal
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).resolve().parents[2]
WORKERS = Path(__file__).resolve().parent / "workers"
sys.path.insert(0, str(ROOT / "tests"))

from programs import rust_programs
from resp import Connection
from stores import FileStore, Outside, ServerStore

APP_ID = f"mixed-{uuid.uuid4().hex[:12]}"
LANGUAGES = ("python", "asyncio", "node", "rust")
SERVERS: list[dict[str, Any]] = json.loads(os.environ.get("LEASELOCK_TEST_SERVERS", "[]"))
NO_SERVER = "no server: run the tests by `make test` or `python3 tests/servers.py -- pytest tests/mixed`"
ANSWER_SECONDS = 20


class WorkerError(Exception):
    """A worker answered with an error."""

    def __init__(self, language: str, error: dict[str, Any]) -> None:
        super().__init__(f"{language}: {error['name']}: {error['message']}")
        self.code = error["code"]
        self.reason = error["reason"]


class Worker:
    """One worker process. `start` asks and returns a future, `ask` waits for the answer."""

    def __init__(self, language: str, command: list[str], url: str, app_id: str) -> None:
        self.language = language
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "LEASELOCK_URL": url, "LEASELOCK_APP_ID": app_id},
        )
        self._closed = False
        self._pending: dict[int, Future[Any]] = {}
        self._ids = itertools.count()
        self._requests: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        threading.Thread(target=self._write, daemon=True).start()
        threading.Thread(target=self._read, daemon=True).start()
        # Node's pid, say, may be that of a child of what was started.
        self.pid = int(self.ask("hello")["pid"])

    def start(self, op: str, **fields: Any) -> Future[Any]:
        """Asks, and returns at once."""
        self._closed |= op == "close"
        number = next(self._ids)
        future: Future[Any] = Future()
        self._pending[number] = future
        self._requests.put(json.dumps({"id": number, "op": op, **fields}))
        return future

    def ask(self, op: str, **fields: Any) -> Any:
        """Asks, and waits for the answer."""
        return self.start(op, **fields).result(ANSWER_SECONDS)

    @property
    def idle(self) -> bool:
        """Whether it lives and owes no answer, and so can serve another test."""
        return self._process.poll() is None and not self._pending and not self._closed

    def signal(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def kill(self) -> None:
        """Ends it as kill -9 does."""
        self._process.kill()
        self._process.wait()
        self._requests.put(None)

    def _write(self) -> None:
        assert self._process.stdin is not None
        try:
            while (request := self._requests.get()) is not None:
                self._process.stdin.write(request + "\n")
                self._process.stdin.flush()
        except OSError:
            pass

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            reply = json.loads(line)
            future = self._pending.pop(reply["id"])
            if "error" in reply:
                future.set_exception(WorkerError(self.language, reply["error"]))
            else:
                future.set_result(reply["result"])
        for future in self._pending.values():
            future.set_exception(ConnectionError(f"{self.language} has ended"))


@pytest.fixture(scope="session")
def commands() -> dict[str, list[str]]:
    """How each language's worker is started."""
    return {
        "python": [sys.executable, str(WORKERS / "blocking.py")],
        "asyncio": [sys.executable, str(WORKERS / "asynchronous.py")],
        "node": ["node", str(WORKERS / "node.cjs")],
        "rust": [rust_programs()["mixed_worker"]],
    }


@pytest.fixture(scope="session")
def churn_commands() -> dict[str, list[str]]:
    """How each language's program of the churn is started."""
    return {
        "python": [sys.executable, str(WORKERS / "churn_threads.py")],
        "asyncio": [sys.executable, str(WORKERS / "churn_asyncio.py")],
        "node": ["node", str(WORKERS / "churn.mjs")],
        "rust": [rust_programs()["churn_worker"]],
    }


STORES = [*(SERVERS or [{"name": "server"}]), {"name": "file"}]


@contextlib.contextmanager
def outside(url: str, app_id: str) -> Iterator[Outside]:
    """A store seen from outside."""
    if url.startswith("file:"):
        with contextlib.closing(FileStore(url, app_id)) as store:
            yield store
    else:
        with Connection(port=int(url.rsplit(":", 1)[1])) as connection:
            yield ServerStore(url, app_id, connection)


@pytest.fixture(scope="session", params=STORES, ids=lambda store: str(store["name"]))
def url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The URL of a store; each test runs once on each: the servers, and a file."""
    if request.param["name"] == "file":
        return f"file:{tmp_path_factory.mktemp('store')}/locks.db"
    if "url" not in request.param:
        if os.environ.get("CI") == "true":
            pytest.fail(NO_SERVER)
        pytest.skip(NO_SERVER)
    return str(request.param["url"])


@pytest.fixture
def store(url: str) -> Iterator[Outside]:
    """The store of the workers, seen from outside."""
    with outside(url, APP_ID) as store:
        yield store


@pytest.fixture
def name() -> str:
    """A name for this test alone; all tests share one app id."""
    return f"res-{uuid.uuid4().hex[:12]}"


class Pool:
    """Workers on one server. Starting an interpreter takes longer than most tests, so the idle ones serve again."""

    def __init__(self, commands: dict[str, list[str]], url: str) -> None:
        self._commands = commands
        self._url = url
        self._idle: list[Worker] = []

    def take(self, language: str) -> Worker:
        for worker in self._idle:
            if worker.language == language and worker.idle:
                self._idle.remove(worker)
                return worker
        return Worker(language, self._commands[language], self._url, APP_ID)

    def give_back(self, worker: Worker) -> None:
        if worker.idle:
            self._idle.append(worker)
        else:
            worker.kill()

    def close(self) -> None:
        for worker in self._idle:
            worker.kill()


@pytest.fixture(scope="session")
def pool(commands: dict[str, list[str]], url: str) -> Iterator[Pool]:
    pool = Pool(commands, url)
    yield pool
    pool.close()


@pytest.fixture
def worker(pool: Pool) -> Iterator[Callable[[str], Worker]]:
    """Gives a worker of a language, another one each time."""
    used: list[Worker] = []

    def take(language: str) -> Worker:
        used.append(pool.take(language))
        return used[-1]

    yield take
    for each in used:
        pool.give_back(each)
