"""Locks that only decorate: names made of a call's arguments, and calls that are left out."""

from __future__ import annotations

import asyncio
import functools
import inspect
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from leaselock import InvalidArgumentError, LockTimeoutError

if TYPE_CHECKING:
    from leaselock import AsyncClient, Client


class Order:
    """What an argument of a call may be."""

    def __init__(self, number: str) -> None:
        self.number = number


def test_the_name_is_made_of_the_calls_arguments(client: Client, other: Client, name: str) -> None:
    @client.lock(lambda order, *, kind="paid": f"{name}:{order.number}:{kind}", ttl=timedelta(seconds=5), label="me")
    def pay(order: Order, *, kind: str = "paid") -> str:
        """Pays."""
        found = other.inspect(f"{name}:{order.number}:{kind}")
        assert found is not None
        assert found.owner.startswith("me:")
        return order.number

    assert pay(Order("7")) == "7"
    assert pay(Order("8"), kind="late") == "8"
    assert (pay.__name__, pay.__doc__) == ("pay", "Pays.")
    assert list(inspect.signature(pay).parameters) == ["order", "kind"]
    assert list(other.locks(f"{name}:*")) == [], "given back"


def test_calls_wait_for_the_name_that_is_theirs_alone(client: Client, other: Client, name: str) -> None:
    @client.lock(lambda key: f"{name}:{key}", wait=0.1)
    def work(key: int) -> int:
        return key

    with other.lock(f"{name}:1"):
        assert work(2) == 2
        with pytest.raises(LockTimeoutError):
            work(1)
    assert work(1) == 1


def test_a_method_gets_its_object(client: Client, name: str) -> None:
    class Shop:
        def __init__(self, town: str) -> None:
            self.town = town

        @client.lock(lambda self, order: f"{name}:{self.town}:{order}", wait=0)
        def close(self, order: int) -> bool:
            return client.inspect(f"{name}:{self.town}:{order}") is not None

        @client.lock(lambda self: f"{name}:{self.town}", skip=True)
        def count(self) -> str:
            return self.town

    shop = Shop("Ghent")
    assert shop.close(3)
    assert shop.count() == "Ghent"


def test_what_finds_the_name_taken_is_left_out(client: Client, other: Client, name: str) -> None:
    calls: list[int] = []

    @client.lock(name, skip=True, ttl=5)
    def fixed(number: int) -> int:
        calls.append(number)
        return number

    @client.lock(lambda number: f"{name}:{number}", skip=True)
    def made(number: int) -> int:
        calls.append(number)
        return number

    with other.lock(name), other.lock(f"{name}:1"):
        assert fixed(1) is None
        assert made(1) is None
        assert made(2) == 2
    assert calls == [2]
    assert fixed(3) == 3
    assert made(1) == 1
    assert client.inspect(name) is None, "given back"
    assert client.stats().waiting == 0


def test_an_error_goes_on_and_the_name_is_given_back(client: Client, name: str) -> None:
    @client.lock(lambda: name, skip=True)
    def fail() -> None:
        raise KeyError("of the body")

    with pytest.raises(KeyError, match="of the body"):
        fail()
    assert client.inspect(name) is None


async def test_coroutine_functions(aclient: AsyncClient, other: Client, name: str) -> None:
    @aclient.lock(lambda key: f"{name}:{key}", wait=0.1)
    async def work(key: int) -> int:
        found = await aclient.inspect(f"{name}:{key}")
        assert found is not None
        return key

    @aclient.lock(lambda key: f"{name}:{key}", skip=True, cancel_on_lost=False)
    async def skipping(key: int) -> int:
        await asyncio.sleep(0)
        return key

    @aclient.lock(name, skip=True)
    async def fixed() -> str:
        return "ran"

    assert await asyncio.gather(work(1), work(2), skipping(3)) == [1, 2, 3]
    with other.lock(f"{name}:1"), other.lock(name):
        assert await skipping(1) is None
        assert await fixed() is None
        with pytest.raises(LockTimeoutError):
            await work(1)
    assert await skipping(1) == 1
    assert await fixed() == "ran"
    assert inspect.iscoroutinefunction(work)


def test_it_is_no_block(client: Client, name: str) -> None:
    locks: list[Any] = [client.lock(lambda: name), client.lock(name, skip=True)]
    for lock in locks:
        with pytest.raises(TypeError, match="decorates functions and is not for a `with` block"), lock:
            pytest.fail("the body ran")
    assert client.inspect(name) is None


async def test_it_is_no_asynchronous_block(aclient: AsyncClient, name: str) -> None:
    locks: list[Any] = [aclient.lock(lambda: name), aclient.lock(name, skip=True)]
    for lock in locks:
        with pytest.raises(TypeError, match="decorates functions and is not for a `with` block"):
            async with lock:
                pytest.fail("the body ran")


def test_what_a_function_gives_is_a_name(client: Client) -> None:
    @client.lock(lambda given: given)
    def work(given: Any) -> None:
        pytest.fail(f"it ran under {given!r}")

    for wrong in (None, 7, b"job"):
        with pytest.raises(TypeError, match="name must be a str"):
            work(wrong)
    with pytest.raises(InvalidArgumentError):
        work("a||b")


def test_wrong_arguments_are_refused_at_once(client: Client, aclient: AsyncClient, name: str) -> None:
    for lock in (client.lock, aclient.lock):
        make: Any = functools.partial(lock)
        for wrong in ({"ttl": 0}, {"max_hold": 1}, {"label": ""}, {"skip": True, "wait": 1}, {"reentrant": True}):
            with pytest.raises(InvalidArgumentError):
                make(lambda: name, **wrong)
        for of_type in ({"skip": 1}, {"skip": None}, {"ttl": "5"}, {"timeout": 3}):
            with pytest.raises(TypeError):
                make(lambda: name, **of_type)
        with pytest.raises(TypeError, match="name must be a str"):
            make(7, skip=True)


def test_what_cannot_be_decorated(client: Client, aclient: AsyncClient, name: str) -> None:
    async def coroutine() -> None: ...

    def generator() -> Any:
        yield 1

    of_client: Any = client.lock(lambda: name)
    of_async: Any = aclient.lock(name, skip=True)
    for lock, func in (
        (of_client, coroutine),
        (of_client, generator),
        (of_client, 7),
        (of_async, len),
        (of_async, generator),
    ):
        with pytest.raises(TypeError):
            lock(func)
