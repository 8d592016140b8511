"""Lock objects: blocks, decorators, and sharing them by threads and recursion."""

from __future__ import annotations

import functools
import inspect
import re
import threading
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from leaselock import AsyncClient, Client, LeaseLostError, LockTimeoutError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator


def test_each_entry_takes_a_fresh_lease(client: Client, name: str) -> None:
    lock = client.lock(name, label="me")
    with lock as first:
        assert first.held
    with lock as second:
        assert second.token > first.token
        assert second.owner != first.owner
    assert lock.name == name
    assert repr(lock) == f'<leaselock.Lock "{name}">'


def test_the_body_does_not_run_without_the_lock(client: Client, other: Client, name: str) -> None:
    """FIELD-BUGS 36."""
    with other.lock(name):
        for wait in (0, 0.1):
            with pytest.raises(LockTimeoutError), client.lock(name, wait=wait):
                pytest.fail("the body ran")


def test_a_lock_is_not_reentrant(client: Client, name: str) -> None:
    lock = client.lock(name, wait=0.1)
    with lock, pytest.raises(LockTimeoutError), lock:
        pytest.fail("the body ran")
    assert client.inspect(name) is None, "the outer block gave its own lease back"


def test_one_lock_shared_by_threads(client: Client, name: str) -> None:
    lock = client.lock(name)
    inside = 0
    most = 0
    tokens: list[int] = []

    def work() -> None:
        nonlocal inside, most
        for _ in range(20):
            with lock as lease:
                inside += 1
                most = max(most, inside)
                tokens.append(lease.token)
                time.sleep(0.001)
                inside -= 1

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1
    assert tokens == sorted(set(tokens))
    assert len(tokens) == 120


def test_a_block_may_be_left_by_another_thread(client: Client, name: str) -> None:
    """FIELD-BUGS 22: an ExitStack closed elsewhere."""
    stack = ExitStack()
    lock = client.lock(name)
    stack.enter_context(lock)
    thread = threading.Thread(target=stack.close)
    thread.start()
    thread.join()
    assert client.inspect(name) is None
    with pytest.raises(RuntimeError, match="more often"):
        lock.__exit__(None, None, None)


def test_a_loss_inside_a_block(client: Client, other: Client, name: str) -> None:
    with pytest.raises(LeaseLostError), client.lock(name, ttl=0.6) as lease:
        other.force_release(name)
        assert lease.wait_lost(3)


def test_decorated_functions(client: Client, other: Client, name: str) -> None:
    @client.lock(name, wait=1)
    def work(a: int, *, b: int = 2) -> tuple[int, bool]:
        """Says what it does."""
        return a + b, other.inspect(name) is not None

    assert work(1, b=5) == (6, True)
    assert other.inspect(name) is None
    assert work.__name__ == "work"
    assert work.__doc__ == "Says what it does."
    assert list(inspect.signature(work).parameters) == ["a", "b"]
    assert hasattr(work, "__wrapped__")


def test_a_decorated_function_may_raise(client: Client, name: str) -> None:
    @client.lock(name)
    def fail() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert client.inspect(name) is None


def test_recursion_takes_a_lease_for_each_call(client: Client, name: str) -> None:
    depths: list[int] = []

    @client.lock(name, wait=0.1)
    def down(depth: int) -> None:
        depths.append(depth)
        down(depth + 1)

    with pytest.raises(LockTimeoutError):
        down(0)
    assert depths == [0], "a second acquire waits like any other"
    assert client.inspect(name) is None


def test_decorated_methods(client: Client, name: str) -> None:
    class Shop:
        @client.lock(name)
        def sell(self, what: str) -> str:
            return f"{what} sold by {type(self).__name__}"

        @classmethod
        @client.lock(name)
        def of(cls) -> str:
            return cls.__name__

        @staticmethod
        @client.lock(name)
        def plain() -> int:
            return 7

    assert Shop().sell("tea") == "tea sold by Shop"
    assert Shop.of() == "Shop"
    assert Shop.plain() == 7


def generator() -> Iterator[int]:
    yield 1


async def async_generator() -> AsyncIterator[int]:
    yield 1


async def coroutine() -> int:
    return 1


def function() -> int:
    return 1


class WithAsyncCall:
    async def __call__(self) -> int:
        return 1


class WithGeneratorCall:
    def __call__(self) -> Iterator[int]:
        yield 1


REFUSED_BY_BOTH: list[Any] = [
    generator,
    async_generator,
    functools.partial(generator),
    functools.partial(async_generator),
    WithGeneratorCall(),
    WithGeneratorCall,
    classmethod(lambda cls: cls),
    staticmethod(function),
    7,
    None,
]


def shown(value: object) -> str:
    """Its repr without the address, which differs between the processes of one run."""
    return re.sub(r" at 0x[0-9a-f]+", "", repr(value))


@pytest.mark.parametrize("bad", [*REFUSED_BY_BOTH, coroutine, functools.partial(coroutine), WithAsyncCall()], ids=shown)
def test_what_a_lock_cannot_decorate(bad: Any) -> None:
    lock = Client("redis://127.0.0.1:1").lock("a")
    with pytest.raises(TypeError):
        lock(bad)


@pytest.mark.parametrize("bad", [*REFUSED_BY_BOTH, function, functools.partial(function)], ids=shown)
def test_what_an_async_lock_cannot_decorate(bad: Any) -> None:
    lock = AsyncClient("redis://127.0.0.1:1").lock("a")
    with pytest.raises(TypeError):
        lock(bad)


def test_the_error_says_what_to_do() -> None:
    with pytest.raises(TypeError, match="AsyncClient"):
        Client("redis://127.0.0.1:1").lock("a")(coroutine)
    with pytest.raises(TypeError, match="generator"):
        Client("redis://127.0.0.1:1").lock("a")(generator)


def test_partials_and_callable_objects_can_be_decorated(client: Client, name: str) -> None:
    class Echo:
        def __call__(self, a: int) -> int:
            return a

    def add(a: int, b: int) -> int:
        return a + b

    decorate: Callable[[Any], Any] = client.lock(name)
    assert decorate(functools.partial(add, 1))(2) == 3
    assert decorate(Echo())(4) == 4
    assert decorate(len)("abc") == 3


async def test_decorated_coroutines(aclient: AsyncClient, name: str) -> None:
    @aclient.lock(name, wait=1)
    async def work(a: int, *, b: int = 2) -> tuple[int, bool]:
        """Says what it does."""
        return a + b, await aclient.inspect(name) is not None

    assert await work(1, b=5) == (6, True)
    assert await aclient.inspect(name) is None
    assert work.__name__ == "work"
    assert inspect.iscoroutinefunction(work)
    assert await aclient.lock(name)(functools.partial(work.__wrapped__, 3))() == (5, True)  # type: ignore[attr-defined]


async def test_async_each_entry_takes_a_fresh_lease(aclient: AsyncClient, name: str) -> None:
    lock = aclient.lock(name, wait=0.1)
    async with lock as first:
        with pytest.raises(LockTimeoutError):
            async with lock:
                pytest.fail("the body ran")
        assert first.held
    async with lock as second:
        assert second.token > first.token
    assert lock.name == name
    assert repr(lock) == f"<leaselock.AsyncLock '{name}'>"
    with pytest.raises(RuntimeError, match="more often"):
        await lock.__aexit__(None, None, None)
