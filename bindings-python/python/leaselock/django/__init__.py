"""Django: `client`, `aclient`, `lock` and `exclusive`, for the locks that the setting LEASELOCK is about.

    >>> INSTALLED_APPS = [..., "leaselock.django"]
    >>> LEASELOCK = {"url": "redis://localhost:6379", "app_id": "shop"}

The setting has the arguments of `leaselock.Client`; what it does not say is in LEASELOCK_URL and LEASELOCK_APP_ID.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed
from django.utils.functional import SimpleLazyObject, empty

from leaselock._async_client import AsyncClient
from leaselock._decorate import is_coroutine_function
from leaselock._errors import InvalidArgumentError
from leaselock._exclusive import Exclusive, skip
from leaselock._native import Client
from leaselock._once import AnyClient, Once, getter

if TYPE_CHECKING:
    from leaselock._naming import Name
    from leaselock._native import Lock
    from leaselock._records import Seconds

__all__ = ["aclient", "client", "exclusive", "lock"]

C = TypeVar("C", Client, AsyncClient)
F = TypeVar("F", bound=Callable[..., Any])


def make(kind: type[C]) -> C:
    """A client as the setting says.

    Raises:
        ImproperlyConfigured: The setting is wrong.
    """
    options = getattr(settings, "LEASELOCK", {})
    if not isinstance(options, dict):
        raise ImproperlyConfigured(f"LEASELOCK is a {type(options).__name__}; it must be a dict, such as {{'url': …}}")
    try:
        return kind(**options)
    except (InvalidArgumentError, TypeError) as error:
        raise ImproperlyConfigured(f"LEASELOCK: {error}") from error


_once: tuple[Once[AnyClient], Once[AnyClient]] = (Once(partial(make, Client)), Once(partial(make, AsyncClient)))
client: Client = cast("Client", SimpleLazyObject(_once[0]))
aclient: AsyncClient = cast("AsyncClient", SimpleLazyObject(_once[1]))


def _changed(*, setting: str, **_: object) -> None:
    """Tests change settings: the next use has a client of the new ones."""
    if setting == "LEASELOCK":
        for once, lazy in zip(_once, (client, aclient), strict=True):
            once.forget()
            vars(lazy)["_wrapped"] = empty


setting_changed.connect(_changed)


def lock(name: str, **options: Any) -> Lock:  # noqa: ANN401 - those of `Client.lock`
    """`client.lock(name, …)`, for a `with` block; coroutines have `aclient.lock`."""
    made: Lock = client.lock(name, **options)
    return made


def exclusive(  # noqa: PLR0913 - each is an option of its own
    name: Name,
    *,
    on_busy: Literal["skip", "wait"] = "wait",
    wait: Seconds | None = None,
    ttl: Seconds = 30,
    max_hold: Seconds | None = None,
    label: str | None = None,
    min_hold: Seconds | None = None,
    client: AnyClient | Callable[[], AnyClient] | None = None,
) -> Callable[[F], F]:
    """One call of a function at a time for each name. It may be a coroutine function.

    Args:
        name (str | Callable): The lock's name, with arguments of the function in braces: `"order:{order_id}"`. Or a
            function that gives it for these arguments.
        on_busy (str): What a call does where the name is taken: `"wait"` waits in line; `"skip"` gives None at once,
            and logs that.
        wait (float | timedelta | None): Seconds to wait at most with `on_busy="wait"`; None waits for ever.
        ttl (float | timedelta): Seconds after which the name frees itself when its process was killed.
        max_hold (float | timedelta | None): Seconds after which the lease ends however well it is renewed.
        label (str | None): For people: leads the owner string.
        min_hold (float | timedelta | None): Seconds for which the name stays taken from the beginning of a call that
            ended well, though the work is done sooner.
        client (Client | AsyncClient | Callable | None): Who takes the lock, or a function that gives it, called once in
            each process; None for `client` or `aclient`.

    Raises:
        InvalidArgumentError: An option is out of its range, or the name's template does not fit the arguments.
        TypeError: It is not on a function.

    A call raises what `with client.lock(…)` raises.
    """
    options = Exclusive(name, on_busy=on_busy, wait=wait, min_hold=min_hold, ttl=ttl, max_hold=max_hold, label=label)

    def decorate(func: F) -> F:
        return options.wrap(func, getter(client, _once[is_coroutine_function(func)]), skip)

    return decorate
