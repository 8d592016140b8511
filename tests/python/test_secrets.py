"""No password in any error, repr, log or traceback."""

from __future__ import annotations

import asyncio
import contextlib
import faulthandler
import logging
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from servers import Server, free_port

import leaselock
from leaselock import AsyncClient, Client, LeaselockError, StoreRefusedError, StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CANARY = "canary-7f3a"
# Percent-encoded, since a URL may have to say it so, and an error may show it decoded.
ENCODED = "%63anary-7f3a"
PACKAGE = str(Path(leaselock.__file__).parent)

Make = type[Client] | type[AsyncClient]
MAKES = pytest.mark.parametrize("make", [Client, AsyncClient])


def told(error: BaseException) -> str:
    """All that can be read off an exception: its texts, its causes, and the variables of the package's own frames."""
    texts = [str(error), repr(error), repr(error.args), repr(vars(error))]
    for linked in (error.__cause__, error.__context__):
        if linked is not None:
            texts.append(told(linked))
    shown = traceback.TracebackException.from_exception(error, capture_locals=True)
    for frame in shown.stack:
        if frame.filename.startswith(PACKAGE):
            texts.append(f"{frame.name}: {frame.locals}")
    return "\n".join(texts)


def keeps_silent(text: str) -> None:
    assert CANARY not in text
    assert ENCODED not in text


def fails(call: Callable[[], Any]) -> LeaselockError:
    with pytest.raises(LeaselockError) as raised:
        result = call()
        if asyncio.iscoroutine(result):
            asyncio.run(result)
    keeps_silent(told(raised.value))
    return raised.value


@pytest.fixture
def guarded(server: dict[str, Any]) -> Iterator[Server]:
    """A server that wants the password."""
    with Server(server["binary"], name=server["name"], password=CANARY) as own:
        yield own


@MAKES
@pytest.mark.parametrize(
    "url",
    [
        f"redis://:{CANARY}@127.0.0.1:port",
        f"redis://:{CANARY}@127.0.0.1:99999",
        f"redis://:{CANARY}@",
        f"redis://:{CANARY}@[::1",
        f"redis://:{CANARY}@127.0.0.1/notanumber",
        f"redis://user:{CANARY}@127.0.0.1/-1",
        f"http://user:{CANARY}@127.0.0.1",
        f"redis:/user:{CANARY}@127.0.0.1",
        f"user:{CANARY}@127.0.0.1",
        f"://:{CANARY}@127.0.0.1",
        f"redis://:{CANARY}\x00@127.0.0.1",
        f"redis://:{CANARY}@127.0.0.1 6379",
        f"redis://:{ENCODED}@127.0.0.1:port",
        f"redis://127.0.0.1:6379?password={CANARY}&db=x",
        f"redis+sentinel://:{CANARY}@h1,h2/service/0",
        f"unix:/nowhere?pass={CANARY}&db=x",
        f"redis://:{CANARY}@\ud800",
    ],
)
def test_urls_that_cannot_be_used(make: Make, url: str) -> None:
    try:
        client = make(url)
    except LeaselockError as error:
        keeps_silent(told(error))
    else:
        keeps_silent(repr(client) + str(client))


@MAKES
def test_urls_that_cannot_be_used_from_the_environment(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEASELOCK_URL", f"redis://:{CANARY}@127.0.0.1:port")
    fails(make)


@MAKES
def test_other_arguments_beside_a_good_url(make: Make) -> None:
    url = f"redis://:{CANARY}@127.0.0.1:1"
    fails(lambda: make(url, app_id="a||b"))
    fails(lambda: make(url, command_timeout=-1))
    wrong: Any = 7
    with pytest.raises(TypeError) as raised:
        make(url, app_id=wrong)
    keeps_silent(told(raised.value))


@MAKES
def test_what_a_client_shows(make: Make) -> None:
    client = make(f"redis://:{CANARY}@127.0.0.1:1")
    shown = [repr(client), str(client), repr(client.stats()), repr(client.lock("a")), client.id, client.app_id]
    shown += [repr(getattr(client, name, None)) for name in dir(client)]
    with contextlib.suppress(TypeError):
        shown.append(repr(vars(client)))
    with pytest.raises(TypeError) as raised:
        client.__reduce__()
    keeps_silent("\n".join(shown) + told(raised.value))


@MAKES
def test_nothing_listens(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    client = make(f"redis://:{CANARY}@127.0.0.1:{free_port()}", command_timeout=0.2)
    assert isinstance(fails(lambda: client.acquire("a", wait=0)), StoreUnavailableError)
    time.sleep(0.05)
    keeps_silent(caplog.text)


@MAKES
def test_no_such_host(make: Make) -> None:
    client = make(f"redis://:{CANARY}@no-such-host.invalid:6379", command_timeout=0.5)
    fails(lambda: client.inspect("a"))


@MAKES
def test_a_wrong_password(make: Make, server: dict[str, Any]) -> None:
    with Server(server["binary"], password="another one") as own:
        client = make(f"redis://:{CANARY}@127.0.0.1:{own.port}")
        assert isinstance(fails(lambda: client.acquire("a")), StoreRefusedError)
        client = make(f"redis://{CANARY}:{CANARY}@127.0.0.1:{own.port}")
        assert isinstance(fails(lambda: client.inspect("a")), StoreRefusedError)


def test_a_life_with_a_password(guarded: Server, name: str, caplog: pytest.LogCaptureFixture) -> None:
    """Reconnects, failing renewals and a loss are logged, and none of it shows the password."""
    caplog.set_level(logging.DEBUG, logger="leaselock")
    client = Client(guarded.url, command_timeout=0.5)
    lease = client.acquire(name, ttl=1)
    guarded.kill()
    assert lease.wait_lost(3)
    fails(lease.check)
    fails(lambda: client.inspect(name))
    guarded.start()
    client.acquire(name).release()
    guarded.command("CONFIG", "SET", "requirepass", "changed")
    guarded.password = "changed"
    guarded.command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    fails(lambda: client.inspect(name))
    # A release that is sent again, for safety's sake, may meet the new password.
    with contextlib.suppress(LeaselockError):
        client.close()
    time.sleep(0.2)
    assert [r for r in caplog.records if r.name == "leaselock"], "something was logged"
    keeps_silent(caplog.text + "".join(repr(vars(r)) for r in caplog.records))


def test_a_dump_of_all_threads(guarded: Server, tmp_path: Path) -> None:
    with Client(guarded.url) as client, client.lock("a"):
        with (tmp_path / "dump").open("w+") as dump:
            faulthandler.dump_traceback(dump)
            dump.seek(0)
            keeps_silent(dump.read())
        keeps_silent(repr([vars(r) for r in client.locks() if hasattr(r, "__dict__")]))
