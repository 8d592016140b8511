"""What a fault happens to: servers behind the fault proxy, and programs of a language each at work on them."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shlex
import shutil
import subprocess
import tempfile
import threading
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import churn_log
from churn_crew import Program
from churn_log import BEAT_SECONDS, NS
from proxies import Proxies
from servers import Server, binaries
from topologies import Cluster, Sentinels, fields, node_port, start, until

import leaselock

if TYPE_CHECKING:
    from collections.abc import Iterator

    from typing_extensions import Self

ROOT = Path(__file__).resolve().parents[2]
TTL_MS = 1_000
TTL = TTL_MS / 1000
COMMAND_TIMEOUT_MS = 2_000
LOOK_MS = 40
NAMES = ("a", "b", "c")
TASKS = 4
END_SECONDS = 40
LEFT_SECONDS = 12
LANGUAGES = ("rust", "python", "asyncio", "node")


def now() -> int:
    return time.monotonic_ns()


def turn(dice: random.Random, *, ttl: int, cancelled: bool, blocked: int) -> dict[str, Any]:
    """One turn in milliseconds: mostly short, and some that have to be renewed."""
    long = dice.random() < 0.03
    return {
        "name": dice.choice(NAMES),
        "ttl": ttl,
        "renew": True,
        "wait": 20_000,
        "cancel": dice.randint(0, 60) if cancelled and dice.random() < 0.5 else None,
        "pauses": [LOOK_MS] * (ttl * 3 // 2 // LOOK_MS) if long else [dice.randint(0, 8)],
        "extend": ttl if dice.random() < 0.05 else None,
        "block": blocked if long and blocked else None,
        "leave": False,
    }


class Host:
    """A network namespace with an address of its own: to programs in it, another machine."""

    def __init__(self) -> None:
        number = uuid.uuid4().hex[:8]
        self.name = f"leaselock-{number}"
        self._link = f"ll-{number}"
        self._net = f"10.{random.randrange(64, 128)}.{random.randrange(256)}"

    def address(self, end: int) -> str:
        """1 is where the server is, 2 where the programs are."""
        return f"{self._net}.{end}"

    def cut(self, *, off: bool) -> None:
        """Takes the cable out, or puts it in again."""
        _ip("link", "set", self._link, "down" if off else "up")

    def __enter__(self) -> Self:
        try:
            _ip("netns", "add", self.name)
            _ip("link", "add", self._link, "type", "veth", "peer", "name", "up", "netns", self.name)
            _ip("addr", "add", f"{self.address(1)}/30", "dev", self._link)
            _ip("link", "set", self._link, "up")
            _ip("-n", self.name, "addr", "add", f"{self.address(2)}/30", "dev", "up")
            _ip("-n", self.name, "link", "set", "dev", "up", "up")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        # The pair goes with one of its ends.
        for command in (["ip", "link", "del", self._link], ["ip", "netns", "del", self.name]):
            subprocess.run(command, stderr=subprocess.DEVNULL, check=False)


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


def hosts_can_be_made() -> bool:
    """Whether this machine lets us make network namespaces."""
    try:
        with Host() as host:
            subprocess.run(["ip", "netns", "exec", host.name, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        return False
    return True


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
    """One store, behind the proxy where it has servers. `nodes` are its data nodes."""

    def __init__(self, kind: str, server: str, programs: dict[str, str], *, keep_data: bool, shift: bool) -> None:
        self.kind = kind
        self.server = server
        self.app_id = f"chaos-{uuid.uuid4().hex[:10]}"
        self.folder = Path(tempfile.mkdtemp(prefix="leaselock-chaos-"))
        self.nodes: list[Server] = []
        self.address_map: list[tuple[str, str]] = []
        self.topology: Sentinels | Cluster | None = None
        self.notes: list[str] = []
        self.silent: list[tuple[int, int, str]] = []
        self.forgotten: list[tuple[int, int]] = []
        self.killed: set[str] = set()
        self.programs: dict[str, Program] = {}
        self.work: Work | None = None
        self.hosts: list[Host] = []
        self._keep_data = keep_data
        self._shift = shift
        self._stack = contextlib.ExitStack()
        self.proxies = self._stack.enter_context(Proxies(programs["leaselock-chaos"]))
        self.url = ""

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        for node in [*self.nodes, *(self.topology.sentinels if self.topology else [])]:
            node.stop()
        self._stack.close()
        shutil.rmtree(self.folder, ignore_errors=True)

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

    def _start(self) -> None:
        binary = binaries().get(self.server) or ""
        if self.kind == "file":
            self.url = f"file:{self.folder}/locks.db"
            return
        if self.kind == "hosts":
            self.hosts = [self._stack.enter_context(Host()) for _ in range(2)]
            bind = ("--protected-mode", "no", "--bind", "127.0.0.1", *(host.address(1) for host in self.hosts))
            self.nodes = [Server(binary, *bind, die_with_parent=True).start()]
            self.url = self.nodes[0].url
            return
        if self._shift:
            binary = self._shifted(binary)
        if self.kind == "one":
            node = self.node(binary)
            self.nodes = [node.start()]
            self.url = f"redis://127.0.0.1:{self.proxies.ports['clients-0']}"
            return
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
        host = "127.0.0.1"
        ports = [(topology.announced(n), self.proxies.ports[f"clients-{i}"]) for i, n in enumerate(self.nodes)]
        self.address_map = [(f"{host}:{there}", f"{host}:{here}") for there, here in ports]
        if isinstance(topology, Sentinels):
            self.url = topology.url
        else:
            self.url = "redis+cluster://" + ",".join(f"{host}:{here}" for _, here in ports)

    def node(self, binary: str, *args: str) -> Behind:
        number = len([name for name in self.proxies.ports if name.startswith("clients-")])
        there = self.proxies.open(f"servers-{number}")
        self.proxies.open(f"clients-{number}")
        if self.kind == "sentinel":
            args = (*args, "--replica-announce-ip", "127.0.0.1", "--replica-announce-port", str(there))
        elif self.kind == "cluster":
            args = (*args, "--cluster-announce-port", str(there))
        node = Behind(binary, *args, keep_data=self._keep_data, ports=node_port, die_with_parent=True)
        node.proxies, node.number = self.proxies, number
        return node

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

    def calm(self) -> None:
        """Have no failover come of a busy machine."""
        if self.topology:
            self.topology.stay()

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


class Work:
    """The programs at work, each on names of its language's own; a log for each language."""

    def __init__(
        self,
        scene: Scene,
        commands: dict[str, list[str]],
        *,
        ttl: int = TTL_MS,
        each: int = 1,
        cancelled: bool = False,
        blocked: int = 0,
        before: tuple[str, ...] = (),
    ) -> None:
        self.scene = scene
        self._commands = {language: [*before, *command] for language, command in commands.items()}
        self._until = scene.folder / "until"
        self._dice = random.Random()
        self._turns = scene.folder / "turns"
        turns = (turn(self._dice, ttl=ttl, cancelled=cancelled, blocked=blocked) for _ in range(3_000))
        self._turns.write_text("".join(json.dumps(each) + "\n" for each in turns))
        self.logs = {language: scene.folder / f"log-{language}" for language in commands}
        self.each = each
        self.end = 0
        self._ended = threading.Event()
        self._beating = threading.Thread(target=self._beat, daemon=True)

    def __enter__(self) -> Self:
        for log in self.logs.values():
            log.touch()
        self._beating.start()
        self.scene.work = self
        try:
            for language in self._commands:
                for number in range(self.each):
                    self.start(language, number)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        self._ended.set()
        self._beating.join()
        for program in self.scene.programs.values():
            if program.running:
                program.kill()

    def start(self, language: str, number: int) -> None:
        orders = {
            "tag": f"{language}.{number}",
            "tasks": TASKS,
            "clients": 1,
            "first": self._dice.randrange(3_000),
            "end": now() + 300 * NS,
            "until": str(self._until),
            "turns": str(self._turns),
            "log": str(self.logs[language]),
            "command_timeout": COMMAND_TIMEOUT_MS,
            "address_map": self.scene.address_map,
        }
        app_id = f"{self.scene.app_id}-{language}"
        prefix, url = self.scene.host(number)
        program = Program([*prefix, *self._commands[language]], orders, url, app_id)
        self.scene.programs[program.tag] = program

    def goes(self) -> None:
        """Waits until everybody has worked."""
        until("all have begun", lambda: all(" released " in log.read_text() for log in self.logs.values()))

    def goes_on(self, within: float) -> None:
        """Waits until everybody has worked again, and no longer."""
        sizes = {log: log.stat().st_size for log in self.logs.values()}
        deadline = time.monotonic() + within
        while sizes and time.monotonic() < deadline:
            time.sleep(0.1)
            sizes = {log: size for log, size in sizes.items() if b" released " not in log.read_bytes()[size:]}

    def finish(self) -> list[str]:
        """Ends the work; what was left behind, in words."""
        self.end = now()
        self._until.touch()
        alive = [program for program in self.scene.programs.values() if program.tag not in self.scene.killed]
        wrong = []
        for program in alive:
            try:
                program.done(END_SECONDS)
            except AssertionError as error:
                wrong.append(str(error))
                # Where it hangs a debugger can say.
                if look := os.environ.get("CHAOS_HUNG"):
                    subprocess.run([look, str(program._pid)], check=False)
        if wrong:
            return wrong
        for program in alive:
            deadline = time.monotonic() + LEFT_SECONDS
            while any((counters := program.counters()).values()) and time.monotonic() < deadline:
                time.sleep(0.05)
            if any(counters.values()):
                wrong.append(f"{program.tag} has {counters} left")
        for language in self.logs:
            wrong += self._left(f"{self.scene.app_id}-{language}")
        for program in alive:
            try:
                program.end()
            except (AssertionError, subprocess.TimeoutExpired) as error:
                wrong.append(f"{program.tag} did not end: {error}")
        return wrong

    def _left(self, app_id: str) -> list[str]:
        """Names are free, and nothing but counters is left once somebody has cleared away after the dead."""
        timeout = COMMAND_TIMEOUT_MS / 1000
        options: dict[str, Any] = {"address_map": dict(self.scene.address_map)} if self.scene.address_map else {}
        with leaselock.Client(self.scene.url, app_id=app_id, command_timeout=timeout, **options) as client:
            for name in NAMES:
                deadline = time.monotonic() + LEFT_SECONDS
                while True:
                    try:
                        client.acquire(name, ttl=TTL, wait=LEFT_SECONDS).release()
                        break
                    except leaselock.LeaselockError as error:
                        # A machine that is busy may be slower than a command's time-out.
                        again = isinstance(error, leaselock.StoreUnavailableError)
                        if not again or time.monotonic() > deadline:
                            return [f"{app_id} {name} is not free at the end: {error}"]
        deadline = time.monotonic() + LEFT_SECONDS
        while left := self.scene.keys(app_id):
            if time.monotonic() > deadline:
                return [f"left behind: {', '.join(left)}"]
            time.sleep(0.1)
        return []

    def histories(self) -> Iterator[tuple[str, list[churn_log.Event]]]:
        for language, log in self.logs.items():
            yield language, churn_log.read(log)

    def _beat(self) -> None:
        with contextlib.ExitStack() as stack:
            logs = [stack.enter_context(log.open("ab", buffering=0)) for log in self.logs.values()]
            while not self._ended.wait(BEAT_SECONDS):
                for log in logs:
                    log.write(f"{now()} crew beat - 0 0\n".encode())
