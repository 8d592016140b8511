"""What is in a store, seen from outside: a server's keys by a plain connection, a file's tables by another SQLite."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Protocol

import leaselock

if TYPE_CHECKING:
    from resp import Connection

# Runs one statement on a file and prints its rows. In a process of its own: closing a file drops this process's locks.
SQL = """
import json, sqlite3, sys
with sqlite3.connect(sys.argv[1]) as database:
    print(json.dumps(database.execute(sys.argv[2], sys.argv[3:]).fetchall()))
"""


class Outside(Protocol):
    """A store as an operator sees it; the names are those of one app id."""

    url: str

    def holder(self, name: str) -> str | None:
        """The owner that holds the name."""

    def waiting(self, name: str) -> int:
        """How many are queued for it."""

    def held(self) -> set[str]:
        """The names that are held."""

    def waiters(self, name: str) -> list[str]:
        """The owners in its queue."""

    def everything_ends(self) -> None:
        """Fails unless all that is there goes by itself, but for the counter of tokens."""

    def only_the_counter_is_left(self) -> None:
        """Fails if there is anything more."""


class ServerStore:
    """A Redis or Valkey."""

    def __init__(self, url: str, app_id: str, redis: Connection) -> None:
        self.url = url
        self._redis = redis
        self._prefix = f"lock||{app_id}||"
        self._counter = f"{self._prefix}||fence"

    def holder(self, name: str) -> str | None:
        owner = self._redis.command("GET", f"{self._prefix}{name}")
        assert owner is None or isinstance(owner, str)
        return owner

    def waiting(self, name: str) -> int:
        count = self._redis.command("ZCARD", self._queue(name))
        assert isinstance(count, int)
        return count

    def held(self) -> set[str]:
        locks = {key for key in self._keys() if key.startswith(self._prefix)} - {self._counter}
        return {key.removeprefix(self._prefix) for key in locks}

    def waiters(self, name: str) -> list[str]:
        members = self._redis.command("ZRANGE", self._queue(name), 0, -1)
        assert isinstance(members, list)
        return [str(member).split("|", 2)[2] for member in members]

    def everything_ends(self) -> None:
        for key in self._keys() - {self._counter}:
            # -1 is a key without a TTL, -2 one that has gone meanwhile.
            assert self._redis.command("PTTL", key) != -1, f"{key} has no TTL"

    def only_the_counter_is_left(self) -> None:
        assert self._keys() == {self._counter}

    def _queue(self, name: str) -> str:
        return f"{{{self._prefix}{name}}}||||queue"

    def _keys(self) -> set[str]:
        keys = self._redis.command("KEYS", f"*{self._prefix}*")
        assert isinstance(keys, list)
        return {str(key) for key in keys}


class FileStore:
    """A file, at `file:` and its path. What is looked at often goes by a client: a process takes longer to start."""

    def __init__(self, url: str, app_id: str) -> None:
        self.url = url
        self._app_id = app_id
        self._client = leaselock.Client(url, app_id=app_id)

    def close(self) -> None:
        self._client.close()

    def holder(self, name: str) -> str | None:
        info = self._client.inspect(name)
        return info.owner if info else None

    def waiting(self, name: str) -> int:
        info = self._client.inspect(name)
        return info.waiters if info else 0

    def held(self) -> set[str]:
        return {info.name for info in self._client.locks()}

    def waiters(self, name: str) -> list[str]:
        found = self._sql("SELECT owner FROM waiters WHERE app = ? AND name = ?", self._app_id, name)
        return [str(owner) for (owner,) in found]

    def everything_ends(self) -> None:
        assert all(info.expires_in is not None for info in self._client.locks())

    def only_the_counter_is_left(self) -> None:
        assert self._sql("SELECT * FROM locks WHERE app = ?", self._app_id) == []
        assert self._sql("SELECT * FROM waiters WHERE app = ?", self._app_id) == []
        assert len(self._sql("SELECT count FROM fences WHERE app = ?", self._app_id)) == 1
        assert self._sql("PRAGMA integrity_check") == [["ok"]]

    def _sql(self, statement: str, *parameters: str) -> list[list[object]]:
        path = self.url.removeprefix("file:")
        run = [sys.executable, "-c", SQL, path, statement, *parameters]
        rows: list[list[object]] = json.loads(subprocess.run(run, stdout=subprocess.PIPE, check=True).stdout)
        return rows
