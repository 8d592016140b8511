"""Servers that belong together, for tests: a master with replicas and sentinels, and a cluster.

`with sentinel("redis") as it:` and `with cluster("valkey") as it:` start one, on free loopback ports, and stop it.
`tests/servers.py --topologies` starts one of each.
"""

from __future__ import annotations

import contextlib
import random
import socket
import time
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from resp import RedisError
from servers import Server, binaries

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping


SERVICE = "mymaster"
LIMIT_SECONDS = 30
SLOTS = 16_384
BUS = 10_000
# How long a server may be silent where nothing is to fail over.
CALM_MS = 20_000
CLUSTER_OPTIONS = [
    *("--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf", "--cluster-node-timeout", "2000"),
    # CLUSTER SLOTS of Redis 7.0 lists a replica when it has been sent something.
    *("--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1"),
]
Condition: TypeAlias = "Callable[[], bool]"


def node_port() -> int:
    """A port that is free now, as is that of the cluster bus.

    They are below those that the system gives to connections, so that a node which is down finds its port again.
    """
    while True:
        port = random.randrange(BUS, 2 * BUS)
        try:
            for each in (port, port + BUS):
                with socket.socket() as s:
                    s.bind(("127.0.0.1", each))
        except OSError:
            continue
        return port


def until(what: str, condition: Condition) -> None:
    deadline = time.monotonic() + LIMIT_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"after {LIMIT_SECONDS} s still not: {what}"
        time.sleep(0.02)


def fields(server: Server, *words: str) -> dict[str, str]:
    """The lines `name:value` of a reply; none from a server that does not answer."""
    reply = ask(server, *words)
    lines = reply.splitlines() if isinstance(reply, str) else []
    return dict(line.split(":", 1) for line in lines if ":" in line)


def ask(server: Server, *words: str) -> Any:
    """A reply, or None from a server that is down or refuses."""
    try:
        with server.connect(timeout=1) as connection:
            return connection.command(*words)
    except (OSError, RedisError):
        return None


class Topology:
    """What sentinels and clusters have in common."""

    kind = ""

    def __init__(self, server: str, binary: str) -> None:
        self.name = f"{self.kind}-{server}"
        self.binary = binary
        self.nodes: list[Server] = []
        self.sentinels: list[Server] = []

    def steps(self) -> Iterator[Condition]:
        """Starts it as far as can be, and says what to wait for before it can go on."""
        raise NotImplementedError

    def stay(self) -> None:
        """Have no failover come of a busy machine."""
        raise NotImplementedError

    @property
    def url(self) -> str:
        raise NotImplementedError

    def described(self) -> dict[str, Any]:
        """What other programs are told of it."""
        ports = {"nodes": [s.port for s in self.nodes], "sentinels": [s.port for s in self.sentinels]}
        return {"name": self.name, "kind": self.kind, "url": self.url, **ports}

    def stop(self) -> None:
        for server in [*self.sentinels, *self.nodes]:
            server.stop()

    def announced(self, server: Server) -> int:
        """The port by which others know a data node: another one where something stands before it."""
        return server.port

    def _server(self, *args: str, sentinel: str | None = None) -> Server:
        return Server(self.binary, *args, sentinel=sentinel, ports=node_port, die_with_parent=True)


class Sentinels(Topology):
    """One master, two replicas and three sentinels. `nodes[0]` began as the master."""

    kind = "sentinel"

    def steps(self) -> Iterator[Condition]:
        sync = ("--repl-diskless-sync-delay", "0")
        self.nodes = [self._server(*sync)]
        master = self.nodes[0].start()
        port = self.announced(master)
        self.nodes += [self._server(*sync, "--replicaof", "127.0.0.1", str(port)) for _ in range(2)]
        start_all(self.nodes[1:])
        # Sentinels that see the replicas in their first look at the master need not wait 10 s for the next.
        yield lambda: all(fields(r, "INFO").get("master_link_status") == "up" for r in self.nodes[1:])
        configuration = (
            f"sentinel monitor {SERVICE} 127.0.0.1 {port} 2\n"
            f"sentinel down-after-milliseconds {SERVICE} 1000\n"
            f"sentinel failover-timeout {SERVICE} 10000\n"
            f"sentinel parallel-syncs {SERVICE} 1\n"
        )
        self.sentinels = [self._server(sentinel=configuration) for _ in range(3)]
        start_all(self.sentinels)
        # They find each other by what each publishes every 2 s: for the start, more often.
        for server in self.sentinels:
            server.command("SENTINEL", "DEBUG", "PUBLISH-PERIOD", "100")
        yield lambda: all(map(self._complete, self.sentinels))
        for server in self.sentinels:
            server.command("SENTINEL", "DEBUG", "PUBLISH-PERIOD", "2000")

    @staticmethod
    def _complete(server: Server) -> bool:
        known = ask(server, "SENTINEL", "MASTER", SERVICE) or []
        facts = dict(zip(known[::2], known[1::2], strict=True))
        return facts.get("num-slaves") == "2" and facts.get("num-other-sentinels") == "2"

    @property
    def url(self) -> str:
        return f"redis+sentinel://{addresses(self.sentinels)}/{SERVICE}"

    def stay(self) -> None:
        """Have no failover come of a busy machine."""
        for server in self.sentinels:
            server.command("SENTINEL", "SET", SERVICE, "down-after-milliseconds", CALM_MS)

    def named(self) -> set[int]:
        """The ports of the master that the sentinels name."""
        replies = [ask(s, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", SERVICE) for s in self.sentinels]
        return {int(reply[1]) for reply in replies if reply}

    def master(self) -> Server:
        """The master, when all sentinels name the same."""
        until("the sentinels agree", lambda: len(self.named()) == 1)
        (port,) = self.named()
        return next(s for s in self.nodes if self.announced(s) == port)

    def failover(self) -> Server:
        """Have the sentinels choose another master although this one lives; it."""
        old = self.master()
        until("a failover begins", lambda: ask(self.sentinels[0], "SENTINEL", "FAILOVER", SERVICE) == "OK")
        return self.new_master(old)

    def kill(self) -> Server:
        """Kill the master; the new one."""
        old = self.master()
        old.kill()
        return self.new_master(old)

    def new_master(self, old: Server) -> Server:
        until("there is a new master", lambda: len(self.named()) == 1 and self.named() != {self.announced(old)})
        new = self.master()
        until("it knows that it is one", lambda: fields(new, "INFO").get("role") == "master")
        return new


class Cluster(Topology):
    """Three primaries with a replica each. `nodes[:3]` began as the primaries, the others as theirs, in this order."""

    kind = "cluster"

    def steps(self) -> Iterator[Condition]:
        self.nodes = [self._server(*CLUSTER_OPTIONS) for _ in range(6)]
        start_all(self.nodes)
        ids = [str(node.command("CLUSTER", "MYID")) for node in self.nodes]
        bounds = [0, 5461, 10_923, SLOTS]
        for node, first, end in zip(self.nodes[:3], bounds[:3], bounds[1:], strict=True):
            node.command("CLUSTER", "ADDSLOTSRANGE", first, end - 1)
        port = self.nodes[0].port
        for epoch, node in enumerate(self.nodes, 1):
            node.command("CLUSTER", "SET-CONFIG-EPOCH", epoch)
            if epoch > 1:
                node.command("CLUSTER", "MEET", "127.0.0.1", port, port + BUS)

        def know_each_other() -> bool:
            known = [str(ask(node, "CLUSTER", "NODES")) for node in self.nodes]
            return all("handshake" not in text and all(each in text for each in ids) for text in known)

        yield know_each_other
        for replica, primary in zip(self.nodes[3:], ids[:3], strict=True):
            replica.command("CLUSTER", "REPLICATE", primary)
        yield self.is_whole

    @property
    def url(self) -> str:
        return f"redis+cluster://{addresses(self.nodes)}"

    def stay(self) -> None:
        """Have no failover come of a busy machine."""
        for node in self.nodes:
            node.command("CONFIG", "SET", "cluster-node-timeout", CALM_MS)

    def is_whole(self) -> bool:
        """Whether every node sees all slots served, and each primary with a replica."""
        return all(
            fields(node, "CLUSTER", "INFO").get("cluster_state") == "ok"
            and all(len(row) == 4 for row in ask(node, "CLUSTER", "SLOTS") or [[]])
            for node in self.nodes
        )

    def owner(self, key: str) -> Server:
        """The primary that has a key."""
        found: list[Server] = []

        def has() -> bool:
            for node in self.nodes:
                try:
                    with node.connect(timeout=1) as connection:
                        connection.command("TYPE", key)
                        found.append(node)
                        return True
                except (OSError, RedisError):
                    continue
            return False

        until("the key has an owner", has)
        return found[0]

    def failover(self, key: str) -> Server:
        """The replica of a key's primary takes its place, with nobody dead; it."""
        old = self.owner(key)
        identity = str(old.command("CLUSTER", "MYID"))
        replica = next(node for node in self.nodes if f"myself,slave {identity}" in self._view(node))
        until("the failover begins", lambda: ask(replica, "CLUSTER", "FAILOVER") == "OK")
        until("both know", lambda: "myself,master" in self._view(replica) and "myself,slave" in self._view(old))
        return replica

    def kill(self, key: str) -> Server:
        """Kill the primary of a key; its new one."""
        self.owner(key).kill()
        return self.owner(key)

    @staticmethod
    def _view(node: Server) -> str:
        return str(ask(node, "CLUSTER", "NODES"))


T = TypeVar("T", bound=Topology)
KINDS: dict[str, type[Topology]] = {"sentinel": Sentinels, "cluster": Cluster}


def addresses(servers: list[Server]) -> str:
    return ",".join(f"127.0.0.1:{s.port}" for s in servers)


def start_all(servers: list[Server]) -> None:
    for server in servers:
        server.launch()
    for server in servers:
        server.wait()


def start(topologies: list[Topology]) -> None:
    """Start them side by side, in this thread: their processes end with the one that started them."""
    starting = [(topology, topology.steps()) for topology in topologies]
    waiting: dict[str, Condition] = {topology.name: lambda: True for topology in topologies}
    deadline = time.monotonic() + LIMIT_SECONDS
    while waiting:
        for topology, steps in starting:
            if topology.name in waiting and waiting[topology.name]():
                following = next(steps, None)
                if following is None:
                    del waiting[topology.name]
                else:
                    waiting[topology.name] = following
        assert time.monotonic() < deadline, f"after {LIMIT_SECONDS} s still not ready: {', '.join(waiting)}"
        time.sleep(0.02)


@contextlib.contextmanager
def every(servers: Mapping[str, str]) -> Iterator[list[Topology]]:
    """A Sentinel and a cluster of each server, by name and binary."""
    topologies = [kind(name, binary) for kind in KINDS.values() for name, binary in servers.items()]
    try:
        start(topologies)
        for topology in topologies:
            topology.stay()
        yield topologies
    finally:
        for topology in topologies:
            topology.stop()


@contextlib.contextmanager
def _one(kind: type[T], server: str) -> Iterator[T]:
    binary = binaries()[server]
    assert binary, f"no {server}-server found"
    topology = kind(server, binary)
    try:
        start([topology])
        yield topology
    finally:
        topology.stop()


def sentinel(server: str) -> contextlib.AbstractContextManager[Sentinels]:
    """A Sentinel of `redis` or `valkey`, while it is entered."""
    return _one(Sentinels, server)


def cluster(server: str) -> contextlib.AbstractContextManager[Cluster]:
    """A cluster of `redis` or `valkey`, while it is entered."""
    return _one(Cluster, server)
