"""Functions of which one call runs at a time: what the modules for task queues, schedulers and web frameworks share."""

from __future__ import annotations

import contextlib
import functools
import inspect
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from leaselock._async_client import AsyncClient
from leaselock._decorate import check, is_coroutine_function, name_of
from leaselock._errors import InvalidArgumentError, LeaselockError
from leaselock._logging import log
from leaselock._naming import Name, fields_of, namer
from leaselock._native import Client

if TYPE_CHECKING:
    from leaselock._async_lease import AsyncLease
    from leaselock._native import Lease
    from leaselock._once import AnyClient
    from leaselock._records import Seconds

F = TypeVar("F", bound=Callable[..., Any])


class Exclusive:
    """The checked options of an `exclusive` decorator.

    Raises:
        InvalidArgumentError: An option is out of its range.
        TypeError: An option is of a wrong type.
    """

    def __init__(
        self,
        name: Name,
        *,
        on_busy: str,
        choices: tuple[str, ...] = ("skip", "wait"),
        wait: Seconds | None = None,
        **options: Any,  # noqa: ANN401 - those of `acquire`
    ) -> None:
        if on_busy not in choices:
            raise InvalidArgumentError(f"on_busy is {on_busy!r}; it must be one of {', '.join(map(repr, choices))}")
        if wait is not None and on_busy != "wait":
            raise InvalidArgumentError(f'wait is for on_busy="wait", and on_busy is {on_busy!r}')
        if not isinstance(name, str) and not callable(name):
            raise TypeError(f"name must be a str or a function that gives one, not {type(name).__name__}")
        # The core checks what is its own, with no store.
        fixed = isinstance(name, str) and not fields_of(name)
        Client("memory:arguments").lock(str(name).format() if fixed else "name", wait=wait, **options)
        self.name = name
        self._waits = on_busy == "wait"
        self._options = {**options, "wait": wait} if self._waits else options
        self._keeps = options.get("min_hold") is not None

    def _end_min_hold(self, client: Callable[[], Any], lease: Lease) -> None:
        if self._keeps:
            with contextlib.suppress(LeaselockError):
                client().release(lease.name, lease.owner)

    async def _end_min_hold_async(self, client: Callable[[], Any], lease: AsyncLease) -> None:
        if self._keeps:
            with contextlib.suppress(LeaselockError):
                await client().release(lease.name, lease.owner)

    def wrap(self, func: F, client: Callable[[], AnyClient], busy: Callable[[str], object]) -> F:
        """`func` under its lock; where that is taken, `busy(lock)` is called in its place.

        Raises:
            InvalidArgumentError: The name's template does not fit the arguments of `func`.
            TypeError: `func` is no function, or is a generator.
        """
        check(func)
        name = namer(self.name, func)
        kind = AsyncClient if is_coroutine_function(func) else Client

        def take(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[str, Any]:
            lock, found = name(args, kwargs), client()
            if not isinstance(found, kind):
                raise TypeError(f"{name_of(func)} needs {kind.__name__} for its lock, not {type(found).__name__}")
            return lock, (found.acquire if self._waits else found.try_acquire)(lock, **self._options)

        @functools.wraps(func)
        def exclusively(*args: Any, **kwargs: Any) -> object:  # noqa: ANN401 - those of `func`
            lock, lease = take(args, kwargs)
            if lease is None:
                return busy(lock)
            try:
                with lease:
                    return func(*args, **kwargs)
            except BaseException:
                # Whoever comes next may try it.
                self._end_min_hold(client, lease)
                raise

        @functools.wraps(func)
        async def exclusively_async(*args: Any, **kwargs: Any) -> object:  # noqa: ANN401 - those of `func`
            lock, taking = take(args, kwargs)
            if (lease := await taking) is None:
                return busy(lock)
            try:
                async with lease:
                    return await func(*args, **kwargs)
            except BaseException:
                await self._end_min_hold_async(client, lease)
                raise

        made: Any = exclusively_async if kind is AsyncClient else exclusively
        # Celery and others look at this one, and not at what is wrapped.
        made.__signature__ = inspect.signature(func)
        wrapped: F = made
        return wrapped


def skip(lock: str) -> None:
    """Says that a call was left out."""
    told(logging.INFO, "a call was left out, its lock is taken", {"event": "skipped", "name": lock})


def told(level: int, message: str, fields: dict[str, str]) -> None:
    """Logs a record as those of the core are."""
    log(level, message, "".join(f", {name}={value}" for name, value in fields.items()), fields)
