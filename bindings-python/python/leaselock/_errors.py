"""The errors: one class per kind of the core, under the name and with the code that the core's table gives it."""

from __future__ import annotations

import sys
import warnings
from asyncio import _get_running_loop
from typing import TYPE_CHECKING, ClassVar

from leaselock._native import error_codes, keep

if TYPE_CHECKING:
    from types import FrameType

    from leaselock._records import LossReason

_CODES = error_codes()


class LeaselockError(Exception):
    """The base of every error of this package; `str(error)` says what was wrong and what to do.

    Attributes:
        code: What kind of error it is, the same in every language: `"INVALID_ARGUMENT"`, `"LOCK_TIMEOUT"`,
            `"LEASE_LOST"`, `"STORE_UNAVAILABLE"`, `"STORE_REFUSED"` or `"CLIENT_CLOSED"`.
    """

    code: ClassVar[str]
    """What kind of error it is, the same in every language."""

    def __init_subclass__(cls, **kwargs: object) -> None:
        """Gives a class of this package its code; classes derived elsewhere inherit one."""
        super().__init_subclass__(**kwargs)
        if cls.__module__ == __name__:
            cls.code = _CODES[cls.__name__]
            cls.__module__ = "leaselock"


class InvalidArgumentError(LeaselockError, ValueError):
    """An argument is out of its range. Nothing was sent.

    Also a ValueError. A value of a wrong type is a TypeError instead.
    """


class LockTimeoutError(LeaselockError, TimeoutError):
    """The wait ran out while someone else held the name. Also a TimeoutError."""


class LeaseLostError(LeaselockError):
    """The lease is over although its holder did not release it.

    Raised by `check`, by `extend`, and at the end of a block whose lease was lost on the way.

    Args:
        message (str): What was wrong, and what to do.
        reason (LossReason): Why.

    Attributes:
        reason: `"expired"` (its time ran out without a renewal), `"taken"` (someone else holds the name), `"max_hold"`
            (that was reached) or `"released"` (by someone else, or the server lost it).
    """

    reason: LossReason
    """Why."""

    def __init__(self, message: str = "the lease is lost", reason: LossReason = "expired") -> None:
        """An error that says `message`."""
        super().__init__(message)
        self.reason = reason


class StoreUnavailableError(LeaselockError, ConnectionError):
    """The server could not be reached, did not answer in time, or said to come back later. Also a ConnectionError.

    Trying again later may help. What caused it, such as an exception of a function of credentials, is its `__cause__`.
    """


class StoreRefusedError(LeaselockError):
    """The server answered that it will not do it: authentication, permissions, memory, a key of another type.

    Trying again does not help before something has been changed there.
    """


class ClientClosedError(LeaselockError):
    """The client was closed, before the call or during it. A new one takes locks again."""


class LeaselockWarning(RuntimeWarning):
    """Something to know that is no error: the work itself was done, or goes on.

    A lease could not be given back at the end of its block, and its TTL frees the name; or a blocking call waits in the
    thread of a running event loop.
    """


for _class in (LeaselockError, LeaselockWarning):
    _class.__module__ = "leaselock"


def warn(text: str, *, masked: bool) -> None:
    """Warns whoever leaves an `async with` block; `masked` says that its body raised, which always wins."""
    try:
        warnings.warn(text, LeaselockWarning, stacklevel=_depth())
    except LeaselockWarning:
        # Warnings are errors here.
        if not masked:
            raise


def warn_of_loop() -> None:
    """Warns whoever waits in the thread of a running event loop. Called by the native part once the wait has begun."""
    if _get_running_loop() is None:
        return
    text = (
        "this call waits in the thread of a running event loop, which stands still until the wait is over: "
        "await an AsyncClient there, or make the call in a thread, by asyncio.to_thread"
    )
    warnings.warn(text, LeaselockWarning, stacklevel=_depth())


def _depth() -> int:
    """How far up the first caller outside this package is."""
    depth = 1
    frame: FrameType | None = sys._getframe()  # noqa: SLF001 - what `warnings` itself does
    while frame is not None and frame.f_globals.get("__name__", "").startswith("leaselock."):
        frame = frame.f_back
        depth += 1
    return depth - 1


# A package that is imported again has the classes that it had: `except` of either import catches what is raised.
globals().update(
    keep(
        {
            "LeaselockError": LeaselockError,
            "InvalidArgumentError": InvalidArgumentError,
            "LockTimeoutError": LockTimeoutError,
            "LeaseLostError": LeaseLostError,
            "StoreUnavailableError": StoreUnavailableError,
            "StoreRefusedError": StoreRefusedError,
            "ClientClosedError": ClientClosedError,
            "LeaselockWarning": LeaselockWarning,
            "warn_of_loop": warn_of_loop,
        }
    )
)
