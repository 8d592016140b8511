"""The commands of a test to a topology that `tests/servers.py --topologies` has started."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from resp import Connection, RedisError
from topologies import SERVICE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from resp import Reply


class Plain:
    """A plain connection to the master, or to the primaries that have the keys of a command.

    In a cluster a command without a key goes to every primary. The token counter of an app id, `lock||APP||||fence`,
    stands there for all the counters that it has, one for each slot in use: the largest is what GET gives.
    """

    SUMMED = ("EXISTS", "DEL")

    def __init__(self, topology: Mapping[str, Any]) -> None:
        self._topology = topology
        self._connections: dict[int, Connection] = {}

    def command(self, *words: str | bytes | float) -> Reply:
        name, *args = map(str, words)
        if self._topology["kind"] == "sentinel":
            return self._at(self._master()).command(*words)
        keys = keys_of(name, args)
        if not keys:
            return combined([self._at(port).command(*words) for port in self._primaries()])
        if name in self.SUMMED:
            return combined([self._routed(name, key) for found in keys for key in self._meant(found)])
        replies = [self._routed(*(key if w == keys[0] else w for w in words)) for key in self._meant(keys[0])]
        return max(replies, key=int) if len(replies) > 1 else replies[0]  # type: ignore[arg-type]

    def close(self) -> None:
        for connection in self._connections.values():
            connection.close()
        self._connections.clear()

    def _at(self, port: int) -> Connection:
        if port not in self._connections:
            self._connections[port] = Connection(port=port)
        return self._connections[port]

    def _master(self) -> int:
        reply = self._at(self._topology["sentinels"][0]).command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", SERVICE)
        assert isinstance(reply, list), reply
        return int(str(reply[1]))

    def _primaries(self) -> list[int]:
        rows = self._at(self._topology["nodes"][0]).command("CLUSTER", "SLOTS")
        return sorted({row[2][1] for row in rows})  # type: ignore[index,misc,union-attr]

    def _meant(self, key: str) -> list[str]:
        app = key.removeprefix("lock||").removesuffix("||||fence")
        if key != f"lock||{app}||||fence":
            return [key]
        found = [self._at(port).command("KEYS", f"{{lock||*}}||{app}||||fence") for port in self._primaries()]
        return [str(each) for some in found for each in some] or [key]  # type: ignore[union-attr]

    def _routed(self, *words: str | bytes | float) -> Reply:
        port = self._topology["nodes"][0]
        for _ in range(5):
            try:
                return self._at(port).command(*words)
            except RedisError as error:
                if error.code != "MOVED":
                    raise
                port = int(str(error).rsplit(":", 1)[1])
        raise AssertionError(f"moved five times: {words}")


def keys_of(name: str, args: list[str]) -> list[str]:
    """The keys of a command, as far as the scenarios know any."""
    match name:
        case "EXISTS" | "DEL":
            return args
        case "EVAL":
            return args[2 : 2 + int(args[1])]
        case "FLUSHALL" | "SCRIPT" | "CLIENT" | "PING":
            return []
        case _:
            return args[:1]


def combined(replies: list[Reply]) -> Reply:
    """The sum of numbers, or the first of other replies."""
    numbers = [reply for reply in replies if isinstance(reply, int)]
    return sum(numbers) if numbers else replies[0]
