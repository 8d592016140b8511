"""Distributed locks held under a lease, with fencing tokens, on Redis, Valkey or a file.

    >>> from leaselock import Client
    >>> with Client("redis://localhost:6379") as client, client.lock("nightly-report", ttl=30, wait=10) as lease:
    ...     write_report(token=lease.token)  # doctest: +SKIP

`Client` and `Lease` block their caller, `AsyncClient` and `AsyncLease` are awaited. Durations are seconds (`float`,
`int` or `timedelta`). Every error is a `LeaselockError`; a value of the wrong type is a `TypeError`.

What happens without being asked for, such as the loss of a lease, is logged to the logger `leaselock`; the fields are
attributes of its records.
"""

# The first client needs these: an import that is under way in the moment of a fork never ends in the child.
from leaselock import _callbacks, _exit  # noqa: F401
from leaselock._async_client import AsyncClient
from leaselock._async_lease import AsyncLease, AsyncLeaseGroup
from leaselock._async_lock import AsyncLock
from leaselock._errors import (
    ClientClosedError,
    InvalidArgumentError,
    LeaselockError,
    LeaselockWarning,
    LeaseLostError,
    LockTimeoutError,
    StoreRefusedError,
    StoreUnavailableError,
)
from leaselock._group_lock import AsyncGroupLock, GroupLock
from leaselock._native import Client, Lease, LeaseGroup, Lock, LockEvent, __version__
from leaselock._observe import observe
from leaselock._records import (
    ExtendStatus,
    Holder,
    LeaseState,
    LockEventKind,
    LockInfo,
    LockMode,
    LossReason,
    ReleaseStatus,
    Seconds,
    Stats,
)

__all__ = [
    "AsyncClient",
    "AsyncGroupLock",
    "AsyncLease",
    "AsyncLeaseGroup",
    "AsyncLock",
    "Client",
    "ClientClosedError",
    "ExtendStatus",
    "GroupLock",
    "Holder",
    "InvalidArgumentError",
    "Lease",
    "LeaseGroup",
    "LeaseLostError",
    "LeaseState",
    "LeaselockError",
    "LeaselockWarning",
    "Lock",
    "LockEvent",
    "LockEventKind",
    "LockInfo",
    "LockMode",
    "LockTimeoutError",
    "LossReason",
    "ReleaseStatus",
    "Seconds",
    "Stats",
    "StoreRefusedError",
    "StoreUnavailableError",
    "__version__",
    "observe",
]
