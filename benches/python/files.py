"""Contestants that lock by files, one for each name: filelock and fasteners, with their default polling."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from protocol import TTL


class _Files:
    """Locks in a directory; each is made once and taken over and over, as their documentation has it."""

    def __init__(self, directory: str, ttl_ms: float = TTL * 1000) -> None:
        self.directory = directory
        self.ttl = ttl_ms / 1000
        self.locks: dict[str, Any] = {}

    def lock(self, name: str) -> Any:
        if name not in self.locks:
            self.locks[name] = self.make(f"{self.directory}/{name}.{type(self).__name__}")
        return self.locks[name]

    def make(self, path: str) -> Any:
        raise NotImplementedError


class _Blocking(_Files):
    def acquire(self, name: str) -> Any:
        lock = self.lock(name)
        assert lock.acquire()
        return lock

    @staticmethod
    def release(held: Any) -> None:
        held.release()


class FileLock(_Blocking):
    """flock(2)."""

    def make(self, path: str) -> Any:
        return import_module("filelock").FileLock(path)


class FileLease(_Blocking):
    """A file that its holder touches; one that nobody has touched for a TTL is taken over."""

    def make(self, path: str) -> Any:
        return import_module("filelock").SoftFileLease(path, lease_duration=self.ttl)


class AsyncFileLease(_Files):
    """The same, on asyncio."""

    def make(self, path: str) -> Any:
        return import_module("filelock").AsyncSoftFileLease(path, lease_duration=self.ttl)

    async def acquire(self, name: str) -> Any:
        lock = self.lock(name)
        assert await lock.acquire()
        return lock

    @staticmethod
    async def release(held: Any) -> None:
        await held.release()


class Fasteners(_Blocking):
    """fcntl(2) locks."""

    def make(self, path: str) -> Any:
        return import_module("fasteners").InterProcessLock(path)


BLOCKING = {"filelock": FileLock, "filelock-lease": FileLease, "fasteners": Fasteners}
ASYNCHRONOUS = {"filelock-lease-asyncio": AsyncFileLease}
