"""Locks that only decorate: the name is made of each call's arguments, or a call that finds it taken is left out."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Generic, NoReturn, ParamSpec, TypeVar, cast

from leaselock import _decorate
from leaselock._errors import InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    from leaselock._async_client import AsyncClient
    from leaselock._native import Client


C = TypeVar("C", "Client", "AsyncClient")
P = ParamSpec("P")
R = TypeVar("R")


class _OfCalls(Generic[C]):
    """How to take the lock of a call."""

    def __init__(self, client: C, name: str | Callable[..., str], skip: bool, options: dict[str, Any]) -> None:
        if skip and options.get("wait") is not None:
            raise InvalidArgumentError(
                "wait is for calls that stand in line, and skip=True leaves them out: give one of both"
            )
        if skip:
            options = {option: value for option, value in options.items() if option != "wait"}
        self._client: C = client
        self._name = name
        self._skip = skip
        self._options = options

    def _take(self, args: tuple[object, ...], kwargs: dict[str, object]) -> Any:  # noqa: ANN401 - a lease, or an awaitable
        name = self._name if isinstance(self._name, str) else self._name(*args, **kwargs)
        take = self._client.try_acquire if self._skip else self._client.acquire
        return take(name, **self._options)

    def __repr__(self) -> str:
        return f"<leaselock.{type(self).__name__} {self._name!r}>"

    if not TYPE_CHECKING:  # type checkers say that it is no context manager

        def _no_block(self, *_: object) -> NoReturn:
            """Says what it is for."""
            raise TypeError(
                "a lock with skip=True, or with a function for its name, decorates functions and is not for a `with` "
                "block: use client.try_acquire(name), or client.lock(name) with the name itself"
            )

        __enter__ = __exit__ = __aenter__ = __aexit__ = _no_block


class _Sync(_OfCalls["Client"]):
    def _wrap(self, func: Callable[P, R]) -> Callable[P, R | None]:
        _decorate.check_sync(func)

        @functools.wraps(func)
        def locked(*args: P.args, **kwargs: P.kwargs) -> R | None:
            lease = self._take(args, kwargs)
            if lease is None:
                return None
            with lease:
                return func(*args, **kwargs)

        return locked


class _Async(_OfCalls["AsyncClient"]):
    def _wrap(self, func: Callable[P, Awaitable[R]]) -> Callable[P, Coroutine[Any, Any, R | None]]:
        _decorate.check_async(func)

        @functools.wraps(func)
        async def locked(*args: P.args, **kwargs: P.kwargs) -> R | None:
            lease = await self._take(args, kwargs)
            if lease is None:
                return None
            async with lease:
                return await func(*args, **kwargs)

        return locked


class LockOfCalls(_Sync):
    """A decorator whose lock has its name from each call's arguments. Made by `Client.lock`."""

    def __call__(self, func: Callable[P, R], /) -> Callable[P, R]:
        """Decorates a function: every call takes a fresh lease on the name that the arguments give.

        Raises:
            TypeError: `func` is a generator or a coroutine function, or no function at all.
        """
        return cast("Callable[P, R]", self._wrap(func))  # it waits


class SkippingLock(_Sync):
    """A decorator that leaves out the calls which find the name taken. Made by `Client.lock`."""

    def __call__(self, func: Callable[P, R], /) -> Callable[P, R | None]:
        """Decorates a function: a call takes a fresh lease, or returns None where the name is taken.

        Raises:
            TypeError: `func` is a generator or a coroutine function, or no function at all.
        """
        return self._wrap(func)


class AsyncLockOfCalls(_Async):
    """A decorator whose lock has its name from each call's arguments. Made by `AsyncClient.lock`."""

    def __call__(self, func: Callable[P, Awaitable[R]], /) -> Callable[P, Coroutine[Any, Any, R]]:
        """Decorates a coroutine function: every call takes a fresh lease on the name that the arguments give.

        Raises:
            TypeError: `func` is not a coroutine function.
        """
        return cast("Callable[P, Coroutine[Any, Any, R]]", self._wrap(func))  # it waits


class AsyncSkippingLock(_Async):
    """A decorator that leaves out the calls which find the name taken. Made by `AsyncClient.lock`."""

    def __call__(self, func: Callable[P, Awaitable[R]], /) -> Callable[P, Coroutine[Any, Any, R | None]]:
        """Decorates a coroutine function: a call takes a fresh lease, or gives None where the name is taken.

        Raises:
            TypeError: `func` is not a coroutine function.
        """
        return self._wrap(func)


def check_skip(skip: object) -> None:
    """Refuses what is no bool.

    Raises:
        TypeError: It is none.
    """
    if not isinstance(skip, bool):
        raise TypeError(f"skip must be a bool, not {type(skip).__name__}")


def check_not_reentrant(reentrant: bool) -> None:
    """Refuses a lock of calls that is to be re-entrant.

    Raises:
        InvalidArgumentError: It is.
    """
    if reentrant:
        raise InvalidArgumentError("reentrant is for a lock with a fixed name that waits: leave it out, or skip")


def sync(
    client: Client, name: str | Callable[..., str], skip: bool, options: dict[str, Any]
) -> LockOfCalls | SkippingLock:
    """For `Client.lock`, which has checked the options."""
    check_not_reentrant(options.pop("reentrant", False))
    return (SkippingLock if skip else LockOfCalls)(client, name, skip, options)
