"""What a fault happens to: servers behind the fault proxy, and the programs that work on them."""

from __future__ import annotations

import contextlib
import functools
import shlex
import shutil
import subprocess
import tempfile
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import certs
from hosts import Host
from proxies import Proxies
from servers import Server, binaries
from topologies import SERVICE, Cluster, Sentinels, fields, node_port, start

import leaselock

if TYPE_CHECKING:
    from churn_crew import Program
    from typing_extensions import Self

ROOT = Path(__file__).resolve().parents[2]
TTL_MS = 1_000
TTL = TTL_MS / 1000
HOST = "127.0.0.1"


def now() -> int:
    return time.monotonic_ns()


@functools.cache
def certificates() -> Path:
    """A folder with all kinds of them."""
    folder = tempfile.TemporaryDirectory(prefix="leaselock-chaos-certs-")
    _kept.append(folder)
    return certs.make(folder.name)


_kept: list[tempfile.TemporaryDirectory[str]] = []


class Behind(Server):
    """A data node behind two ports of the proxy: that by which other servers know it, and that of the clients."""

    proxies: Proxies
    number: int

    def launch(self) -> Self:
        super().launch()
        for side in ("servers", "clients"):
            self.proxies.tell(f"{side}-{self.number}", f"to {self.port}")
        return self


class Scene:
    """One store, behind the proxy where it has servers. `nodes` are its data nodes.

    With `tls` there is a port before each server that speaks TLS to clients, and shows what certificate we like.
    """

    def __init__(
        self,
        kind: str,
        server: str,
        programs: dict[str, str],
        *,
        keep_data: bool = False,
        shift: bool = False,
        tls: bool = False,
    ) -> None:
        self.kind = kind
        self.server = server
        self.app_id = f"chaos-{uuid.uuid4().hex[:10]}"
        self.folder = Path(tempfile.mkdtemp(prefix="leaselock-chaos-"))
        self.nodes: list[Server] = []
        self.address_map: list[tuple[str, str]] = []
        self.topology: Sentinels | Cluster | None = None
        self.hosts: list[Host] = []
        # All programs that live, by their tags.
        self.crew: dict[str, Program] = {}
        self._keep_data = keep_data
        self._shift = shift
        self._tls = tls
        self._stack = contextlib.ExitStack()
        self.proxies = self._stack.enter_context(Proxies(programs["leaselock-chaos"]))
        self.url = ""
        self.begin()

    def begin(self) -> None:
        """Forgets the fault before."""
        self.notes: list[str] = []
        # When nothing was renewed; when the store forgot what it had; whose program was killed; who is at work.
        self.silent: list[tuple[int, int, str]] = []
        self.forgotten: list[tuple[int, int]] = []
        self.killed: set[str] = set()
        self.programs: dict[str, Program] = {}

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        for program in self.crew.values():
            if program.running:
                program.kill()
        for node in [*self.nodes, *(self.topology.sentinels if self.topology else [])]:
            node.stop()
        self._stack.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def dismiss(self) -> list[str]:
        """Has all programs end by themselves; what was wrong with that."""
        wrong = []
        for program in self.crew.values():
            try:
                program.end()
            except (AssertionError, subprocess.TimeoutExpired) as error:
                wrong.append(f"{program.tag} did not end: {error}")
                program.look()
        return wrong

    # -- its servers --

    def masters(self) -> list[Server]:
        """Those that have the locks now."""
        if isinstance(self.topology, Sentinels):
            return [self.topology.master()]
        if isinstance(self.topology, Cluster):
            return [node for node in self.nodes if fields(node, "INFO", "replication").get("role") == "master"]
        return self.nodes[:1]

    def everywhere(self, *words: str | int) -> None:
        """One command at each master."""
        for node in self.masters():
            node.command(*words)

    def clients(self, command: str) -> None:
        """Tells the proxies between the clients and all servers."""
        for number in range(len(self.nodes)):
            self.proxies.tell(f"clients-{number}", command)

    def touched(self) -> int:
        return sum(self.proxies.touched(f"clients-{number}") for number in range(len(self.nodes)))

    def show(self, certificate: str) -> None:
        """Has all servers come with this one from now on, and their clients connect anew."""
        for name in self._fronts():
            self.proxies.tell(name, f"show {certificates() / certificate}")

    def plain(self) -> int:
        """How often a client spoke no TLS."""
        return sum(self.proxies.plain(name) for name in self._fronts())

    def node_number(self, node: Server) -> int:
        return self.nodes.index(node)

    def host(self, number: int) -> tuple[list[str], str]:
        """What starts the programs of this number, and the URL that they have."""
        if not self.hosts:
            return [], self.url
        host = self.hosts[number]
        return ["ip", "netns", "exec", host.name], f"redis://{host.address(1)}:{self.nodes[0].port}"

    def shift(self, milliseconds: int) -> None:
        """Moves the servers' wall clock so far from ours."""
        with (self.folder / "shift").open("r+b") as file:
            file.write(milliseconds.to_bytes(8, "little", signed=True))

    def whole(self) -> bool:
        """Whether every replica has its master, and everybody knows who that is."""
        if isinstance(self.topology, Cluster):
            return self.topology.is_whole() and all(map(_follows, self.nodes))
        if isinstance(self.topology, Sentinels):
            return len(self.topology.named()) == 1 and all(map(_follows, self.nodes))
        return True

    def calm(self) -> None:
        """Have no failover come of a busy machine."""
        if self.topology:
            self.topology.stay()

    def _start(self) -> None:
        binary = binaries().get(self.server) or ""
        if self.kind == "file":
            self.url = f"file:{self.folder}/locks.db"
            return
        if self.kind == "hosts":
            self.hosts = [self._stack.enter_context(Host()) for _ in range(2)]
            bind = ("--protected-mode", "no", "--bind", HOST, *(host.address(1) for host in self.hosts))
            self.nodes = [Server(binary, *bind, die_with_parent=True).start()]
            self.url = self.nodes[0].url
            return
        if self._shift:
            binary = self._shifted(binary)
        if self.kind == "one":
            node = self.node(binary)
            self.nodes = [node.start()]
            addresses = [self._here(0)]
            scheme, service = "redis", ""
        else:
            self.topology = self._topology(binary)
            self.address_map = [
                (f"{HOST}:{self.topology.announced(node)}", self._here(number))
                for number, node in enumerate(self.nodes)
            ]
            addresses = [here for _, here in self.address_map]
            scheme, service = "redis+cluster", ""
            if self.kind == "sentinel":
                there = [f"{HOST}:{sentinel.port}" for sentinel in self.topology.sentinels]
                addresses = [self._front(each) for each in there]
                self.address_map += [pair for pair in zip(there, addresses, strict=True) if self._tls]
                scheme, service = "redis+sentinel", f"/{SERVICE}"
        self.url = f"{scheme}://{','.join(addresses)}{service}"
        if self._tls:
            self.url = f"{self.url.replace('redis', 'rediss', 1)}?tls_ca={certificates() / 'ca.crt'}"
            self.show("good")

    def _topology(self, binary: str) -> Sentinels | Cluster:
        scene = self

        class Proxied:
            def _server(self, *args: str, sentinel: str | None = None) -> Server:
                if sentinel is not None:
                    return Server(binary, sentinel=sentinel, ports=node_port, die_with_parent=True)
                return scene.node(binary, *args)

            def announced(self, server: Server) -> int:
                number = server.number if isinstance(server, Behind) else 0
                return scene.proxies.ports[f"servers-{number}"]

        kind = Sentinels if self.kind == "sentinel" else Cluster
        topology = type("Proxied", (Proxied, kind), {})(self.server, binary)
        assert isinstance(topology, Sentinels | Cluster)
        self.topology = topology
        try:
            start([topology])
        finally:
            self.nodes = topology.nodes
        return topology

    def node(self, binary: str, *args: str) -> Behind:
        number = len([name for name in self.proxies.ports if name.startswith("clients-")])
        there = self.proxies.open(f"servers-{number}")
        self.proxies.open(f"clients-{number}")
        if self.kind == "sentinel":
            args = (*args, "--replica-announce-ip", HOST, "--replica-announce-port", str(there))
        elif self.kind == "cluster":
            args = (*args, "--cluster-announce-port", str(there))
        node = Behind(binary, *args, keep_data=self._keep_data, ports=node_port, die_with_parent=True)
        node.proxies, node.number = self.proxies, number
        return node

    def _here(self, number: int) -> str:
        """Where clients find a data node."""
        return self._front(f"{HOST}:{self.proxies.ports[f'clients-{number}']}")

    def _front(self, address: str) -> str:
        """Where they find it if it is to speak TLS."""
        if not self._tls:
            return address
        port = self.proxies.front(f"front-{len(self._fronts())}", int(address.rpartition(":")[2]))
        return f"{HOST}:{port}"

    def _fronts(self) -> list[str]:
        return [name for name in self.proxies.ports if name.startswith("front-")]

    def library(self) -> Path:
        """The library that shifts a clock."""
        library = self.folder / "clock_shift.so"
        if not library.exists():
            source = ROOT / "core/tests/common/clock_shift.c"
            subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", library, source], check=True)
            (self.folder / "shift").write_bytes(bytes(8))
        return library

    def _shifted(self, binary: str) -> str:
        wrapper = self.folder / f"{Path(binary).name}"
        environment = f"LD_PRELOAD={shlex.quote(str(self.library()))} CLOCK_SHIFT={shlex.quote(str(self.folder))}/shift"
        wrapper.write_text(f'#!/bin/sh\nexec env {environment} {shlex.quote(binary)} "$@"\n')
        wrapper.chmod(0o755)
        return str(wrapper)

    # -- what is left in it --

    def keys(self, app_id: str) -> list[str]:
        """All keys of an app id but its counters."""
        if self.kind == "file":
            with leaselock.Client(self.url, app_id=app_id) as client:
                return [lock.name for lock in client.locks()]
        found: set[str] = set()
        for node in self.masters():
            reply = node.command("KEYS", f"*{app_id}||*")
            assert isinstance(reply, list)
            found.update(map(str, reply))
        return [key for key in sorted(found) if not key.endswith("||||fence")]


def _follows(node: Server) -> bool:
    facts = fields(node, "INFO", "replication")
    return facts.get("role") == "master" or facts.get("master_link_status") == "up"
