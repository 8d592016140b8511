"""What the modules share: names made of arguments, one client in each process, a lease that is lost on the way."""

from __future__ import annotations

import logging
import os
import time
from typing import TYPE_CHECKING, Any

import pytest
from conftest import PATIENCE
from servers import Server

from leaselock import AsyncClient, Client, InvalidArgumentError, LeaselockWarning, LeaseLostError, LockTimeoutError
from leaselock._exclusive import Exclusive, skip
from leaselock._once import Once, getter

if TYPE_CHECKING:
    from collections.abc import Callable


class User:
    id = 7
    tags = ("a", "b")

    def __format__(self, spec: str) -> str:
        return f"user-{spec}"


def exclusive(name: Any, client: Client | AsyncClient, **options: Any) -> Callable[[Any], Any]:
    return lambda func: Exclusive(name, **{"on_busy": "skip", **options}).wrap(func, lambda: client, skip)


def plain(user: Any, /, *rest: int, size: int = 3, **more: Any) -> None: ...


@pytest.mark.parametrize(
    ("name", "args", "kwargs", "lock"),
    [
        ("import", (1,), {}, "import"),
        ("{{import}}:{user}", (1,), {}, "{import}:1"),
        ("{user}:{size}", (1,), {}, "1:3"),
        ("{user}:{size}", (1,), {"size": 4}, "1:4"),
        ("{user.id}:{user.tags[1]}", (User(),), {}, "7:b"),
        ("{user:short}", (User(),), {}, "user-short"),
        ("{user:>4}", (1,), {}, "   1"),
        ("{rest}", (1, 2, 3), {}, "(2, 3)"),
        ("{colour}", (1,), {"colour": "red"}, "red"),
        ("{user}", ("{size} {0} %s * ? : | ø🔒",), {}, "{size} {0} %s * ? : | ø🔒"),
        (lambda user, size=1: f"by-{user}-{size}", (1,), {"size": 2}, "by-1-2"),
    ],
)
def test_names(name: Any, args: Any, kwargs: Any, lock: str, leaselock_client: Client) -> None:
    seen: list[str] = []

    def func(user: Any, /, *rest: int, size: int = 3, **more: Any) -> None:
        seen.extend(info.name for info in leaselock_client.locks())

    exclusive(name, leaselock_client)(func)(*args, **kwargs)
    assert seen == [lock]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("{}", "write an argument's name in the braces"),
        ("{0}", "write an argument's name in the braces"),
        ("{user", "is no template"),
        ("user}", "a brace that is meant as such is written twice"),
        ("a\nb", "control character"),
        ("", "name"),
        ("x" * 513, "512"),
    ],
)
def test_names_that_cannot_be_are_refused_when_decorating(name: str, words: str, leaselock_client: Client) -> None:
    with pytest.raises(InvalidArgumentError, match=words):
        exclusive(name, leaselock_client)(plain)


def test_an_argument_that_there_is_not_is_refused(leaselock_client: Client) -> None:
    def few(a: int, b: int) -> None: ...

    with pytest.raises(InvalidArgumentError, match=r"\{c\}, which is no argument of .*few; its arguments: a, b"):
        exclusive("{c}", leaselock_client)(few)
    # Here only the call can tell.
    with pytest.raises(InvalidArgumentError, match=r"\{c\}, which this call did not give"):
        exclusive("{c}", leaselock_client)(plain)(1)
    with pytest.raises(TypeError, match="missing"):
        exclusive("{a}", leaselock_client)(few)(1)
    with pytest.raises(InvalidArgumentError, match="control character"):
        exclusive("{a}", leaselock_client)(few)("a\nb", 1)
    assert list(leaselock_client.locks()) == []


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"ttl": 0}, InvalidArgumentError, "ttl"),
        ({"ttl": "1"}, TypeError, "ttl"),
        ({"max_hold": 1}, InvalidArgumentError, "max_hold"),
        ({"min_hold": -1}, InvalidArgumentError, "min_hold"),
        ({"min_hold": float("nan")}, InvalidArgumentError, "min_hold"),
        ({"on_busy": "wait", "wait": -1}, InvalidArgumentError, "wait"),
        ({"wait": 1}, InvalidArgumentError, "wait is for"),
        ({"on_busy": "retry"}, InvalidArgumentError, "'skip', 'wait'"),
    ],
)
def test_options_that_cannot_be_are_refused_when_decorating(
    options: dict[str, Any], error: type[Exception], words: str, leaselock_client: Client
) -> None:
    with pytest.raises(error, match=words):
        exclusive("job", leaselock_client, **options)(plain)


def test_only_functions_are_decorated(leaselock_client: Client) -> None:
    def generator() -> Any:
        yield 1

    for wrong in (generator, int, 7, staticmethod(plain)):
        with pytest.raises(TypeError):
            exclusive("job", leaselock_client)(wrong)


def test_who_comes_second(
    leaselock_client: Client, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO, "leaselock")
    with leaselock_client.lock("job:1"):
        assert exclusive("job:{user}", leaselock_client)(plain)(1) is None
        with pytest.raises(LockTimeoutError):
            exclusive("job:{user}", leaselock_client, on_busy="wait", wait=0.1)(plain)(1)
    (record,) = caplog.records
    assert record.getMessage() == "a call was left out, its lock is taken, event=skipped, name=job:1"
    assert (record.levelname, vars(record)["event"], vars(record)["lock"]) == ("INFO", "skipped", "job:1")


def test_a_loss_on_the_way_is_that_of_a_with_block(leaselock_client: Client) -> None:
    @exclusive("job", leaselock_client, ttl=0.3)
    def job(end: Exception | None) -> str:
        leaselock_client.force_release("job")
        time.sleep(0.5)
        if end:
            raise end
        return "done"

    with pytest.raises(LeaseLostError):
        job(None)
    with pytest.raises(ZeroDivisionError):
        job(ZeroDivisionError())


async def test_a_coroutine_is_cancelled_by_the_loss(leaselock_async_client: AsyncClient) -> None:
    import asyncio  # noqa: PLC0415

    @exclusive("job", leaselock_async_client, ttl=0.3)
    async def job() -> None:
        await leaselock_async_client.force_release("job")
        await asyncio.sleep(PATIENCE)

    began = time.monotonic()
    with pytest.raises(LeaseLostError):
        await job()
    assert time.monotonic() - began < PATIENCE / 2


def test_work_that_is_done_stays_done_though_the_store_has_gone(url: str) -> None:
    assert url
    from conftest import SERVERS  # noqa: PLC0415

    with Server(SERVERS[0]["binary"]) as own, Client(own.url, command_timeout=0.5) as client:

        @exclusive("job", client, min_hold=60)
        def job() -> str:
            own.stop()
            return "done"

        with pytest.warns(LeaselockWarning, match="could not give back"):
            assert job() == "done"


def test_one_client_in_each_process(leaselock_client: Client) -> None:
    made: list[int] = []

    def make() -> Client:
        made.append(os.getpid())
        return Client("memory:once")

    get = Once(make)
    assert made == []
    assert get() is get()
    assert made == [os.getpid()]
    if (child := os.fork()) == 0:
        try:
            own = get() is get() and len(made) == 2 and made[-1] == os.getpid()
        finally:
            os._exit(0 if own else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert getter(leaselock_client, get)() is leaselock_client
    assert getter(None, get)() is get()
