"""Servers that belong together, beside one that is alone: started once for a row, and all on the servers' cores."""

from __future__ import annotations

import itertools
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from . import machine
from .server import Server

# The tests', which `server` has made importable.
import servers  # isort: skip
import topologies  # isort: skip

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

ALONE = "one server"
# As many replicas as the primaries have that it is compared with.
WITH_REPLICAS = "one with replicas"
# As many as a cluster has primaries, each with a replica: to be taken in turn.
THREE_WITH_REPLICAS = "three with replicas"
SENTINEL = "Sentinel"
CLUSTER = "cluster"


class Places:
    """Where contestants can go, by name."""

    def __init__(self) -> None:
        self.urls: dict[str, str] = {}
        self._servers: list[servers.Server] = []

    def add(self, name: str, url: str, *members: servers.Server) -> None:
        self.urls[name] = url
        self._servers += members

    def pin(self, cores: list[int]) -> None:
        for server in self._servers:
            machine.pin(server.pid, cores)


@contextmanager
def started(names: Collection[str]) -> Iterator[Places]:
    """What is named, and nothing else."""
    places = Places()
    kind = "redis" if servers.find_redis() else "valkey"
    with ExitStack() as stack:
        if ALONE in names:
            alone = stack.enter_context(Server())
            places.add(ALONE, alone.url, alone)
        if SENTINEL in names:
            sentinels = stack.enter_context(topologies.sentinel(kind))
            places.add(SENTINEL, sentinels.url, *sentinels.nodes, *sentinels.sentinels)
            if WITH_REPLICAS in names:
                places.add(WITH_REPLICAS, sentinels.master().url)
        if CLUSTER in names:
            cluster = stack.enter_context(topologies.cluster(kind))
            places.add(CLUSTER, cluster.url, *cluster.nodes)
            if WITH_REPLICAS in names:
                pair = replicated(stack)
                places.add(WITH_REPLICAS, pair[0].url, *pair)
        if THREE_WITH_REPLICAS in names:
            pairs = [replicated(stack) for _ in range(3)]
            places.add(THREE_WITH_REPLICAS, " ".join(master.url for master, _ in pairs), *itertools.chain(*pairs))
        yield places


def replicated(stack: ExitStack) -> tuple[Server, Server]:
    """A master and its replica."""
    master = stack.enter_context(Server())
    replica = stack.enter_context(Server("--replicaof", "127.0.0.1", str(master.port)))
    topologies.until(
        "it has its replica", lambda: "state=online" in topologies.fields(master, "INFO").get("slave0", "")
    )
    return master, replica
