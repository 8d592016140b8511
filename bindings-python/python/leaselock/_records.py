"""Plain values: what is looked up or counted, and the names of types that arguments and results have."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal, TypeAlias

from leaselock._native import keep

Seconds: TypeAlias = float | timedelta
"""A duration: seconds as an int or a float, or a timedelta. Fractions are rounded down to the millisecond."""

# Written out as unions, which mypy.stubtest knows how to compare.
LeaseState: TypeAlias = Literal["held"] | Literal["unsure"] | Literal["lost"] | Literal["released"]  # noqa: PYI030
"""What has become of a lease: `held`; `unsure` when a renewal has failed but the deadline has not come, so that it is
still held; `lost`; `released`."""

LossReason: TypeAlias = Literal["expired"] | Literal["taken"] | Literal["max_hold"] | Literal["released"]  # noqa: PYI030
"""Why a lease was lost: its time ran out (`expired`), someone else holds the name (`taken`), `max_hold` was reached
(`max_hold`), or it was `released` by someone else, which includes a server that lost it."""


LockEventKind: TypeAlias = (
    Literal["queued"]  # noqa: PYI030 - as above
    | Literal["acquired"]
    | Literal["timed_out"]
    | Literal["busy"]
    | Literal["cancelled"]
    | Literal["failed"]
    | Literal["renewed"]
    | Literal["unsure"]
    | Literal["released"]
    | Literal["detached"]
    | Literal["lost"]
)
"""What happened to a lock: see `LockEvent`."""


class ReleaseStatus(enum.Enum):
    """What came of a release by hand, `client.release(name, owner)` or `client.force_release(name)`."""

    RELEASED = "RELEASED"
    """The name was given back."""
    NOT_FOUND = "NOT_FOUND"
    """Nobody held the name."""
    NOT_OWNER = "NOT_OWNER"
    """Someone else holds the name; it was left alone."""


class ExtendStatus(enum.Enum):
    """What came of an extension by hand, `client.extend(name, owner, ttl)`."""

    EXTENDED = "EXTENDED"
    """The lease has the new TTL."""
    NOT_FOUND = "NOT_FOUND"
    """Nobody held the name."""
    NOT_OWNER = "NOT_OWNER"
    """Someone else holds the name; it was left alone."""


LockMode: TypeAlias = Literal["exclusive"] | Literal["shared"]  # noqa: PYI030 - as above
"""Whether one holds a name alone (`exclusive`), or others may hold it at the same time (`shared`)."""


@dataclass(frozen=True, slots=True)
class Holder:
    """One that holds a name right now.

    Attributes:
        owner: Its owner string, which is enough to give its lease back.
        expires_in: Seconds until its lease ends if it is not renewed; None where it has no end (a foreign holder's).
    """

    owner: str
    """Its owner string, which is enough to give its lease back."""
    expires_in: float | None
    """Seconds until its lease ends if it is not renewed; None where it has no end (a foreign holder's)."""


@dataclass(frozen=True, slots=True)
class LockInfo:
    """Who holds a name right now.

    Attributes:
        name: The lock's name.
        owner: The holder's owner string, which is enough to give the name back; that of the first of `holders`.
        expires_in: Seconds until the name frees itself; None where the key has no TTL (a foreign holder's).
        waiters: How many wait in the queue.
        mode: `exclusive`, or `shared`.
        holders: Who holds it, in the order in which their leases end. A listing names the first ten.
        holder_count: How many hold it.
    """

    name: str
    """The lock's name."""
    owner: str
    """The holder's owner string, which is enough to give the name back; that of the first of `holders`."""
    expires_in: float | None
    """Seconds until the name frees itself; None where the key has no TTL (a foreign holder's)."""
    waiters: int
    """How many wait in the queue."""
    mode: LockMode
    """`exclusive`, or `shared`."""
    holders: tuple[Holder, ...]
    """Who holds it, in the order in which their leases end. A listing names the first ten."""
    holder_count: int
    """How many hold it."""


@dataclass(frozen=True, slots=True)
class Stats:
    """The counters of one client.

    Attributes:
        held: Leases it holds now.
        waiting: Acquires that wait now.
        acquired: Leases it got.
        contended: Acquires that found the name taken.
        timed_out: Acquires whose wait ran out.
        cancelled: Acquires that were cancelled or interrupted.
        released: Leases it gave back.
        lost: Leases it lost.
        renewals: Renewals that succeeded.
        renew_failures: Renewals that failed.
        reconnects: Connections made anew after one was lost.
    """

    held: int
    """Leases it holds now."""
    waiting: int
    """Acquires that wait now."""
    acquired: int
    """Leases it got."""
    contended: int
    """Acquires that found the name taken."""
    timed_out: int
    """Acquires whose wait ran out."""
    cancelled: int
    """Acquires that were cancelled or interrupted."""
    released: int
    """Leases it gave back."""
    lost: int
    """Leases it lost."""
    renewals: int
    """Renewals that succeeded."""
    renew_failures: int
    """Renewals that failed."""
    reconnects: int
    """Connections made anew after one was lost."""


# As with the errors: a package that is imported again has the classes that it had.
globals().update(
    keep(
        {
            "ExtendStatus": ExtendStatus,
            "Holder": Holder,
            "LockInfo": LockInfo,
            "ReleaseStatus": ReleaseStatus,
            "Stats": Stats,
        }
    )
)
