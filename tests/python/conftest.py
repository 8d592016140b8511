"""What the tests of the Python package share: a server for each test, names of their own, programs to run apart."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import textwrap
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

TESTS = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TESTS))

from proxy import Proxy
from resp import Connection
from servers import Server

from leaselock import AsyncClient, Client

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

SERVERS: list[dict[str, Any]] = json.loads(os.environ.get("LEASELOCK_TEST_SERVERS", "[]"))
PARAMS: list[dict[str, Any] | None] = [*SERVERS] or [None]
NO_SERVER = "no server: run the tests by `make test` or `python3 tests/servers.py -- pytest tests/python`"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A lease that nobody gives back, a coroutine nobody awaits, an error nobody sees: each fails its test."""
    for item in items:
        item.add_marker(pytest.mark.filterwarnings("error"), append=False)


@pytest.fixture(scope="session", params=PARAMS, ids=lambda s: s["name"] if s else "none")
def server(request: pytest.FixtureRequest) -> dict[str, Any]:
    """A running server, shared by all tests; each test runs once on each."""
    return running(request.param)


def running(server: dict[str, Any] | None) -> dict[str, Any]:
    """A server that was started; without any, the test is skipped."""
    if server is None:
        if os.environ.get("CI") == "true":
            pytest.fail(NO_SERVER)
        pytest.skip(NO_SERVER)
    return dict(server)


@pytest.fixture(scope="session")
def server_url(server: dict[str, Any]) -> str:
    return str(server["url"])


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the user has set is not for the tests."""
    monkeypatch.delenv("LEASELOCK_URL", raising=False)
    monkeypatch.delenv("LEASELOCK_APP_ID", raising=False)


@pytest.fixture
def app_id() -> str:
    """An app id that no other test uses."""
    return f"app-{uuid.uuid4().hex[:12]}"


_numbers = itertools.count()


@pytest.fixture
def name() -> str:
    """A lock that no other test uses."""
    return f"job-{next(_numbers)}-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def client(server_url: str, app_id: str) -> Iterator[Client]:
    with Client(server_url, app_id=app_id) as client:
        yield client


@pytest.fixture
def other(server_url: str, app_id: str) -> Iterator[Client]:
    """Somebody else, with the same app id."""
    with Client(server_url, app_id=app_id) as client:
        yield client


@pytest.fixture
async def aclient(server_url: str, app_id: str) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(server_url, app_id=app_id) as client:
        yield client


@pytest.fixture
def redis(server: dict[str, Any]) -> Iterator[Connection]:
    """A plain connection to the server."""
    with Connection(port=int(str(server["url"]).rsplit(":", 1)[1])) as connection:
        yield connection


@pytest.fixture
def own_server(server: dict[str, Any]) -> Iterator[Server]:
    """A server of this test alone, which it may stop, kill or flush."""
    with Server(server["binary"], name=server["name"]) as own:
        yield own


@pytest.fixture
def proxy(server_url: str) -> Iterator[Proxy]:
    """A proxy in front of the server."""
    with Proxy(int(server_url.rsplit(":", 1)[1])) as proxy:
        yield proxy


@dataclass(frozen=True)
class Program:
    """A Python program in a process of its own."""

    url: str
    app_id: str
    name: str
    # What comes before all else.
    first: str = ""

    def start(self, source: str, *options: str, **variables: str) -> subprocess.Popen[str]:
        """Starts it; `URL`, `APP` and `NAME` are set, and `leaselock` and others imported."""
        code = (
            f"{self.first}\n"
            "import asyncio, os, signal, sys, threading, time\nimport leaselock\nfrom leaselock import *\n"
            f"URL, APP, NAME = {self.url!r}, {self.app_id!r}, {self.name!r}\n" + textwrap.dedent(source)
        )
        return subprocess.Popen(
            [sys.executable, *options, "-c", code],
            env={**os.environ, "PYTHONUNBUFFERED": "1", **variables},
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def run(self, source: str, *options: str, timeout: float = 30, **variables: str) -> str:
        """Runs it to a good end, with nothing on stderr; its output."""
        process = self.start(source, *options, **variables)
        try:
            output, errors = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            output, errors = process.communicate()
            pytest.fail(f"the program hangs; it printed:\n{output}{errors}")
        assert errors == "", f"stderr is not empty:\n{errors}"
        assert process.returncode == 0, f"it ended with {process.returncode}:\n{output}"
        return output


@pytest.fixture
def program(server_url: str, app_id: str, name: str) -> Program:
    return Program(server_url, app_id, name)
