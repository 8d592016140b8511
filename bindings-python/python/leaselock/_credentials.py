"""Functions of credentials: which they may be, and how they are called when the core needs a connection."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from leaselock import _greenlets
from leaselock._greenlets import RealThread

if TYPE_CHECKING:
    import asyncio

    from leaselock._native import CredentialsRequest

# A user and a password; or a password alone, which is the server's default user's.
UserAndPassword: TypeAlias = tuple[str, str] | tuple[str]


class CredentialProvider(Protocol):
    """What redis-py calls so; where it has `get_credentials_async`, an `AsyncClient` awaits that."""

    def get_credentials(self) -> UserAndPassword:
        """The user and the password, or the password alone."""


Credentials: TypeAlias = Callable[[], UserAndPassword] | CredentialProvider
AsyncCredentials: TypeAlias = Credentials | Callable[[], Awaitable[UserAndPassword]]

# An event loop keeps no strong reference to its tasks.
_tasks: set[asyncio.Task[None]] = set()


def function_of(credentials: Any, has_loop: bool) -> tuple[Callable[[], Any], bool]:  # noqa: ANN401 - it is checked
    """The function to call, and whether it is a coroutine function. Called by the native part.

    Raises:
        TypeError: It is none, or one that nobody can await.
    """
    function = credentials
    if not callable(function):
        names = ("get_credentials_async", "get_credentials") if has_loop else ("get_credentials",)
        found = (getattr(credentials, name, None) for name in names)
        function = next((one for one in found if callable(one)), None)
    if function is None:
        msg = f"credentials must be a function, not {type(credentials).__name__}"
        raise TypeError(msg)
    is_coroutine = inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        getattr(function, "__call__", None)  # noqa: B004 - the method of an object that is a function
    )
    if is_coroutine and not has_loop:
        msg = "credentials is a coroutine function, which a Client cannot await; use AsyncClient, or a plain function"
        raise TypeError(msg)
    return function, is_coroutine


def ask(function: Callable[[], Any], request: CredentialsRequest) -> None:
    """Calls the function in a thread of its own. Called by the native part."""

    def run() -> None:
        try:
            _answer(function(), request)
        except BaseException as error:  # noqa: BLE001 - whoever needed the connection gets it as the cause
            request.fail(error)

    real = _greenlets.real_threads()
    name = "leaselock-credentials"
    thread = threading.Thread(target=run, name=name, daemon=True) if real is None else RealThread(real, run)
    thread.start()


def ask_in_loop(
    function: Callable[[], Awaitable[Any]], request: CredentialsRequest, loop: asyncio.AbstractEventLoop
) -> None:
    """Calls the coroutine function in its event loop. Called by the native part, in the loop."""

    async def run() -> None:
        try:
            _answer(await function(), request)
        except BaseException as error:
            request.fail(error)
            if not isinstance(error, Exception):
                raise

    task = loop.create_task(run(), name="leaselock-credentials")
    _tasks.add(task)
    task.add_done_callback(_tasks.discard)


def _answer(credentials: object, request: CredentialsRequest) -> None:
    if inspect.iscoroutine(credentials):
        credentials.close()
        msg = "credentials returned a coroutine; pass the coroutine function itself, or return its result"
        raise TypeError(msg)
    request.answer(credentials)
