"""`AsyncClient`: the client whose calls are awaited."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

from leaselock import _bridge, _lead, _observe
from leaselock._async_lease import AsyncLease, AsyncLeaseGroup
from leaselock._async_lock import AsyncLock
from leaselock._errors import LeaselockError, warn
from leaselock._group_lock import AsyncGroupLock
from leaselock._native import AsyncClientCore
from leaselock._of_calls import AsyncLockOfCalls, AsyncSkippingLock, check_not_reentrant, check_skip
from leaselock._reentrant import AsyncReentrantLock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
    from types import TracebackType

    from typing_extensions import Self

    from leaselock._native import AsyncLocks
    from leaselock._records import ExtendStatus, LockInfo, ReleaseStatus, Seconds

R = TypeVar("R")


class AsyncClient(AsyncClientCore):
    """A client for asyncio: `async with AsyncClient("redis://localhost:6379") as client:`.

    Nothing is connected until the first use. It is not bound to one event loop. Cancelling a task that waits in
    `acquire` undoes the acquire. Renewal runs on a thread of the core, so a busy loop does not lose a lease.

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
            `(user, password)`, in place of those in the URL: for passwords that expire or are rotated. A coroutine
            function is awaited in the loop where the client was used last, any other function is called in a thread of
            its own. It must not use the client itself, and has 1 second, more when it was slow before,
            `command_timeout` at most. An object of redis-py's `CredentialProvider` does, too.

    Raises:
        InvalidArgumentError: An argument is out of its range, or there is no URL at all.
        TypeError: An argument is of a wrong type.

    Examples:
        >>> async with AsyncClient("redis://localhost:6379", app_id="shop") as client:
        ...     async with client.lock("nightly-report", ttl=30, wait=10) as lease:
        ...         await write_report(token=lease.token)
    """

    async def acquire(  # noqa: PLR0913 - each is an option of its own
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
        cancel_on_lost: bool = True,
    ) -> AsyncLease:
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
            cancel_on_lost (bool): Whether a task inside `async with lease` is cancelled when the lease is lost.

        Returns:
            AsyncLease: The lease, renewed in the background. Give it back by `await lease.release()`, or use it as an
                `async with` block.

        Raises:
            InvalidArgumentError: An argument is out of its range.
            LockTimeoutError: The wait ran out while someone else held the name.
            StoreUnavailableError: The server could not be reached, did not answer within `command_timeout`, or fewer
                replicas than asked for confirmed.
            StoreRefusedError: The server answered that it will not do it, for want of a permission or of memory, say.
            ClientClosedError: The client was closed.
            TypeError: An argument is of a wrong type.

        Examples:
            >>> async with await client.acquire("nightly-report", ttl=30, wait=10) as lease:
            ...     await write_report(token=lease.token)
        """
        lease = await self._acquire(
            _bridge.current(), name, ttl, renew, max_hold, min_hold, label, shared, permits, wait
        )
        return AsyncLease(lease, cancel_on_lost=cancel_on_lost)

    async def try_acquire(  # noqa: PLR0913 - each is an option of its own
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
        cancel_on_lost: bool = True,
    ) -> AsyncLease | None:
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
            cancel_on_lost (bool): Whether a task inside `async with lease` is cancelled when the lease is lost.

        Returns:
            AsyncLease | None: The lease; None if someone else holds the name.

        Raises:
            InvalidArgumentError: An argument is out of its range.
            StoreUnavailableError: The server could not be reached, did not answer within `command_timeout`, or fewer
                replicas than asked for confirmed.
            StoreRefusedError: The server answered that it will not do it, for want of a permission or of memory, say.
            ClientClosedError: The client was closed.
            TypeError: An argument is of a wrong type.

        Examples:
            >>> if (lease := await client.try_acquire("cleanup")) is not None:
            ...     async with lease:
            ...         await clean_up()
        """
        lease = await self._try_acquire(
            _bridge.current(), name, ttl, renew, max_hold, min_hold, label, shared, permits, None
        )
        return None if lease is None else AsyncLease(lease, cancel_on_lost=cancel_on_lost)

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
        cancel_on_lost: bool = True,
        skip: Literal[False] = False,
    ) -> AsyncLock: ...

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
        cancel_on_lost: bool = True,
        skip: Literal[False] = False,
    ) -> AsyncLockOfCalls: ...

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
        cancel_on_lost: bool = True,
        skip: Literal[True],
    ) -> AsyncSkippingLock: ...

    def lock(  # noqa: PLR0913 - each is an option of its own
        self,
        name: str | Callable[..., str],
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
        cancel_on_lost: bool = True,
        skip: bool = False,
    ) -> AsyncLock | AsyncLockOfCalls | AsyncSkippingLock:
        """The lock `name` as an `async with` block and a decorator of coroutine functions.

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
            cancel_on_lost (bool): Whether a task inside `async with lease` is cancelled when the lease is lost.
            skip (bool): Whether a decorated call that finds the name taken is left out, and returns None in place of
                waiting. For decorating alone.

        Returns:
            AsyncLock: Takes a fresh lease for each block, and for each call of a decorated function.

        Raises:
            InvalidArgumentError: An argument is out of its range.
            TypeError: An argument is of a wrong type.

        Examples:
            >>> @client.lock("nightly-report", ttl=30, wait=10)
            ... async def report() -> None: ...
        """
        check_skip(skip)
        if not isinstance(reentrant, bool):
            raise TypeError(f"reentrant must be a bool, not {type(reentrant).__name__}")
        # The arguments are checked here, whatever the name will be.
        fixed = name if isinstance(name, str) or not callable(name) else "name"
        request = self._request(fixed, ttl, renew, max_hold, min_hold, label, shared, permits, wait)
        if fixed is name and not skip:
            kind = AsyncReentrantLock if reentrant else AsyncLock
            return kind(self, request, cancel_on_lost=cancel_on_lost)
        check_not_reentrant(reentrant)
        options: dict[str, Any] = {"ttl": ttl, "renew": renew, "max_hold": max_hold, "min_hold": min_hold, "wait": wait}
        options |= {"label": label, "shared": shared, "permits": permits, "cancel_on_lost": cancel_on_lost}
        return (AsyncSkippingLock if skip else AsyncLockOfCalls)(self, name, skip, options)

    def read_lock(  # noqa: PLR0913 - each is an option of its own
        self,
        name: str,
        *,
        ttl: Seconds = 30,
        wait: Seconds | None = None,
        renew: bool = True,
        max_hold: Seconds | None = None,
        min_hold: Seconds | None = None,
        label: str | None = None,
        cancel_on_lost: bool = True,
    ) -> AsyncLock:
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
            cancel_on_lost (bool): Whether a task inside `async with lease` is cancelled when the lease is lost.

        Returns:
            AsyncLock: Takes a fresh lease for each block, and for each call of a decorated function.

        Raises:
            InvalidArgumentError: An argument is out of its range.
            TypeError: An argument is of a wrong type.

        Examples:
            >>> async with client.read_lock("catalogue") as lease:
            ...     await write_report(token=lease.token)
        """
        request = self._request(name, ttl, renew, max_hold, min_hold, label, True, None, wait)
        return AsyncLock(self, request, cancel_on_lost=cancel_on_lost)

    def semaphore(  # noqa: PLR0913 - each is an option of its own
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
        cancel_on_lost: bool = True,
    ) -> AsyncLock:
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
            cancel_on_lost (bool): Whether a task inside `async with lease` is cancelled when the lease is lost.

        Returns:
            AsyncLock: Takes a fresh lease for each block, and for each call of a decorated function.

        Raises:
            InvalidArgumentError: An argument is out of its range.
            TypeError: An argument is of a wrong type.

        Examples:
            >>> async with client.semaphore("exports", 3) as lease:
            ...     await write_report(token=lease.token)
        """
        request = self._request(name, ttl, renew, max_hold, min_hold, label, False, permits, wait)
        return AsyncLock(self, request, cancel_on_lost=cancel_on_lost)

    async def acquire_all(  # noqa: PLR0913 - each is an option of its own
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
        cancel_on_lost: bool = True,
    ) -> AsyncLeaseGroup:
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
            cancel_on_lost (bool): Whether a task inside `async with group` is cancelled when the group is lost.

        Returns:
            AsyncLeaseGroup: A lease of each, over together. Give them back by `await group.release()`, or use it as an
                `async with` block.

        Raises:
            InvalidArgumentError: An argument is out of its range; also for no names, and for more than 64.
            LockTimeoutError: The wait ran out while someone else held one of the names. None is held.
            StoreUnavailableError: The server could not be reached, did not answer within `command_timeout`, or fewer
                replicas than asked for confirmed.
            StoreRefusedError: The server answered that it will not do it, for want of a permission or of memory, say.
            ClientClosedError: The client was closed.
            TypeError: An argument is of a wrong type.

        Examples:
            >>> async with await client.acquire_all([payer, payee], wait=10) as both:
            ...     await move_money(payer, payee, fence=both.tokens)
        """
        bridge = _bridge.current()
        group = await self._acquire_all(
            bridge, False, names, ttl, renew, max_hold, min_hold, label, shared, permits, wait
        )
        return AsyncLeaseGroup(group, cancel_on_lost=cancel_on_lost)

    async def try_acquire_all(  # noqa: PLR0913 - each is an option of its own
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
        cancel_on_lost: bool = True,
    ) -> AsyncLeaseGroup | None:
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
            cancel_on_lost (bool): Whether a task inside `async with group` is cancelled when the group is lost.

        Returns:
            AsyncLeaseGroup | None: A lease of each; None if someone else holds one of the names.

        Raises:
            InvalidArgumentError: An argument is out of its range; also for no names, and for more than 64.
            StoreUnavailableError: The server could not be reached, did not answer within `command_timeout`, or fewer
                replicas than asked for confirmed.
            StoreRefusedError: The server answered that it will not do it, for want of a permission or of memory, say.
            ClientClosedError: The client was closed.
            TypeError: An argument is of a wrong type.

        Examples:
            >>> if (both := await client.try_acquire_all([payer, payee])) is not None:
            ...     async with both:
            ...         await move_money(payer, payee, fence=both.tokens)
        """
        bridge = _bridge.current()
        group = await self._acquire_all(
            bridge, True, names, ttl, renew, max_hold, min_hold, label, shared, permits, None
        )
        return None if group is None else AsyncLeaseGroup(group, cancel_on_lost=cancel_on_lost)

    def lock_all(  # noqa: PLR0913 - each is an option of its own
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
        cancel_on_lost: bool = True,
    ) -> AsyncGroupLock:
        """Several names, all or none, as an `async with` block and a decorator of coroutine functions.

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
            cancel_on_lost (bool): Whether a task inside `async with group` is cancelled when the group is lost.

        Returns:
            AsyncGroupLock: Takes fresh leases for each block, and for each call of a decorated function.

        Raises:
            InvalidArgumentError: An argument is out of its range; also for no names, and for more than 64.
            TypeError: An argument is of a wrong type.

        Examples:
            >>> async with client.lock_all([payer, payee], wait=10) as both:
            ...     await move_money(payer, payee, fence=both.tokens)
        """
        request = self._request_all(names, ttl, renew, max_hold, min_hold, label, shared, permits, wait)
        return AsyncGroupLock(self, request, cancel_on_lost=cancel_on_lost)

    async def lead(
        self,
        name: str,
        work: Callable[[AsyncLease], Awaitable[R]],
        *,
        ttl: Seconds = 30,
        max_hold: Seconds | None = None,
        label: str | None = None,
    ) -> R:
        """Waits for the name as long as it takes, awaits `work(lease)`, and does so again whenever the lease is lost.

        A store that cannot be reached while it waits is tried again, for ever. The work runs in a task of its own. When
        the lease is lost that task is cancelled and awaited; what it returns then is thrown away, and so is a
        LeaseLostError. When it ends under its lease, or raises, the lease is given back at once, and any other error
        goes on. Cancelling the task that leads cancels the work, and gives the lease back when that has ended. Closing
        the client ends it, too.

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
            >>> async def publish(lease: AsyncLease) -> None:
            ...     await write_report(token=lease.token)
            >>> await client.lead("publisher", publish, ttl=10)
        """
        request = self._request(name, ttl, True, max_hold, None, label, False, None, None)
        return await _lead.asynchronous(self, request, work)

    async def release(self, name: str, owner: str) -> ReleaseStatus:
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
        return await self._release(_bridge.current(), name, owner)

    async def extend(self, name: str, owner: str, ttl: Seconds) -> ExtendStatus:
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
        return await self._extend(_bridge.current(), name, owner, ttl)

    async def force_release(self, name: str) -> ReleaseStatus:
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
        return await self._force_release(_bridge.current(), name)

    async def inspect(self, name: str) -> LockInfo | None:
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
        return await self._inspect(_bridge.current(), name)

    def locks(self, pattern: str = "*") -> AsyncIterator[LockInfo]:
        """The locks of this app id that are held, in no order. The server is asked as the iterator goes on.

        Args:
            pattern (str): What the names match: `*` any text, `?` any one byte, which is any one character of ASCII.

        Returns:
            AsyncIterator[LockInfo]: The locks. One that comes or goes meanwhile may or may not be among them.

        Raises:
            InvalidArgumentError: An argument is out of its range.
            StoreUnavailableError: The server could not be reached, or did not answer within `command_timeout`.
            StoreRefusedError: The server answered that it will not do it, for want of a permission or of memory, say.
            ClientClosedError: The client was closed.

        Examples:
            >>> async for info in client.locks("job-*"):
            ...     print(info.name, info.owner)
        """
        return _each(self._locks(pattern))

    async def aclose(self) -> None:
        """Gives back every lease of this client and ends its connections, within `command_timeout`.

        What still waits in `acquire` gets a ClientClosedError. Closing again does nothing.

        Raises:
            StoreUnavailableError: The server could not be reached to give leases back; their TTLs free the names.
        """
        try:
            await self._close(_bridge.current())
        finally:
            _bridge.part(self._part())
            await _observe.flush()

    async def __aenter__(self) -> Self:
        """The client itself."""
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Closes it. An exception of the body always wins; a server that cannot be reached is a warning."""
        try:
            await self.aclose()
        except LeaselockError as error:
            warn(f"could not give back every lease, their TTLs free the names: {error}", masked=exc is not None)


async def _each(found: AsyncLocks) -> AsyncIterator[LockInfo]:
    while infos := await found.next(_bridge.current()):
        for info in infos:
            yield info
