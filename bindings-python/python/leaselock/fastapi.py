"""FastAPI: `Depends(Exclusive("order:{order_id}"))` on an endpoint, and a lifespan that has the client."""

import contextlib
import math
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Iterator
from datetime import timedelta
from typing import Any, TypeAlias

from fastapi import FastAPI, HTTPException, Request, routing
from fastapi.dependencies.models import Dependant

from leaselock._async_client import AsyncClient
from leaselock._async_lease import AsyncLease
from leaselock._errors import InvalidArgumentError, LockTimeoutError, StoreUnavailableError
from leaselock._naming import fields_of
from leaselock._native import Client
from leaselock._records import Seconds

__all__ = ["Exclusive", "client", "lifespan"]

Name: TypeAlias = str | Callable[[Request], str]


@contextlib.asynccontextmanager
async def lifespan(app: FastAPI, url: str | None = None, **options: Any) -> AsyncIterator[None]:  # noqa: ANN401
    """Makes the app's AsyncClient when it starts, and closes it when it ends: `FastAPI(lifespan=lifespan)`.

    In a lifespan of your own: `async with lifespan(app, app_id="shop"): yield`.

    Args:
        app (FastAPI): Whose it is; it is `app.state.leaselock`.
        url (str | None): Where the locks are; None reads LEASELOCK_URL.
        options (Any): The other arguments of AsyncClient.

    Raises:
        InvalidArgumentError: An argument is out of its range, there is no URL, or an Exclusive names what is not in
            its path.
        TypeError: An argument is of a wrong type.
    """
    # Newer ones keep the routes of included routers apart.
    every: Callable[[Any], Iterable[Any]] = getattr(routing, "iter_route_contexts", iter)
    for route in every(app.routes):
        if (dependant := getattr(route, "dependant", None)) is not None:
            for dependency in _calls(dependant):
                dependency.check(route.path, route.param_convertors.keys())
    async with AsyncClient(url, **options) as made:
        app.state.leaselock = made
        yield


def client(request: Request) -> AsyncClient:
    """The app's client, as a dependency: `Annotated[AsyncClient, Depends(client)]`.

    Raises:
        RuntimeError: The app has none.
    """
    found: AsyncClient | None = getattr(request.app.state, "leaselock", None)
    if found is None:
        raise RuntimeError("the app has no client of leaselock: FastAPI(lifespan=leaselock.fastapi.lifespan)")
    return found


class Exclusive:
    """A dependency that holds a lock while its endpoint runs, and gives the lease to it.

    Where the name is taken the answer is 423 Locked, where the store cannot be reached 503; both have Retry-After. A
    path of which no name can be made (a control character, more than 512 bytes) is 422.

    The lease is given back when FastAPI ends its dependencies, after the answer was made. If it is lost while an
    `async def` endpoint runs, that is cancelled at once, and LeaseLostError goes to the app: 500, or what an
    `exception_handler` says. A `def` endpoint runs in a thread, which nothing cancels: it looks by `lease.check()`.

    Args:
        name (str | Callable): The lock's name, with parameters of the path in braces: `"order:{order_id}"`. Or a
            function that gives it for the request.
        wait (float | timedelta): Seconds to wait for the name. With 0 a caller that asks again as soon as it has the
            answer may come before the release.
        ttl (float | timedelta): Seconds after which the name frees itself when the process was killed.
        max_hold (float | timedelta | None): Seconds after which the lease ends however well it is renewed.
        label (str | None): For people: leads the owner string.
        busy_status (int): The status where the name is taken.
        retry_after (int | None): What Retry-After says, in seconds; None for `wait`, rounded up, 1 at least.

    Raises:
        InvalidArgumentError: An argument is out of its range.
        TypeError: An argument is of a wrong type.
    """

    def __init__(  # noqa: PLR0913 - each is an option of its own
        self,
        name: Name,
        *,
        wait: Seconds = 1,
        ttl: Seconds = 30,
        max_hold: Seconds | None = None,
        label: str | None = None,
        busy_status: int = 423,
        retry_after: int | None = None,
    ) -> None:
        """A dependency for one name, or one name for each path."""
        self._name, self._fields = name, fields_of(name) if isinstance(name, str) else []
        self._options: dict[str, Any] = {"wait": wait, "ttl": ttl, "max_hold": max_hold, "label": label}
        Client("memory:arguments").lock("name", **self._options)
        seconds = wait.total_seconds() if isinstance(wait, timedelta) else wait
        self._headers = {"Retry-After": str(max(1, math.ceil(seconds)) if retry_after is None else retry_after)}
        self._busy_status = busy_status

    def check(self, path: str, parameters: Collection[str]) -> None:
        """Refuses a path that has not all that the name needs.

        Raises:
            InvalidArgumentError: It has not.
        """
        for field in self._fields:
            if field not in parameters:
                raise InvalidArgumentError(
                    f"the name {self._name!r} has {{{field}}}, which is not in the path {path!r}"
                )

    async def __call__(self, request: Request) -> AsyncIterator[AsyncLease]:
        """Takes the lock for a request, and gives it back. FastAPI calls it."""
        if isinstance(self._name, str):
            self.check(request.scope["path"], request.path_params)
            name = self._name.format_map(request.path_params)
        else:
            name = self._name(request)
        try:
            lease = await client(request).acquire(name, **self._options)
        except LockTimeoutError as error:
            raise HTTPException(self._busy_status, f"{name} is busy", self._headers) from error
        except StoreUnavailableError as error:
            raise HTTPException(503, "the store of locks cannot be reached", self._headers) from error
        except InvalidArgumentError as error:  # all others were checked: a control character in the path, say
            raise HTTPException(422, str(error)) from error
        async with lease:
            yield lease


def _calls(dependant: Dependant) -> Iterator[Exclusive]:
    """The Exclusives that an endpoint depends on, directly or not."""
    for dependency in dependant.dependencies:
        if isinstance(dependency.call, Exclusive):
            yield dependency.call
        yield from _calls(dependency)
