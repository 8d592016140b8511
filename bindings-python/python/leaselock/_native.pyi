# Docs are put in by scripts/stubs.py from those of the module itself.
# ruff: noqa: PYI021 - where editors and mkdocstrings look for them

from asyncio import AbstractEventLoop
from collections.abc import Awaitable, Callable, Generator, Iterable, Iterator, Mapping
from contextvars import Context
from os import PathLike
from types import TracebackType
from typing import Generic, Literal, NoReturn, ParamSpec, TypeAlias, TypeVar, final, overload
from weakref import ReferenceType

from typing_extensions import Self, Unpack, disjoint_base

from leaselock._credentials import AsyncCredentials, Credentials
from leaselock._errors import LeaseLostError
from leaselock._group_lock import GroupLock
from leaselock._of_calls import LockOfCalls, SkippingLock
from leaselock._records import (
    ExtendStatus,
    LeaseState,
    LockEventKind,
    LockInfo,
    LossReason,
    ReleaseStatus,
    Seconds,
    Stats,
)

_P = ParamSpec("_P")
_R = TypeVar("_R")
_T = TypeVar("_T")
_Path: TypeAlias = str | PathLike[str]
# ttl, renew, max_hold, min_hold, label, shared, permits, wait
_Options: TypeAlias = tuple[Seconds, bool, Seconds | None, Seconds | None, str | None, bool, int | None, Seconds | None]

__all__ = [
    "AsyncClientCore",
    "AsyncGroupCore",
    "AsyncLeaseCore",
    "AsyncLocks",
    "Bridge",
    "Client",
    "CredentialsRequest",
    "Entries",
    "GroupRequest",
    "Lease",
    "LeaseGroup",
    "Line",
    "Lock",
    "LockEvent",
    "LockIterator",
    "Operation",
    "Place",
    "Request",
    "__version__",
    "begin_exit",
    "cli",
    "end_process",
    "error_codes",
    "flush_observed",
    "keep",
    "next_event",
    "observing",
    "stop_events",
]

__version__: str

@disjoint_base
class Client:
    """A client whose calls block: `with Client("redis://localhost:6379") as client:`.

    Nothing is connected until the first use. Any thread may use it; calls of several threads run in parallel. A signal
    handler that raises, as Ctrl-C's does, ends a blocking call, which is then undone. In a child of a fork it works
    again, under a new id.

    Args:
        url (str | None): Where the locks are: a server (`redis://`, `rediss://` for TLS, `valkey://`, `valkeys://`,
            `unix:`), a master with its sentinels (`redis+sentinel://`), a cluster (`redis+cluster://`), a file for all
            processes of this machine (`file:locks.db`), or this process alone (`memory:NAME`). None reads
            LEASELOCK_URL.
        app_id (str | None): Keeps the names of applications on one server apart; at most 256 bytes. None reads
            LEASELOCK_APP_ID; empty is none.
        command_timeout (float | timedelta): Seconds after which a command without an answer has failed.
        tls_ca (str | PathLike | None): PEM file of the authorities to trust, for TLS; None trusts the system's.
        tls_cert (str | PathLike | None): PEM file of the client's own certificate, for a server that asks for one.
        tls_key (str | PathLike | None): PEM file of that certificate's key.
        tls_insecure_skip_verify (bool): Whether any certificate is taken, which lets whoever sits in between read all.
        key_prefix (str | None): Stands before every key and channel, at most 128 bytes. With one, locks are not shared
            with Dapr.
        address_map (Mapping[str, str] | None): Where servers are reached that announce other addresses than this client
            can reach, as `{"announced:port": "reachable:port"}`: behind NAT, in containers. For sentinels and clusters.
        replicas (int): How many replicas have to have a lock before it counts as acquired or renewed. An acquire that
            fewer confirm is undone: StoreUnavailableError.
        credentials (Callable | CredentialProvider | None): A function called for each new connection, which gives
            `(user, password)`, in place of those in the URL: for passwords that expire or are rotated. It is called in
            a thread of its own. It must not use the client itself, and has 1 second, more when it was slow before,
            `command_timeout` at most. An object of redis-py's `CredentialProvider` does, too.

    Raises:
        InvalidArgumentError: An argument is out of its range, or there is no URL at all.
        TypeError: An argument is of a wrong type.

    Examples:
        >>> with Client("redis://localhost:6379", app_id="shop") as client:
        ...     with client.lock("nightly-report", ttl=30, wait=10) as lease:
        ...         write_report(token=lease.token)
    """
    def __new__(cls, *_args: object, **_options: object) -> Self: ...
    def __init__(
        self,
        url: str | None = None,
        *,
        app_id: str | None = None,
        command_timeout: Seconds = 5,
        tls_ca: _Path | None = None,
        tls_cert: _Path | None = None,
        tls_key: _Path | None = None,
        tls_insecure_skip_verify: bool = False,
        key_prefix: str | None = None,
        address_map: Mapping[str, str] | None = None,
        replicas: int = 0,
        credentials: Credentials | None = None,
    ) -> None: ...
    @property
    def id(self) -> str:
        """What this client is called on the server and in log records; another name after a fork."""
    @property
    def app_id(self) -> str:
        """The app id, empty for none."""
    @property
    def closed(self) -> bool:
        """Whether it was closed."""
    def acquire(
        self,
        name: str,
        *,
        ttl: Seconds = 30,
        wait: Seconds | None = None,
        renew: bool = True,
        max_hold: Seconds | None = None,
        min_hold: Seconds | None = None,
        label: str | None = None,
        shared: bool = False,
        permits: int | None = None,
    ) -> Lease:
        """Takes the lock `name`, waiting in line for it. Not re-entrant: who holds the name waits like any other.

        Args:
            name (str): The lock's name: 1 to 512 bytes of UTF-8 without control characters.
            ttl (float | timedelta): Seconds after which the name frees itself when nothing more is heard of this
                process; 0.1 to 365 days.
            wait (float | timedelta | None): Seconds to wait for the name; None waits for ever, 0 tries once.
            renew (bool): Whether the lease is renewed in the background, at a third of its TTL.
            max_hold (float | timedelta | None): Seconds after which the lease ends however well it is renewed; at
                least `ttl`. None is no bound.
            min_hold (float | timedelta | None): Seconds for which the name stays taken at the least, from when it was
                acquired, also where it is given back sooner. At most `max_hold`. None is no such time.
            label (str | None): For people: leads the owner string. At most 128 bytes.
            shared (bool): Whether others may hold the name at the same time who ask for it so, too: any number of
                readers, or one writer, who asks without it.
            permits (int | None): How many may hold the name at the same time, this one included: 1 to 10,000, where
                1 is an exclusive lock, as None is. Not together with `shared`.

        Returns:
            Lease: The lease, renewed in the background. Give it back by `release()`, or use it as a `with` block.

        Raises:
            InvalidArgumentError: An argument is out of its range.
            LockTimeoutError: The wait ran out while someone else held the name.
            StoreUnavailableError: The server could not be reached, did not answer within `command_timeout`, or fewer
                replicas than asked for confirmed.
            StoreRefusedError: The server answered that it will not do it, for want of a permission or of memory, say.
            ClientClosedError: The client was closed.
            TypeError: An argument is of a wrong type.

        Examples:
            >>> with client.acquire("nightly-report", ttl=30, wait=10) as lease:
            ...     write_report(token=lease.token)
        """
    def try_acquire(
        self,
        name: str,
        *,
        ttl: Seconds = 30,
        renew: bool = True,
        max_hold: Seconds | None = None,
        min_hold: Seconds | None = None,
        label: str | None = None,
        shared: bool = False,
        permits: int | None = None,
    ) -> Lease | None:
        """Takes the lock `name` if it is free. It never waits in line.

        Args:
            name (str): The lock's name: 1 to 512 bytes of UTF-8 without control characters.
            ttl (float | timedelta): Seconds after which the name frees itself when nothing more is heard of this
                process; 0.1 to 365 days.
            renew (bool): Whether the lease is renewed in the background, at a third of its TTL.
            max_hold (float | timedelta | None): Seconds after which the lease ends however well it is renewed; at
                least `ttl`. None is no bound.
            min_hold (float | timedelta | None): Seconds for which the name stays taken at the least, from when it was
                acquired, also where it is given back sooner. At most `max_hold`. None is no such time.
            label (str | None): For people: leads the owner string. At most 128 bytes.
            shared (bool): Whether others may hold the name at the same time who ask for it so, too: any number of
                readers, or one writer, who asks without it.
            permits (int | None): How many may hold the name at the same time, this one included: 1 to 10,000, where
                1 is an exclusive lock, as None is. Not together with `shared`.

        Returns:
            Lease | None: The lease; None if someone else holds the name.

        Raises:
            InvalidArgumentError: An argument is out of its range.
            StoreUnavailableError: The server could not be reached, did not answer within `command_timeout`, or fewer
                replicas than asked for confirmed.
            StoreRefusedError: The server answered that it will not do it, for want of a permission or of memory, say.
            ClientClosedError: The client was closed.
            TypeError: An argument is of a wrong type.

        Examples:
            >>> if (lease := client.try_acquire("cleanup")) is not None:
            ...     with lease:
            ...         clean_up()
        """
    @overload
    def lock(
        self,
        name: str,
        *,
        ttl: Seconds = 30,
        wait: Seconds | None = None,
        reentrant: bool = False,
        renew: bool = True,
        max_hold: Seconds | None = None,
        min_hold: Seconds | None = None,
        label: str | None = None,
        shared: bool = False,
        permits: int | None = None,
        skip: Literal[False] = False,
    ) -> Lock:
        """The lock `name` as a `with` block and a decorator.

        The arguments are checked at once; nothing is sent before the block is entered.

        In place of the name may stand a function that gives it for the arguments of each decorated call:
        `@client.lock(lambda order: f"order:{order.id}")`. That is for decorating alone.

        Args:
            name (str): The lock's name: 1 to 512 bytes of UTF-8 without control characters.
            ttl (float | timedelta): Seconds after which the name frees itself when nothing more is heard of this
                process; 0.1 to 365 days.
            wait (float | timedelta | None): Seconds to wait for the name; None waits for ever, 0 tries once.
            reentrant (bool): Whether whoever is inside already (the same thread, greenlet and asyncio task, by this
                client) gets the same lease again, which the outermost block gives back. All options must be as there.
            renew (bool): Whether the lease is renewed in the background, at a third of its TTL.
            max_hold (float | timedelta | None): Seconds after which the lease ends however well it is renewed; at
                least `ttl`. None is no bound.
            min_hold (float | timedelta | None): Seconds for which the name stays taken at the least, from when it was
                acquired, also where it is given back sooner. At most `max_hold`. None is no such time.
            label (str | None): For people: leads the owner string. At most 128 bytes.
            shared (bool): Whether others may hold the name at the same time who ask for it so, too: any number of
                readers, or one writer, who asks without it.
            permits (int | None): How many may hold the name at the same time, this one included: 1 to 10,000, where
                1 is an exclusive lock, as None is. Not together with `shared`.
            skip (bool): Whether a decorated call that finds the name taken is left out, and returns None in place of
                waiting. For decorating alone.

        Returns:
            Lock: Takes a fresh lease for each block, and for each call of a decorated function.

        Raises:
            InvalidArgumentError: An argument is out of its range.
            TypeError: An argument is of a wrong type.

        Examples:
            >>> @client.lock("nightly-report", ttl=30, wait=10)
            ... def report() -> None: ...
        """
    @overload
    def lock(
        self,
        name: Callable[..., str],
        *,
        ttl: Seconds = 30,
        wait: Seconds | None = None,
        renew: bool = True,
        max_hold: Seconds | None = None,
        min_hold: Seconds | None = None,
        label: str | None = None,
        shared: bool = False,
        permits: int | None = None,
        skip: Literal[False] = False,
    ) -> LockOfCalls:
        """The lock `name` as a `with` block and a decorator.

        The arguments are checked at once; nothing is sent before the block is entered.

        In place of the name may stand a function that gives it for the arguments of each decorated call:
        `@client.lock(lambda order: f"order:{order.id}")`. That is for decorating alone.

        Args:
            name (str): The lock's name: 1 to 512 bytes of UTF-8 without control characters.
            ttl (float | timedelta): Seconds after which the name frees itself when nothing more is heard of this
                process; 0.1 to 365 days.
            wait (float | timedelta | None): Seconds to wait for the name; None waits for ever, 0 tries once.
            reentrant (bool): Whether whoever is inside already (the same thread, greenlet and asyncio task, by this
                client) gets the same lease again, which the outermost block gives back. All options must be as there.
            renew (bool): Whether the lease is renewed in the background, at a third of its TTL.
            max_hold (float | timedelta | None): Seconds after which the lease ends however well it is renewed; at
                least `ttl`. None is no bound.
            min_hold (float | timedelta | None): Seconds for which the name stays taken at the least, from when it was
                acquired, also where it is given back sooner. At most `max_hold`. None is no such time.
            label (str | None): For people: leads the owner string. At most 128 bytes.
            shared (bool): Whether others may hold the name at the same time who ask for it so, too: any number of
                readers, or one writer, who asks without it.
            permits (int | None): How many may hold the name at the same time, this one included: 1 to 10,000, where
                1 is an exclusive lock, as None is. Not together with `shared`.
            skip (bool): Whether a decorated call that finds the name taken is left out, and returns None in place of
                waiting. For decorating alone.

        Returns:
            Lock: Takes a fresh lease for each block, and for each call of a decorated function.

        Raises:
            InvalidArgumentError: An argument is out of its range.
            TypeError: An argument is of a wrong type.

        Examples:
            >>> @client.lock("nightly-report", ttl=30, wait=10)
            ... def report() -> None: ...
        """
    @overload
    def lock(
        self,
        name: str | Callable[..., str],
        *,
        ttl: Seconds = 30,
        renew: bool = True,
        max_hold: Seconds | None = None,
        min_hold: Seconds | None = None,
        label: str | None = None,
        shared: bool = False,
        permits: int | None = None,
        skip: Literal[True],
    ) -> SkippingLock:
        """The lock `name` as a `with` block and a decorator.

        The arguments are checked at once; nothing is sent before the block is entered.

        In place of the name may stand a function that gives it for the arguments of each decorated call:
        `@client.lock(lambda order: f"order:{order.id}")`. That is for decorating alone.

        Args:
            name (str): The lock's name: 1 to 512 bytes of UTF-8 without control characters.
            ttl (float | timedelta): Seconds after which the name frees itself when nothing more is heard of this
                process; 0.1 to 365 days.
            wait (float | timedelta | None): Seconds to wait for the name; None waits for ever, 0 tries once.
            reentrant (bool): Whether whoever is inside already (the same thread, greenlet and asyncio task, by this
                client) gets the same lease again, which the outermost block gives back. All options must be as there.
            renew (bool): Whether the lease is renewed in the background, at a third of its TTL.
            max_hold (float | timedelta | None): Seconds after which the lease ends however well it is renewed; at
                least `ttl`. None is no bound.
            min_hold (float | timedelta | None): Seconds for which the name stays taken at the least, from when it was
                acquired, also where it is given back sooner. At most `max_hold`. None is no such time.
            label (str | None): For people: leads the owner string. At most 128 bytes.
            shared (bool): Whether others may hold the name at the same time who ask for it so, too: any number of
                readers, or one writer, who asks without it.
            permits (int | None): How many may hold the name at the same time, this one included: 1 to 10,000, where
                1 is an exclusive lock, as None is. Not together with `shared`.
            skip (bool): Whether a decorated call that finds the name taken is left out, and returns None in place of
                waiting. For decorating alone.

        Returns:
            Lock: Takes a fresh lease for each block, and for each call of a decorated function.

        Raises:
            InvalidArgumentError: An argument is out of its range.
            TypeError: An argument is of a wrong type.

        Examples:
            >>> @client.lock("nightly-report", ttl=30, wait=10)
            ... def report() -> None: ...
        """
    def read_lock(
        self,
        name: str,
        *,
        ttl: Seconds = 30,
        wait: Seconds | None = None,
        renew: bool = True,
        max_hold: Seconds | None = None,
        min_hold: Seconds | None = None,
        label: str | None = None,
    ) -> Lock:
        """The lock `name` for a reader: `lock(name, shared=True)`.

        Any number of readers hold it at the same time, or one writer, who asks by `lock(name)`. First come, first
        served: a reader behind a writer that waits waits, too.

        Args:
            name (str): The lock's name: 1 to 512 bytes of UTF-8 without control characters.
            ttl (float | timedelta): Seconds after which the name frees itself when nothing more is heard of this
                process; 0.1 to 365 days.
            wait (float | timedelta | None): Seconds to wait for the name; None waits for ever, 0 tries once.
            renew (bool): Whether the lease is renewed in the background, at a third of its TTL.
            max_hold (float | timedelta | None): Seconds after which the lease ends however well it is renewed; at
                least `ttl`. None is no bound.
            min_hold (float | timedelta | None): Seconds for which the name stays taken at the least, from when it was
                acquired, also where it is given back sooner. At most `max_hold`. None is no such time.
            label (str | None): For people: leads the owner string. At most 128 bytes.

        Returns:
            Lock: Takes a fresh lease for each block, and for each call of a decorated function.

        Raises:
            InvalidArgumentError: An argument is out of its range.
            TypeError: An argument is of a wrong type.

        Examples:
            >>> with client.read_lock("catalogue") as lease:
            ...     write_report(token=lease.token)
        """
    def semaphore(
        self,
        name: str,
        permits: int,
        *,
        ttl: Seconds = 30,
        wait: Seconds | None = None,
        renew: bool = True,
        max_hold: Seconds | None = None,
        min_hold: Seconds | None = None,
        label: str | None = None,
    ) -> Lock:
        """The lock `name` for at most so many at the same time: `lock(name, permits=permits)`.

        Each caller keeps to its own number.

        Args:
            name (str): The lock's name: 1 to 512 bytes of UTF-8 without control characters.
            permits (int): How many may hold the name at the same time, this one included: 1 to 10,000.
            ttl (float | timedelta): Seconds after which the name frees itself when nothing more is heard of this
                process; 0.1 to 365 days.
            wait (float | timedelta | None): Seconds to wait for the name; None waits for ever, 0 tries once.
            renew (bool): Whether the lease is renewed in the background, at a third of its TTL.
            max_hold (float | timedelta | None): Seconds after which the lease ends however well it is renewed; at
                least `ttl`. None is no bound.
            min_hold (float | timedelta | None): Seconds for which the name stays taken at the least, from when it was
                acquired, also where it is given back sooner. At most `max_hold`. None is no such time.
            label (str | None): For people: leads the owner string. At most 128 bytes.

        Returns:
            Lock: Takes a fresh lease for each block, and for each call of a decorated function.

        Raises:
            InvalidArgumentError: An argument is out of its range.
            TypeError: An argument is of a wrong type.

        Examples:
            >>> with client.semaphore("exports", 3) as lease:
            ...     write_report(token=lease.token)
        """
    def acquire_all(
        self,
        names: Iterable[str],
        *,
        ttl: Seconds = 30,
        wait: Seconds | None = None,
        renew: bool = True,
        max_hold: Seconds | None = None,
        min_hold: Seconds | None = None,
        label: str | None = None,
        shared: bool = False,
        permits: int | None = None,
    ) -> LeaseGroup:
        """Takes several names, all or none.

        All are tried at once. Unless each is free they are then waited for one after the other, in the order of their
        bytes whatever the order they are given in: so two groups never wait for each other. It is not re-entrant:
        whoever holds one of the names already waits for themselves.

        Args:
            names (Iterable[str]): 1 to 64 names, each 1 to 512 bytes of UTF-8 without control characters. One that is
                there twice is taken once.
            ttl (float | timedelta): Seconds after which the names free themselves when nothing more is heard of this
                process; 0.1 to 365 days.
            wait (float | timedelta | None): Seconds to wait, for all of them together; None waits for ever, 0 tries
                once.
            renew (bool): Whether the leases are renewed in the background, at a third of their TTL.
            max_hold (float | timedelta | None): Seconds after which each lease ends however well it is renewed; at
                least `ttl`. None is no bound.
            min_hold (float | timedelta | None): Seconds for which the name stays taken at the least, from when it was
                acquired, also where it is given back sooner. At most `max_hold`. None is no such time.
            label (str | None): For people: leads the owner strings. At most 128 bytes.
            shared (bool): Whether others may hold each of the names at the same time who ask for it so, too.
            permits (int | None): How many may hold each of the names at the same time, this one included: 1 to 10,000,
                where 1 is an exclusive lock, as None is. Not together with `shared`.

        Returns:
            LeaseGroup: A lease of each, over together. Give them back by `release()`, or use it as a `with` block.

        Raises:
            InvalidArgumentError: An argument is out of its range; also for no names, and for more than 64.
            LockTimeoutError: The wait ran out while someone else held one of the names. None is held.
            StoreUnavailableError: The server could not be reached, did not answer within `command_timeout`, or fewer
                replicas than asked for confirmed.
            StoreRefusedError: The server answered that it will not do it, for want of a permission or of memory, say.
            ClientClosedError: The client was closed.
            TypeError: An argument is of a wrong type.

        Examples:
            >>> with client.acquire_all([payer, payee], wait=10) as both:
            ...     move_money(payer, payee, fence=both.tokens)
        """
    def try_acquire_all(
        self,
        names: Iterable[str],
        *,
        ttl: Seconds = 30,
        renew: bool = True,
        max_hold: Seconds | None = None,
        min_hold: Seconds | None = None,
        label: str | None = None,
        shared: bool = False,
        permits: int | None = None,
    ) -> LeaseGroup | None:
        """Takes several names if each is free, or none of them. It never waits in line.

        Two that try at the same time may each find what the other has for that moment, and both get nothing.

        Args:
            names (Iterable[str]): 1 to 64 names, each 1 to 512 bytes of UTF-8 without control characters. One that is
                there twice is taken once.
            ttl (float | timedelta): Seconds after which the names free themselves when nothing more is heard of this
                process; 0.1 to 365 days.
            renew (bool): Whether the leases are renewed in the background, at a third of their TTL.
            max_hold (float | timedelta | None): Seconds after which each lease ends however well it is renewed; at
                least `ttl`. None is no bound.
            min_hold (float | timedelta | None): Seconds for which the name stays taken at the least, from when it was
                acquired, also where it is given back sooner. At most `max_hold`. None is no such time.
            label (str | None): For people: leads the owner strings. At most 128 bytes.
            shared (bool): Whether others may hold each of the names at the same time who ask for it so, too.
            permits (int | None): How many may hold each of the names at the same time, this one included: 1 to 10,000,
                where 1 is an exclusive lock, as None is. Not together with `shared`.

        Returns:
            LeaseGroup | None: A lease of each; None if someone else holds one of the names.

        Raises:
            InvalidArgumentError: An argument is out of its range; also for no names, and for more than 64.
            StoreUnavailableError: The server could not be reached, did not answer within `command_timeout`, or fewer
                replicas than asked for confirmed.
            StoreRefusedError: The server answered that it will not do it, for want of a permission or of memory, say.
            ClientClosedError: The client was closed.
            TypeError: An argument is of a wrong type.

        Examples:
            >>> if (both := client.try_acquire_all([payer, payee])) is not None:
            ...     with both:
            ...         move_money(payer, payee, fence=both.tokens)
        """
    def lock_all(
        self,
        names: Iterable[str],
        *,
        ttl: Seconds = 30,
        wait: Seconds | None = None,
        renew: bool = True,
        max_hold: Seconds | None = None,
        min_hold: Seconds | None = None,
        label: str | None = None,
        shared: bool = False,
        permits: int | None = None,
    ) -> GroupLock:
        """Several names, all or none, as a `with` block and a decorator.

        The arguments are checked at once; nothing is sent before the block is entered.

        Args:
            names (Iterable[str]): 1 to 64 names, each 1 to 512 bytes of UTF-8 without control characters. One that is
                there twice is taken once.
            ttl (float | timedelta): Seconds after which the names free themselves when nothing more is heard of this
                process; 0.1 to 365 days.
            wait (float | timedelta | None): Seconds to wait, for all of them together; None waits for ever, 0 tries
                once.
            renew (bool): Whether the leases are renewed in the background, at a third of their TTL.
            max_hold (float | timedelta | None): Seconds after which each lease ends however well it is renewed; at
                least `ttl`. None is no bound.
            min_hold (float | timedelta | None): Seconds for which the name stays taken at the least, from when it was
                acquired, also where it is given back sooner. At most `max_hold`. None is no such time.
            label (str | None): For people: leads the owner strings. At most 128 bytes.
            shared (bool): Whether others may hold each of the names at the same time who ask for it so, too.
            permits (int | None): How many may hold each of the names at the same time, this one included: 1 to 10,000,
                where 1 is an exclusive lock, as None is. Not together with `shared`.

        Returns:
            GroupLock: Takes fresh leases for each block, and for each call of a decorated function.

        Raises:
            InvalidArgumentError: An argument is out of its range; also for no names, and for more than 64.
            TypeError: An argument is of a wrong type.

        Examples:
            >>> with client.lock_all([payer, payee], wait=10) as both:
            ...     move_money(payer, payee, fence=both.tokens)
        """
    def _acquire_all(self, request: GroupRequest) -> LeaseGroup:
        """Takes several names by a checked request. For `GroupLock`."""
    def lead(
        self,
        name: str,
        work: Callable[[Lease], _R],
        *,
        ttl: Seconds = 30,
        max_hold: Seconds | None = None,
        label: str | None = None,
    ) -> _R:
        """Waits for the name as long as it takes, calls `work(lease)`, and does so again whenever the lease is lost.

        A store that cannot be reached while it waits is tried again, for ever. Nothing stops a thread: `work` is to
        look at `lease.held` or call `lease.check()` every now and then, or to sleep by `lease.wait_lost(seconds)`. What
        it returns after a loss is thrown away, and so is a LeaseLostError. When it ends under its lease, or raises, the
        lease is given back at once, and any other error goes on. Closing the client ends it, and so does Ctrl-C.

        Args:
            name (str): The lock's name: 1 to 512 bytes of UTF-8 without control characters.
            work (Callable): What to do while leading. It gets the lease.
            ttl (float | timedelta): Seconds after which the name frees itself when nothing more is heard of this
                process; 0.1 to 365 days.
            max_hold (float | timedelta | None): Seconds after which the lease counts as lost, for whoever waits to lead
                in turn; at least `ttl`. None is no bound.
            label (str | None): For people: leads the owner string. At most 128 bytes.

        Returns:
            object: What `work` returned, under a lease that it held throughout.

        Raises:
            InvalidArgumentError: An argument is out of its range.
            StoreRefusedError: The server answered that it will not do it, for want of a permission or of memory, say.
            ClientClosedError: The client was closed.
            TypeError: An argument is of a wrong type.

        Examples:
            >>> def publish(lease: Lease) -> None:
            ...     for page in report:
            ...         lease.check()  # raises LeaseLostError if it was lost
            ...         write(page, token=lease.token)
            >>> client.lead("publisher", publish, ttl=10)
        """
    def _acquire_to_lead(self, request: Request) -> Lease:
        """Waits for a lease to lead under, as long as it takes. For `lead`."""
    def release(self, name: str, owner: str) -> ReleaseStatus:
        """Gives a name back by hand, from any process that knows the owner string. It never touches waiters.

        Args:
            name (str): The lock's name.
            owner (str): The owner string of the lease, as `lease.owner` gives it.

        Returns:
            ReleaseStatus: `RELEASED`; `NOT_FOUND` where nobody held the name; `NOT_OWNER` where someone else does.

        Raises:
            InvalidArgumentError: An argument is out of its range.
            StoreUnavailableError: The server could not be reached, or did not answer within `command_timeout`.
            StoreRefusedError: The server answered that it will not do it, for want of a permission or of memory, say.
            ClientClosedError: The client was closed.
        """
    def extend(self, name: str, owner: str, ttl: Seconds) -> ExtendStatus:
        """Makes a lease end exactly `ttl` seconds from now, from any process that knows the owner string.

        That may be later or sooner than it would have. A name that is not the owner's is left alone. It is for leases
        that nobody renews, like one that was detached: a holder that renews sets its own TTL again, and one that does
        not learns of no change.

        Args:
            name (str): The lock's name.
            owner (str): The owner string of the lease, as `lease.owner` gives it.
            ttl (float | timedelta): Seconds, 0.1 to 365 days.

        Returns:
            ExtendStatus: `EXTENDED`; `NOT_FOUND` where nobody held the name; `NOT_OWNER` where someone else does.

        Raises:
            InvalidArgumentError: An argument is out of its range.
            StoreUnavailableError: The server could not be reached, or did not answer within `command_timeout`.
            StoreRefusedError: The server answered that it will not do it, for want of a permission or of memory, say.
            ClientClosedError: The client was closed.
        """
    def force_release(self, name: str) -> ReleaseStatus:
        """Frees a name whoever holds it: that lease is lost.

        Its holder learns of it at the next renewal, at the latest. Until then both may act, the older one under the
        smaller fencing token.

        Args:
            name (str): The lock's name.

        Returns:
            ReleaseStatus: `RELEASED`, or `NOT_FOUND` where nobody held the name.

        Raises:
            InvalidArgumentError: An argument is out of its range.
            StoreUnavailableError: The server could not be reached, or did not answer within `command_timeout`.
            StoreRefusedError: The server answered that it will not do it, for want of a permission or of memory, say.
            ClientClosedError: The client was closed.
        """
    def inspect(self, name: str) -> LockInfo | None:
        """Who holds a name.

        Args:
            name (str): The lock's name.

        Returns:
            LockInfo | None: The holder, and how many wait; None when nobody holds the name.

        Raises:
            InvalidArgumentError: An argument is out of its range.
            StoreUnavailableError: The server could not be reached, or did not answer within `command_timeout`.
            StoreRefusedError: The server answered that it will not do it, for want of a permission or of memory, say.
            ClientClosedError: The client was closed.
        """
    def locks(self, pattern: str = "*") -> LockIterator:
        """The locks of this app id that are held, in no order. The server is asked as the iterator goes on.

        Args:
            pattern (str): What the names match: `*` any text, `?` any one byte, which is any one character of ASCII.

        Returns:
            Iterator[LockInfo]: The locks. One that comes or goes meanwhile may or may not be among them.

        Raises:
            InvalidArgumentError: An argument is out of its range.
            StoreUnavailableError: The server could not be reached, or did not answer within `command_timeout`.
            StoreRefusedError: The server answered that it will not do it, for want of a permission or of memory, say.
            ClientClosedError: The client was closed.

        Examples:
            >>> for info in client.locks("job-*"):
            ...     print(info.name, info.owner)
        """
    def stats(self) -> Stats:
        """The counters of this client. No network.

        Returns:
            Stats: What it holds and waits for now, and what has happened since it was made.
        """
    def close(self) -> None:
        """Gives back every lease of this client and ends its connections, within `command_timeout`.

        What still waits in `acquire` gets a ClientClosedError. Closing again does nothing.

        Raises:
            StoreUnavailableError: The server could not be reached to give leases back; their TTLs free the names.
        """
    def __enter__(self) -> Self:
        """The client itself."""
    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None, /
    ) -> None:
        """Closes it. An exception of the body always wins; a server that cannot be reached is a warning."""
    def __copy__(self) -> Self:
        """The client itself."""
    def __deepcopy__(self, _memo: object) -> Self:
        """The client itself."""
    def __reduce__(self) -> NoReturn: ...

@disjoint_base
class Lease:
    """A name that is held, until it is released, lost, or its TTL runs out. Made by `Client.acquire`.

    In a `with` block it is given back at the end; a block that ended well raises `LeaseLostError` if the lease was lost
    on the way. A lease that is collected without being released is given back in the background, with a
    ResourceWarning. Any thread may use it.

    Examples:
        >>> with client.acquire("nightly-report", ttl=30) as lease:
        ...     for page in report:
        ...         lease.check()  # raises LeaseLostError if it was lost
        ...         write(page, token=lease.token)
    """
    def __new__(cls, *_args: object, **_options: object) -> Self: ...
    def __init__(self, *args: object, **options: object) -> None: ...
    @property
    def name(self) -> str:
        """The lock's name."""
    @property
    def owner(self) -> str:
        """What this lease is stored as; unique. With it any process can give the name back: `client.release`."""
    @property
    def token(self) -> int:
        """The fencing token: larger than that of every earlier lease on this name, below 2**53."""
    @property
    def ttl(self) -> float:
        """The lease's length in seconds, as renewals set it."""
    @property
    def expires_in(self) -> float:
        """Seconds until the lease ends if no renewal succeeds, by the local clock; 0 when it is over."""
    @property
    def state(self) -> LeaseState:
        """`"held"`, `"unsure"` (a renewal has failed; still held), `"lost"` or `"released"`. No network."""
    @property
    def held(self) -> bool:
        """Whether it is held right now, by the local deadline. No network."""
    def _was_lost(self) -> bool:
        """Whether it was lost, also where only the release noticed. For `Client.lead`."""
    def check(self) -> None:
        """Does nothing while the lease is held. No network.

        Raises:
            LeaseLostError: It is not held any more.
        """
    def extend(self, ttl: Seconds | None = None) -> None:
        """Makes the lease last exactly `ttl` seconds from now, and renewals set that from now on.

        Args:
            ttl (float | timedelta | None): Seconds, 0.1 to 365 days; None for the TTL it has.

        Raises:
            InvalidArgumentError: `ttl` is out of its range, or reaches past `max_hold`.
            LeaseLostError: It is over.
            StoreUnavailableError: The server did not answer in time; it is unsure.
            StoreRefusedError: The server refused.
        """
    def release(self) -> bool:
        """Gives the name back. From the call on the lease is not held, whatever comes of it.

        Returns:
            bool: True when this lease gave the name back, also when asked again; False when it had already gone.

        Raises:
            StoreUnavailableError: The server did not answer in time. Try again, or let the TTL free the name.
            StoreRefusedError: The server refused.
        """
    def detach(self) -> None:
        """Stops renewal and leaves the name to its TTL, or to `client.release(name, owner)` somewhere else."""
    def wait_lost(self, timeout: Seconds | None = None) -> bool:
        """Waits until the lease is lost, or released.

        Args:
            timeout (float | timedelta | None): Seconds to wait at most; None for as long as it takes.

        Returns:
            bool: True when it is lost, False when it was released or the time-out came first.
        """
    def on_lost(self, callback: Callable[[LeaseLostError], object]) -> None:
        """Calls `callback(error)` when the lease is lost, once; soon, if it is lost already.

        Callbacks run one after the other on a thread of their own, so hand long work on. They are never called for a
        release, nor for a lease that is collected. What one raises is logged to `leaselock`.

        Args:
            callback (Callable[[LeaseLostError], object]): A plain function; the error's `reason` says why.

        Raises:
            TypeError: `callback` is not callable.
        """
    def __enter__(self) -> Self:
        """Enters the scope of the lease.

        Raises:
            LeaseLostError: It is not held any more.
        """
    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None, /
    ) -> None:
        """Gives the lease back. An exception of the body always wins.

        Raises:
            LeaseLostError: The body ended well, and the lease was lost on the way.
        """
    def __copy__(self) -> Self:
        """The lease itself."""
    def __deepcopy__(self, _memo: object) -> Self:
        """The lease itself."""
    def __reduce__(self) -> NoReturn: ...

@disjoint_base
class LeaseGroup:
    """Several names that are held together, until the first of their leases is over. Made by `Client.acquire_all`.

    Each name has a lease and a fencing token of its own. The first lease that is lost loses the group, and the others
    are given back at once. In a `with` block all are given back at the end; a block that ended well raises
    `LeaseLostError` if one was lost on the way. A group that is collected without being released is given back in the
    background, with a ResourceWarning. Any thread may use it.

    Examples:
        >>> with client.acquire_all([payer, payee]) as both:
        ...     move_money(payer, payee, fence=both.tokens)
    """
    def __new__(cls, *_args: object, **_options: object) -> Self: ...
    def __init__(self, *args: object, **options: object) -> None: ...
    @property
    def names(self) -> tuple[str, ...]:
        """The names, in the order in which they were taken: that of their bytes."""
    @property
    def tokens(self) -> dict[str, int]:
        """The fencing token of each name, larger than that of every earlier lease on it."""
    @property
    def owners(self) -> dict[str, str]:
        """What the lease of each name is stored as. With it any process can give that name back: `client.release`."""
    @property
    def ttl(self) -> float:
        """The leases' length in seconds, as renewals set it."""
    @property
    def expires_in(self) -> float:
        """Seconds until the first lease ends if no renewal succeeds, by the local clock; 0 when it is over."""
    @property
    def state(self) -> LeaseState:
        """`"held"`, `"unsure"` (a renewal has failed; still held), `"lost"` or `"released"`. No network."""
    @property
    def held(self) -> bool:
        """Whether all are held right now, by the local deadline. No network."""
    def check(self) -> None:
        """Does nothing while all are held. No network.

        Raises:
            LeaseLostError: It is not held any more.
        """
    def extend(self, ttl: Seconds | None = None) -> None:
        """Makes each lease last exactly `ttl` seconds from now, and renewals set that from now on.

        Where that fails for one, others may have been extended.

        Args:
            ttl (float | timedelta | None): Seconds, 0.1 to 365 days; None for the TTL it has.

        Raises:
            InvalidArgumentError: `ttl` is out of its range, or reaches past `max_hold`.
            LeaseLostError: It is over.
            StoreUnavailableError: The server did not answer in time; it is unsure.
            StoreRefusedError: The server refused.
        """
    def release(self) -> bool:
        """Gives all the names back. From the call on none is held, whatever comes of it.

        Returns:
            bool: True when this group gave each name back, also when asked again; False when one had already gone.

        Raises:
            StoreUnavailableError: The server did not answer in time. Try again, or let the TTL free the name.
            StoreRefusedError: The server refused.
        """
    def wait_lost(self, timeout: Seconds | None = None) -> bool:
        """Waits until the group is lost, or released.

        Args:
            timeout (float | timedelta | None): Seconds to wait at most; None for as long as it takes.

        Returns:
            bool: True when it is lost, False when it was released or the time-out came first.
        """
    def on_lost(self, callback: Callable[[LeaseLostError], object]) -> None:
        """Calls `callback(error)` when the group is lost, once; soon, if it is lost already.

        Callbacks run one after the other on a thread of their own, so hand long work on. They are never called for a
        release, nor for a group that is collected. What one raises is logged to `leaselock`.

        Args:
            callback (Callable[[LeaseLostError], object]): A plain function; the error's `reason` says why.

        Raises:
            TypeError: `callback` is not callable.
        """
    def __enter__(self) -> Self:
        """Enters the scope of the group.

        Raises:
            LeaseLostError: It is not held any more.
        """
    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None, /
    ) -> None:
        """Gives all the leases back. An exception of the body always wins.

        Raises:
            LeaseLostError: The body ended well, and one was lost on the way.
        """
    def __copy__(self) -> Self:
        """The group itself."""
    def __deepcopy__(self, _memo: object) -> Self:
        """The group itself."""
    def __reduce__(self) -> NoReturn: ...

@disjoint_base
class Lock:
    """A lock to use as `with client.lock(name) as lease:` or `@client.lock(name)`. Made by `Client.lock`.

    It may be shared by threads and by recursive calls: each entry takes a fresh lease, and waits for it like any other.
    As a decorator it takes one for each call. A coroutine function needs the lock of an `AsyncClient`, and a generator
    takes its lock inside; both are a TypeError here.

    Args:
        client (Client): Who takes it.
        name (str): The lock's name: 1 to 512 bytes of UTF-8 without control characters.
        ttl (float | timedelta): Seconds after which the name frees itself when nothing more is heard of this process;
            0.1 to 365 days.
        wait (float | timedelta | None): Seconds to wait for the name; None waits for ever, 0 tries once.
        renew (bool): Whether the lease is renewed in the background, at a third of its TTL.
        max_hold (float | timedelta | None): Seconds after which the lease ends however well it is renewed; at least
            `ttl`. None is no bound.
        min_hold (float | timedelta | None): Seconds for which the name stays taken at the least, from when it was
            acquired, also where it is given back sooner. At most `max_hold`. None is no such time.
        label (str | None): For people: leads the owner string. At most 128 bytes.
        shared (bool): Whether others may hold the name at the same time who ask for it so, too: any number of
            readers, or one writer, who asks without it.
        permits (int | None): How many may hold the name at the same time, this one included: 1 to 10,000, where
            1 is an exclusive lock, as None is. Not together with `shared`.

    Raises:
        InvalidArgumentError: An argument is out of its range.
        TypeError: An argument is of a wrong type.

    Examples:
        >>> @client.lock("nightly-report", ttl=30, wait=10)
        ... def report() -> None: ...
    """
    def __new__(cls, *_args: object, **_options: object) -> Self: ...
    def __init__(
        self,
        client: Client,
        name: str,
        *,
        ttl: Seconds = 30,
        wait: Seconds | None = None,
        renew: bool = True,
        max_hold: Seconds | None = None,
        min_hold: Seconds | None = None,
        label: str | None = None,
        shared: bool = False,
        permits: int | None = None,
    ) -> None: ...
    @property
    def name(self) -> str:
        """The lock's name."""
    @property
    def _request(self) -> Request:
        """What it takes. For `ReentrantLock`."""
    def _acquire(self) -> Lease:
        """Takes a fresh lease. For decorated functions."""
    def __enter__(self) -> Lease:
        """Takes a lease, waiting for it as the options say.

        Raises:
            LockTimeoutError: The wait ran out.
            StoreUnavailableError: The server could not be reached.
            StoreRefusedError: The server refused.
            ClientClosedError: The client was closed.
        """
    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None, /
    ) -> None:
        """Gives that lease back, as `Lease` does at the end of its own block.

        Raises:
            LeaseLostError: The body ended well, and the lease was lost on the way.
        """
    def __call__(self, func: Callable[_P, _R], /) -> Callable[_P, _R]: ...
    def __copy__(self) -> Self:
        """The lock itself."""
    def __deepcopy__(self, _memo: object) -> Self:
        """The lock itself."""
    def __reduce__(self) -> NoReturn: ...

@final
class LockEvent:
    """Something that happened to a lock, as `observe` tells of it.

    Every acquire ends in one of `acquired`, `timed_out`, `busy`, `cancelled` and `failed`, and every lease in one of
    `released`, `detached` and `lost`. All events of an acquire and of its lease have the same `owner`.
    """
    @property
    def kind(self) -> LockEventKind:
        """What happened: `queued` (an acquire begins to wait in line), `acquired`, `timed_out`, `busy` (one that tries
        once met a holder), `cancelled`, `failed`, `renewed`, `unsure` (a renewal failed and is tried again),
        `released`, `detached`, `lost`.
        """
    @property
    def at(self) -> float:
        """When it happened, in seconds since the epoch, as `time.time()` counts."""
    @property
    def client(self) -> str:
        """The id of the client, `client.id`."""
    @property
    def app_id(self) -> str:
        """The app id of the client, empty for none."""
    @property
    def name(self) -> str:
        """The lock's name."""
    @property
    def owner(self) -> str:
        """The owner string of the acquire and of its lease."""
    @property
    def token(self) -> int | None:
        """The fencing token; None for an acquire that came to nothing, or waits."""
    @property
    def waited(self) -> float | None:
        """Seconds that the acquire took, where this is its end; else None."""
    @property
    def contended(self) -> bool | None:
        """For `acquired`, whether somebody else held the lock at first; else None."""
    @property
    def held(self) -> float | None:
        """Seconds that the lease was held, where this is its end; else None."""
    @property
    def reason(self) -> LossReason | None:
        """For `lost`, why; else None."""
    @property
    def error(self) -> str | None:
        """For `failed`, the code of the error, such as `STORE_UNAVAILABLE`; else None."""

@final
class LockIterator(Iterator[LockInfo]):
    """An iterator over locks, which asks the server as it goes."""
    def __iter__(self) -> LockIterator: ...
    def __next__(self) -> LockInfo: ...

@final
class Place:
    """Where a block is entered or left: in which call of which function, by which thread, greenlet and task.

    A `with` statement enters and leaves in the same frame, whatever runs in between: other greenlets and tasks, other
    generators, or the same generator in another thread. An `ExitStack` and the like enter in one call and leave in
    another; of them the thread, the greenlet and the task are known.
    """
    def __new__(cls, depth: int) -> Place: ...

@final
class Entries(Generic[_T]):
    """The leases of one lock object that blocks have entered and not left."""
    def __new__(cls) -> Entries[_T]: ...
    def push(self, place: Place, lease: _T) -> None:
        """A block was entered at this place with this lease."""
    def pop(self, place: Place) -> _T | None:
        """The lease of the block that is left at this place; None where none was entered.

        It is the one entered last in the same frame; or else by the same thread, greenlet and task; or else the oldest.
        """

@disjoint_base
class Bridge:
    """The bridge of one event loop. `leaselock._bridge` says which loop has which."""
    def __new__(cls, event_loop: ReferenceType[AbstractEventLoop]) -> Self: ...
    @property
    def inherited(self) -> bool:
        """Whether it is of a loop that another process ran, which this one was forked from."""
    def loop(self) -> AbstractEventLoop | None:
        """The event loop, if it still exists."""
    def fileno(self) -> int:
        """The file descriptor (on Windows a socket) to watch for reading; -1 when the bridge is shut."""
    def drain(self) -> bool:
        """Completes all that is ready; tells whether the bridge is idle now."""
    def shut(self) -> None:
        """Closes the file descriptor. What is under way goes on, and is undone where nobody gets it."""

@final
class Line:
    """The line of one client on one event loop. Nothing of Python is called or dropped while the port is locked."""
    def on_readable(self) -> None:
        """The loop's reader callback."""
    def on_turn(self) -> None:
        """Writes what was begun in this turn of the loop, or could not be written before."""
    def on_time(self) -> None:
        """Ends what has had no answer for too long."""

@final
class Operation:
    """An operation under way. Awaiting it gives its result; a cancelled one gives back what it was about to get."""
    def __await__(self) -> Generator[object, None, object]: ...
    def __iter__(self) -> Operation: ...
    def __next__(self) -> object: ...
    def throw(self, *error: object) -> NoReturn:
        """Raises in the awaiting task: the operation is abandoned."""
    def close(self) -> None:
        """The awaiting task ended without waiting for it."""

@final
class Request:
    """The arguments of an acquire, checked. Made by a client."""
    @property
    def name(self) -> str:
        """The lock's name."""
    def is_like(self, other: Request) -> bool:
        """Whether the other one is for the same name with the same options."""

@final
class GroupRequest:
    """The arguments of an acquire of several names, checked. Made by a client."""
    @property
    def names(self) -> tuple[str, ...]:
        """The names, in the order in which they are taken."""

@disjoint_base
class AsyncClientCore:
    """What `AsyncClient` is made of: each call gives an operation to await on the bridge of the running loop."""
    def __new__(cls, *_args: object, **_options: object) -> Self: ...
    def __init__(
        self,
        url: str | None = None,
        *,
        app_id: str | None = None,
        command_timeout: Seconds = 5,
        tls_ca: _Path | None = None,
        tls_cert: _Path | None = None,
        tls_key: _Path | None = None,
        tls_insecure_skip_verify: bool = False,
        key_prefix: str | None = None,
        address_map: Mapping[str, str] | None = None,
        replicas: int = 0,
        credentials: AsyncCredentials | None = None,
    ) -> None: ...
    @property
    def id(self) -> str:
        """What this client is called on the server and in log records; another name after a fork."""
    @property
    def app_id(self) -> str:
        """The app id, empty for none."""
    @property
    def closed(self) -> bool:
        """Whether it was closed."""
    def stats(self) -> Stats:
        """The counters of this client. No network.

        Returns:
            Stats: What it holds and waits for now, and what has happened since it was made.
        """
    def _acquire(self, bridge: Bridge, name: str, *options: Unpack[_Options]) -> Awaitable[AsyncLeaseCore]: ...
    def _request(self, name: str, *options: Unpack[_Options]) -> Request: ...
    def _acquire_checked(self, bridge: Bridge, request: Request) -> Awaitable[AsyncLeaseCore]: ...
    def _acquire_to_lead(self, bridge: Bridge, request: Request) -> Awaitable[AsyncLeaseCore]: ...
    def _try_acquire(
        self, bridge: Bridge, name: str, *options: Unpack[_Options]
    ) -> Awaitable[AsyncLeaseCore | None]: ...
    @overload
    def _acquire_all(
        self, bridge: Bridge, once: Literal[False], names: Iterable[str], *options: Unpack[_Options]
    ) -> Awaitable[AsyncGroupCore]: ...
    @overload
    def _acquire_all(
        self, bridge: Bridge, once: Literal[True], names: Iterable[str], *options: Unpack[_Options]
    ) -> Awaitable[AsyncGroupCore | None]: ...
    def _request_all(self, names: Iterable[str], *options: Unpack[_Options]) -> GroupRequest: ...
    def _acquire_all_checked(self, bridge: Bridge, request: GroupRequest) -> Awaitable[AsyncGroupCore]: ...
    def _release(self, bridge: Bridge, name: str, owner: str) -> Awaitable[ReleaseStatus]: ...
    def _extend(self, bridge: Bridge, name: str, owner: str, ttl: Seconds) -> Awaitable[ExtendStatus]: ...
    def _force_release(self, bridge: Bridge, name: str) -> Awaitable[ReleaseStatus]: ...
    def _inspect(self, bridge: Bridge, name: str) -> Awaitable[LockInfo | None]: ...
    def _locks(self, pattern: str) -> AsyncLocks: ...
    def _close(self, bridge: Bridge) -> Awaitable[None]: ...
    def _part(self) -> list[Bridge]:
        """The bridges it was used on, which it uses no more."""
    def __copy__(self) -> Self:
        """The client itself."""
    def __deepcopy__(self, _memo: object) -> Self:
        """The client itself."""
    def __reduce__(self) -> NoReturn: ...

@final
class AsyncLeaseCore:
    """What an `AsyncLease` is made of: each call gives an operation to await on the bridge of the running loop."""
    @property
    def name(self) -> str: ...
    @property
    def owner(self) -> str: ...
    @property
    def token(self) -> int: ...
    @property
    def ttl(self) -> float: ...
    @property
    def expires_in(self) -> float: ...
    @property
    def state(self) -> LeaseState: ...
    @property
    def held(self) -> bool: ...
    @property
    def settled(self) -> bool: ...
    def check(self) -> None: ...
    def lost_error(self) -> LeaseLostError | None: ...
    def detach(self) -> None: ...
    def describe(self) -> str: ...
    def extend(self, bridge: Bridge, ttl: Seconds | None) -> Awaitable[None]: ...
    def release(self, bridge: Bridge) -> Awaitable[bool]: ...
    def wait_lost(self, bridge: Bridge, timeout: Seconds | None) -> Awaitable[bool]: ...
    def hook(self, bridge: Bridge, callback: Callable[[LeaseLostError], object]) -> int:
        """Has the loop call `callback(error)` when the lease is lost; the number is for `unhook`."""
    def unhook(self, hook: int) -> None:
        """Takes such a callback back."""

@final
class AsyncGroupCore:
    """What an `AsyncLeaseGroup` is made of: each call gives an operation to await on the bridge of the running loop."""
    @property
    def names(self) -> tuple[str, ...]: ...
    @property
    def tokens(self) -> dict[str, int]: ...
    @property
    def owners(self) -> dict[str, str]: ...
    @property
    def owner(self) -> str | None:
        """Unique to the group: the owner string of its first lease."""
    @property
    def ttl(self) -> float: ...
    @property
    def expires_in(self) -> float: ...
    @property
    def state(self) -> LeaseState: ...
    @property
    def held(self) -> bool: ...
    @property
    def settled(self) -> bool: ...
    def check(self) -> None: ...
    def lost_error(self) -> LeaseLostError | None: ...
    def describe(self) -> str: ...
    def extend(self, bridge: Bridge, ttl: Seconds | None) -> Awaitable[None]: ...
    def release(self, bridge: Bridge) -> Awaitable[bool]: ...
    def wait_lost(self, bridge: Bridge, timeout: Seconds | None) -> Awaitable[bool]: ...
    def hook(self, bridge: Bridge, callback: Callable[[LeaseLostError], object]) -> int:
        """Has the loop call `callback(error)` when the lease is lost; the number is for `unhook`."""
    def unhook(self, hook: int) -> None:
        """Takes such a callback back."""

@final
class AsyncLocks:
    """A listing under way."""
    def next(self, bridge: Bridge) -> Awaitable[list[LockInfo]]:
        """The next of them; an empty list at the end."""

@final
class CredentialsRequest:
    """Where the function's answer goes. Dropped without one, the call has failed."""
    def answer(self, credentials: object) -> None:
        """What the function returned."""
    def fail(self, error: BaseException) -> None:
        """What the function raised."""

def begin_exit() -> None:
    """Called by `atexit`: from here on threads keep clear of the interpreter's end."""

def cli(argv: list[str]) -> int:
    """Does what the arguments say, of which the first is the program's name, and returns the exit status."""

def end_process() -> None:
    """Closes every client of a process whose main thread is about to end it, without ending its interpreter."""

def error_codes() -> dict[str, str]:
    """The code of each class, by its name: the core's own table."""

def keep(defined: dict[str, object]) -> dict[str, object]:
    """Keeps what the package defines under these names, and returns what it had defined under them first.

    A package that is imported again thus has the classes that it had, and `except` of either import catches what is
    raised.
    """

def flush_observed() -> None:
    """Waits until the observers have heard of all that has happened so far, for a second at most."""

def observing(change: int, in_context: bool) -> None:
    """Says that so many more observe, or fewer, and whether in the context of each acquire."""

def next_event() -> (
    tuple[int, str, str, dict[str, bool | float | str]]
    | tuple[Callable[[LeaseLostError], object], LeaseLostError]
    | tuple[list[tuple[LockEvent, Context | None]]]
    | None
):
    """Waits for the next thing to do; None when the interpreter ends.

    Returns:
        `(level, message, fields as text, fields)` to log, `(callback, error)` to call, or `(batch,)` for the
        observers.
    """

def stop_events() -> None:
    """Ends the callback thread; the interpreter is about to."""
