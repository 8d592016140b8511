"""APScheduler 3: `@exclusive("report", min_hold=30)` on a job that several schedulers begin at the same time."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from leaselock._async_client import AsyncClient
from leaselock._decorate import is_coroutine_function
from leaselock._exclusive import Exclusive, skip
from leaselock._native import Client
from leaselock._once import AnyClient, Once, getter

if TYPE_CHECKING:
    from leaselock._naming import Name
    from leaselock._records import Seconds

__all__ = ["exclusive"]

F = TypeVar("F", bound=Callable[..., Any])
_client: Once[AnyClient] = Once(Client)
_async_client: Once[AnyClient] = Once(AsyncClient)


def exclusive(  # noqa: PLR0913 - each is an option of its own
    name: Name,
    *,
    min_hold: Seconds,
    on_busy: Literal["skip", "wait"] = "skip",
    wait: Seconds | None = None,
    ttl: Seconds = 30,
    max_hold: Seconds | None = None,
    label: str | None = None,
    client: AnyClient | Callable[[], AnyClient] | None = None,
) -> Callable[[F], F]:
    """One run of a job at a time, and one for each time of the schedule, on however many schedulers have it.

    The job may be a function or a coroutine function (of an AsyncIOScheduler). A job store that keeps jobs by reference
    finds it by its name, as without the decorator.

    Args:
        name (str | Callable): The lock's name, with arguments of the job in braces: `"report:{country}"`. Or a function
            that gives it for the job's arguments.
        min_hold (float | timedelta): Seconds for which the name stays taken from the beginning of a run that ended
            well, though the work is done sooner. More than the clocks of the schedulers differ, and less than the time
            between two runs. A run that fails gives the name back at once: another scheduler may then try.
        on_busy (str): What a run does where the name is taken: `"skip"` ends it at once with None, and logs that;
            `"wait"` waits in line.
        wait (float | timedelta | None): Seconds to wait at most with `on_busy="wait"`; None waits for ever.
        ttl (float | timedelta): Seconds after which the name frees itself when its process was killed.
        max_hold (float | timedelta | None): Seconds after which the lease ends however well it is renewed.
        label (str | None): For people: leads the owner string.
        client (Client | AsyncClient | Callable | None): Who takes the lock, or a function that gives it, called once in
            each process: an AsyncClient for coroutine functions. None for one made of LEASELOCK_URL and
            LEASELOCK_APP_ID.

    Raises:
        InvalidArgumentError: An option is out of its range, or the name's template does not fit the job's arguments.
        TypeError: It is not on a function.

    A run raises LeaseLostError at its end if the lease was lost on the way (a coroutine is cancelled at once),
    LockTimeoutError where a `wait` ran out, StoreUnavailableError and StoreRefusedError: APScheduler logs them.
    """
    options = Exclusive(name, on_busy=on_busy, wait=wait, min_hold=min_hold, ttl=ttl, max_hold=max_hold, label=label)

    def decorate(func: F) -> F:
        default = _async_client if is_coroutine_function(func) else _client
        return options.wrap(func, getter(client, default), skip)

    return decorate
