"""Functions of which one call runs at a time: what the modules for task queues, schedulers and web frameworks share."""

from __future__ import annotations

import contextlib
import functools
import inspect
import logging
import time
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from leaselock._async_client import AsyncClient
from leaselock._decorate import check, is_coroutine_function, name_of
from leaselock._errors import InvalidArgumentError, LeaselockError, LeaseLostError
from leaselock._logging import log
from leaselock._naming import Name, fields_of, namer
from leaselock._native import Client

if TYPE_CHECKING:
    from collections.abc import Iterator

    from leaselock._async_lease import AsyncLease
    from leaselock._native import Lease
    from leaselock._once import AnyClient
    from leaselock._records import Seconds

F = TypeVar("F", bound=Callable[..., Any])
# Of a lease, in seconds.
SHORTEST, LONGEST = 0.1, 365 * 86400


def _seconds(option: str, value: object) -> float:
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{option} must be a number of seconds or a timedelta, not {type(value).__name__}")
    return value


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
        at_least: Seconds = 0,
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
        self.at_least = _seconds("at_least", at_least)
        limit = options.get("max_hold")
        if limit is not None and self.at_least > (longest := _seconds("max_hold", limit)):
            raise InvalidArgumentError(f"at_least is {self.at_least} s, and max_hold ends the lease after {longest} s")
        if not 0 <= self.at_least <= LONGEST:
            raise InvalidArgumentError(f"at_least is {self.at_least} s; it must be between 0 s and 365 days")
        self.name = name
        self._waits = on_busy == "wait"
        self._options = {**options, "wait": wait} if self._waits else options

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

        def rest(began: float) -> float:
            return self.at_least - (time.monotonic() - began)

        @functools.wraps(func)
        def exclusively(*args: Any, **kwargs: Any) -> object:  # noqa: ANN401 - those of `func`
            lock, lease = take(args, kwargs)
            if lease is None:
                return busy(lock)
            with lease:
                began = time.monotonic()
                result = func(*args, **kwargs)
                if (left := rest(began)) > 0:
                    with keeping(lease):
                        lease.extend(max(left, SHORTEST))
                return result

        @functools.wraps(func)
        async def exclusively_async(*args: Any, **kwargs: Any) -> object:  # noqa: ANN401 - those of `func`
            lock, taking = take(args, kwargs)
            if (lease := await taking) is None:
                return busy(lock)
            async with lease:
                began = time.monotonic()
                result = await func(*args, **kwargs)
                if (left := rest(began)) > 0:
                    with keeping(lease):
                        await lease.extend(max(left, SHORTEST))
                return result

        made: Any = exclusively_async if kind is AsyncClient else exclusively
        # Celery and others look at this one, and not at what is wrapped.
        made.__signature__ = inspect.signature(func)
        wrapped: F = made
        return wrapped


@contextlib.contextmanager
def keeping(lease: Lease | AsyncLease) -> Iterator[None]:
    """The lease is extended in here, and then left to its end. The work is done: a store that fails is a warning."""
    try:
        yield
    except LeaseLostError:
        raise
    except LeaselockError as error:
        fields = {"event": "keep_failed", "name": lease.name, "error": str(error)}
        told(logging.WARNING, "a name may not be kept for at_least", fields)
    lease.detach()


def skip(lock: str) -> None:
    """Says that a call was left out."""
    told(logging.INFO, "a call was left out, its lock is taken", {"event": "skipped", "name": lock})


def told(level: int, message: str, fields: dict[str, str]) -> None:
    """Logs a record as those of the core are."""
    log(level, message, "".join(f", {name}={value}" for name, value in fields.items()), fields)
