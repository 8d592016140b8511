"""What a lock may decorate."""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    from leaselock._native import Lease, LeaseGroup, Lock

P = ParamSpec("P")
R = TypeVar("R")


def is_coroutine_function(func: Callable[..., object]) -> bool:
    """Whether calling it makes a coroutine, be it a function, a partial of one, or an object with `async __call__`."""
    return any(inspect.iscoroutinefunction(f) for f in _faces(func))


def _faces(func: Callable[..., object]) -> tuple[object, object]:
    """What may carry the marks of a coroutine or a generator: the callable itself, and its class's `__call__`."""
    return func, type(func).__call__


def check(func: Callable[..., object]) -> None:
    """Refuses what no lock can decorate, sync or async.

    Raises:
        TypeError: It is not a function, or it is a generator.
    """
    if isinstance(func, (staticmethod, classmethod)):
        raise TypeError(f"a lock decorates functions: put it under @{type(func).__name__}, next to the def")
    if isinstance(func, type) or not callable(func):
        raise TypeError(f"a lock decorates functions, not {func!r}")
    if any(inspect.isgeneratorfunction(f) or inspect.isasyncgenfunction(f) for f in _faces(func)):
        raise TypeError(
            f"a lock cannot decorate the generator {name_of(func)}: it would be given back before the first item; "
            "take the lock inside it, with a `with` block"
        )


def check_async(func: Callable[..., object]) -> None:
    """Refuses what no lock of an `AsyncClient` can decorate.

    Raises:
        TypeError: It is not a coroutine function.
    """
    check(func)
    if not is_coroutine_function(func):
        raise TypeError(
            f"the lock of an AsyncClient decorates coroutine functions, and {name_of(func)} is none; "
            "use the lock of a Client"
        )


def name_of(func: object) -> str:
    """A function's name for an error text."""
    return str(getattr(func, "__qualname__", None) or repr(func))


def check_sync(func: Callable[..., object]) -> None:
    """Refuses what the lock of a Client cannot decorate.

    Raises:
        TypeError: It is not a plain function.
    """
    check(func)
    if is_coroutine_function(func):
        raise TypeError(
            f"the lock of a Client cannot decorate the coroutine function {name_of(func)}: it would be given back "
            "before the coroutine runs, and block the event loop; use the lock of an AsyncClient"
        )


def sync(func: Callable[P, R], acquire: Callable[[], Lease | LeaseGroup | Lock]) -> Callable[P, R]:
    """A function that takes a fresh lease for each call.

    Raises:
        TypeError: It is not a plain function.
    """
    check_sync(func)

    @functools.wraps(func)
    def locked(*args: P.args, **kwargs: P.kwargs) -> R:
        with acquire():
            return func(*args, **kwargs)

    return locked
