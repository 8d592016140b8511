"""A blocking wait inside a coroutine stops its event loop: that is said at once. What does not wait is left alone."""

from __future__ import annotations

import asyncio
import time
import warnings
from typing import TYPE_CHECKING

import pytest

from leaselock import Client, LeaselockWarning, LockTimeoutError

if TYPE_CHECKING:
    from collections.abc import Callable


def in_a_coroutine(call: Callable[[], object]) -> object:
    """Calls it where a loop runs."""

    async def main() -> object:
        return call()

    return asyncio.run(main())


def test_field_bug_64_a_wait_in_a_coroutine_warns_at_once(client: Client, other: Client, name: str) -> None:
    seen_after: list[float] = []
    started = time.monotonic()

    def show(message: Warning | str, category: type[Warning], filename: str, *_: object) -> None:
        seen_after.append(time.monotonic() - started)
        assert issubclass(category, RuntimeWarning)
        assert "AsyncClient" in str(message)
        assert filename == __file__

    with warnings.catch_warnings(), other.lock(name):
        warnings.simplefilter("always")
        warnings.showwarning = show  # type: ignore[assignment]
        with pytest.raises(LockTimeoutError):
            in_a_coroutine(lambda: client.acquire(name, wait=3))
    assert len(seen_after) == 1, "once for each call"
    assert seen_after[0] < 2.5, "long before the wait is over"


@pytest.mark.parametrize("kind", ["a block", "a decorated function", "wait_lost"])
def test_field_bug_64_whatever_waits(client: Client, other: Client, name: str, kind: str) -> None:
    lease = client.acquire(name + "-2")
    lock = client.lock(name, wait=0.3)
    calls: dict[str, Callable[[], object]] = {
        "a block": lock.__enter__,
        "a decorated function": lock(time.time),
        "wait_lost": lambda: lease.wait_lost(0.3),
    }
    with other.lock(name), pytest.warns(LeaselockWarning, match="AsyncClient") as warned:
        try:
            in_a_coroutine(calls[kind])
        except LockTimeoutError:
            assert kind != "wait_lost"
    assert [warning.filename for warning in warned] == [__file__]
    lease.release()


def test_field_bug_64_as_an_error_it_ends_the_wait(client: Client, other: Client, name: str) -> None:
    with other.lock(name):
        started = time.monotonic()
        with pytest.raises(LeaselockWarning):
            in_a_coroutine(lambda: client.acquire(name, wait=30))
        assert time.monotonic() - started < 10
    client.acquire(name, wait=5).release()


def test_field_bug_64_what_does_not_wait_says_nothing(client: Client, other: Client, name: str) -> None:
    # Warnings are errors here.
    def use() -> None:
        for _ in range(20):
            with client.lock(name) as lease:
                lease.extend(5)
                assert other.try_acquire(name) is None
            client.inspect(name)

    in_a_coroutine(use)


def test_field_bug_64_a_wait_beside_a_loop_says_nothing(client: Client, other: Client, name: str) -> None:
    async def main() -> None:
        with other.lock(name), pytest.raises(LockTimeoutError):
            await asyncio.to_thread(client.acquire, name, wait=0.3)

    asyncio.run(main())
    with other.lock(name), pytest.raises(LockTimeoutError):
        client.acquire(name, wait=0.3)
