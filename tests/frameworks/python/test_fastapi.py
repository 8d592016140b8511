"""`leaselock.fastapi` in a real uvicorn."""

from __future__ import annotations

import asyncio
import http.client
import json
import re
import sys
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import fastapi
import pytest
from beats import never_two
from conftest import PATIENCE, process, wait_until
from fastapi import Depends, FastAPI
from servers import free_port

from leaselock import Client, InvalidArgumentError
from leaselock.fastapi import Exclusive, lifespan

if TYPE_CHECKING:
    from collections.abc import Iterator
    from email.message import Message
    from pathlib import Path

VERSION = tuple(int(part) for part in fastapi.__version__.split(".")[:2])


STREAMS_UNDER_IT = VERSION >= (0, 118) or VERSION < (0, 106)


class App:
    """An app that listens."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.folder = folder

    def ask(self, path: str, method: str = "POST", **headers: str) -> tuple[int, Any, Message]:
        """One request: status, what it said, headers."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", method=method, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
                return answer.status, _read(answer.read()), answer.headers
        except urllib.error.HTTPError as error:
            return error.code, _read(error.read()), error.headers

    def wrote(self, name: str) -> str:
        """What an endpoint has written to a file."""
        path = self.folder / name
        return path.read_text() if path.exists() else ""


def _read(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return body.decode()


@contextmanager
def uvicorn(folder: Path, environment: dict[str, str], *options: str) -> Iterator[App]:
    """Runs the app."""
    app = App(folder)
    words = [sys.executable, "-m", "uvicorn", "fastapi_app:app", "--port", str(app.port), *options]
    with process(words, folder, {**environment, "FOLDER": str(folder)}) as server:

        def answers() -> bool:
            assert server.popen.poll() is None, server.said
            try:
                return app.ask("/openapi.json", "GET")[0] == 200
            except urllib.error.URLError:
                return False

        wait_until(answers, "it listens", PATIENCE)
        yield app
        assert server.ends() in (0, -15), server.said


@pytest.fixture
def app(tmp_path: Path, environment: dict[str, str]) -> Iterator[App]:
    with uvicorn(tmp_path, environment) as app:
        yield app


def test_never_two_at_one_order(tmp_path: Path, environment: dict[str, str]) -> None:
    """Two processes, coroutines and threads."""
    with (
        uvicorn(tmp_path, environment) as one,
        uvicorn(tmp_path, environment, "--loop", "asyncio") as other,
        ThreadPoolExecutor(24) as pool,
    ):
        asked = [pool.submit(app.ask, path) for app in (one, other) for path in ["/orders/7", "/threads/7"] * 6]
        answers = [answer.result() for answer in asked]
    assert [(status, said) for status, said, _ in answers] == [(200, {"name": "order:7", "held": True})] * 24
    done = never_two(str(tmp_path / "orders"))
    assert len(done) == 24
    assert len({run.pid for run in done}) == 2


def test_who_finds_it_busy_is_told_so(app: App, client: Client) -> None:
    with client.lock("busy:oslo"):
        status, said, headers = app.ask("/shops/oslo/busy")
        assert (status, headers["Retry-After"]) == (423, "1")
        assert said == {"detail": "busy:oslo is busy"}
        assert app.ask("/shops/bergen/busy")[0] == 200
    assert app.ask("/shops/oslo/busy")[:2] == (200, "oslo")
    with client.lock("pot:a b{c}:*/ø"):
        status, _, headers = app.ask("/teapots/a%20b%7Bc%7D:*/%C3%B8")
        assert (status, headers["Retry-After"]) == (409, "7")
    with client.lock("tenant:ann"):
        assert app.ask("/headers", tenant="ann")[0] == 423
        assert app.ask("/headers", tenant="bob")[0] == 200


def test_a_path_that_makes_no_name_is_the_callers_fault(app: App) -> None:
    status, said, _ = app.ask("/shops/a%0Ab/busy")
    assert status == 422
    assert "control character" in said["detail"]
    assert app.ask(f"/teapots/{'a' * 600}")[0] == 422


def test_the_lease_is_given_back_also_after_an_error(app: App, client: Client) -> None:
    assert app.ask("/fails/1")[0] == 500
    with client.lock("order:1", wait=1):
        pass
    assert app.ask("/orders/1")[0] == 200
    with client.lock("order:1", wait=1):
        pass


def test_the_store_that_cannot_be_reached_is_503(tmp_path: Path, environment: dict[str, str]) -> None:
    nowhere = {"LEASELOCK_URL": f"redis://127.0.0.1:{free_port()}"}
    with uvicorn(tmp_path, environment | nowhere) as app:
        status, said, headers = app.ask("/shops/oslo/busy")
    assert (status, headers["Retry-After"]) == (503, "1")
    assert said == {"detail": "the store of locks cannot be reached"}


def test_a_loss_ends_the_endpoint(app: App, client: Client) -> None:
    """A coroutine at once, and a thread when it looks; the caller has an error, as the app says it."""
    with ThreadPoolExecutor(2) as pool:
        long, thread = pool.submit(app.ask, "/long/1"), pool.submit(app.ask, "/long-thread/2")
        wait_until(lambda: app.wrote("long") == app.wrote("long-thread") == "begun", "both work")
        began = time.monotonic()
        client.force_release("order:1")
        client.force_release("order:2")
        assert long.result()[:2] == (500, {"lost": "released"})
        assert thread.result()[:2] == (500, {"lost": "released"})
    # Its next renewal finds out, if not the server's word before: far sooner than the work would have ended.
    assert time.monotonic() - began < 10
    assert app.wrote("long") == "cancelled"
    wait_until(lambda: app.wrote("long-thread") == "stopped", "the thread has looked")
    # Both go on.
    assert app.ask("/orders/1")[0] == 200
    assert app.ask("/threads/2")[0] == 200


def test_a_stream_is_under_the_lease_where_fastapi_ends_dependencies_after_it(app: App, client: Client) -> None:
    status, said, _ = app.ask("/stream/1", "GET")
    assert status == 200
    assert said.split() == (["held"] * 3 if STREAMS_UNDER_IT else ["released"] * 3)
    with client.lock("order:1", wait=1):
        pass


def test_a_loss_breaks_a_stream_off(app: App, client: Client) -> None:
    if not STREAMS_UNDER_IT:
        pytest.skip("this FastAPI gives the lease back before a stream")
    with urllib.request.urlopen(f"http://127.0.0.1:{app.port}/long-stream/1", timeout=PATIENCE) as answer:
        assert answer.readline() == b"held\n"
        client.force_release("order:1")
        with pytest.raises((http.client.HTTPException, ConnectionError)):
            answer.read()
    with client.lock("order:1", wait=1):
        pass
    assert app.ask("/orders/1")[0] == 200


def test_with_the_scope_of_a_function_it_is_given_back_before_the_answer(app: App, client: Client) -> None:
    if VERSION < (0, 121):
        pytest.skip("this FastAPI has no scopes")
    for _ in range(20):
        assert app.ask("/scoped")[0] == 200
        assert client.inspect("scoped") is None


def test_what_cannot_be_is_refused(leaselock_url: str) -> None:
    with pytest.raises(InvalidArgumentError, match="ttl"):
        Exclusive("order", ttl=0)
    with pytest.raises(InvalidArgumentError, match="write an argument's name"):
        Exclusive("order:{}")


async def enter(app: FastAPI, url: str) -> None:
    async with lifespan(app, url):
        pass


def test_a_name_that_the_path_has_not_is_refused_at_the_start(leaselock_url: str) -> None:
    app = FastAPI()
    asyncio.run(enter(app, leaselock_url))

    @app.get("/orders/{order_id}", dependencies=[Depends(Exclusive("order:{order}"))])
    async def order(order_id: int) -> int:
        return order_id

    with pytest.raises(InvalidArgumentError, match=re.escape("{order}, which is not in the path '/orders/{order_id}'")):
        asyncio.run(enter(app, leaselock_url))
