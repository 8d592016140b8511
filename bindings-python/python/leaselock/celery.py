"""Celery: `@exclusive("import:{user_id}")` under `@app.task`, for tasks that must not overlap with themselves."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast

from celery import Celery, Task
from celery._state import get_current_app, get_current_task
from celery.local import Proxy

from leaselock._decorate import is_coroutine_function, name_of
from leaselock._errors import InvalidArgumentError, LockTimeoutError
from leaselock._exclusive import Exclusive, skip
from leaselock._native import Client
from leaselock._once import Once, getter

if TYPE_CHECKING:
    from leaselock._naming import Name
    from leaselock._records import Seconds

__all__ = ["client", "exclusive"]

F = TypeVar("F", bound=Callable[..., Any])

# The attribute of an app that makes its clients.
MAKER = "_leaselock_client"


def _running() -> Task[Any, Any] | None:
    """The task that runs here."""
    return cast("Task[Any, Any] | None", get_current_task())


def client() -> Client:
    """The client of the app of the task that runs here, or of the current app; one in each process.

    Its URL and app id are `leaselock_url` and `leaselock_app_id` of `app.conf`, or LEASELOCK_URL and LEASELOCK_APP_ID.

    Raises:
        InvalidArgumentError: There is no URL, or it is wrong.
    """
    task = _running()
    app: Celery = get_current_app() if task is None else task.app

    def make() -> Client:
        return Client(app.conf.get("leaselock_url"), app_id=app.conf.get("leaselock_app_id"))

    once: Once[Client] = vars(app).setdefault(MAKER, Once(make))
    return once()


_default = client


def exclusive(  # noqa: PLR0913 - each is an option of its own
    name: Name,
    *,
    on_busy: Literal["skip", "retry", "wait"] = "skip",
    wait: Seconds | None = None,
    countdown: float | None = None,
    ttl: Seconds = 30,
    max_hold: Seconds | None = None,
    label: str | None = None,
    min_hold: Seconds | None = None,
    client: Client | Callable[[], Client] | None = None,
) -> Callable[[F], F]:
    """One run of a task at a time for each name. It stands below `@app.task`, next to the def.

    Args:
        name (str | Callable): The lock's name, with arguments of the task in braces: `"import:{user_id}"`. Or a
            function that gives it for the task's arguments.
        on_busy (str): What a run does where the name is taken: `"skip"` ends it at once with None, and logs that;
            `"retry"` has Celery run the task again later, as `self.retry` does; `"wait"` waits in line.
        wait (float | timedelta | None): Seconds to wait at most with `on_busy="wait"`; None waits for ever.
        countdown (float | None): Seconds until the next try with `on_busy="retry"`; None takes the task's
            `default_retry_delay`. How often is the task's `max_retries`; then it fails with LockTimeoutError.
        ttl (float | timedelta): Seconds after which the name frees itself when its worker was killed.
        max_hold (float | timedelta | None): Seconds after which the lease ends however well it is renewed.
        label (str | None): For people: leads the owner string.
        min_hold (float | timedelta | None): Seconds for which the name stays taken from the beginning of a run that
            ended well, though the work is done sooner: for runs that several clocks begin a moment apart.
        client (Client | Callable | None): Who takes the lock, or a function that gives it, called once in each
            process; None for the one that `leaselock.celery.client` gives.

    Raises:
        InvalidArgumentError: An option is out of its range, or the name's template does not fit the task's arguments.
        TypeError: It is not on a function, or above `@app.task`.

    A run raises LeaseLostError at its end if the lease was lost on the way, LockTimeoutError where a `wait` ran out,
    StoreUnavailableError and StoreRefusedError: all of them are errors of the task, for `autoretry_for`, say.
    """
    options = Exclusive(
        name,
        on_busy=on_busy,
        choices=("skip", "retry", "wait"),
        wait=wait,
        min_hold=min_hold,
        ttl=ttl,
        max_hold=max_hold,
        label=label,
    )
    if countdown is not None and (on_busy != "retry" or countdown < 0):
        raise InvalidArgumentError('countdown is for on_busy="retry", and is 0 s or more')

    def busy(lock: str) -> None:
        if on_busy == "skip":
            return skip(lock)
        error = LockTimeoutError(f"the lock {lock!r} is still taken")
        if (task := _running()) is None:
            raise error
        raise task.retry(countdown=countdown, exc=error)

    def decorate(func: F) -> F:
        if isinstance(func, (Proxy, Task)):
            raise TypeError("put @exclusive below @app.task, next to the def")
        if is_coroutine_function(func):
            raise TypeError(f"{name_of(func)} is a coroutine function, which Celery does not run")
        return options.wrap(func, getter(client, _default), busy)

    return decorate
