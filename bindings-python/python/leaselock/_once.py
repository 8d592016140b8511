"""Clients that are made when they are first needed, one in each process."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Generic, TypeAlias, TypeVar

from leaselock._async_client import AsyncClient
from leaselock._native import Client

if TYPE_CHECKING:
    from collections.abc import Callable

C = TypeVar("C")
AnyClient: TypeAlias = Client | AsyncClient


class Once(Generic[C]):
    """What `make` gives, made when it is first asked for, once in each process."""

    def __init__(self, make: Callable[[], C]) -> None:
        self._make = make
        self._made: dict[int, C] = {}

    def __call__(self) -> C:
        # Without a mutex, which a fork could inherit locked: of two that are made at once the first one counts.
        found = self._made.get(os.getpid())
        return self._made.setdefault(os.getpid(), self._make()) if found is None else found

    def forget(self) -> None:
        """The next call makes another one."""
        self._made.clear()


default_client: Once[AnyClient] = Once(Client)
default_async_client: Once[AnyClient] = Once(AsyncClient)


def getter(
    client: AnyClient | Callable[[], AnyClient] | None, default: Callable[[], AnyClient]
) -> Callable[[], AnyClient]:
    """What gives the client: one that was given, or what a function gives once in each process, or the default."""
    if client is None:
        return default
    return Once(client) if callable(client) else lambda: client
