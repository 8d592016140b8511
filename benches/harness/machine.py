"""The machine: its cores, whose turn on them it is, and what is named in the results."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent

CORES = sorted(os.sched_getaffinity(0))

# A round trip costs several times more when client and server wake each other on two idle cores than when they share
# one, and a scheduler that is left alone flips between the two. So each is measured apart from the other.
REGIMES = {"apart": (CORES[:1], CORES[-1:]), "together": (CORES[:1], CORES[:1])}


def pin(pid: int, cores: list[int]) -> None:
    """Keeps every thread of a process, and those it starts from now on, on these cores."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(ProcessLookupError):
            os.sched_setaffinity(int(task.name), cores)


def cpu_seconds(pid: int) -> float:
    """CPU time of a process's main thread so far, to the nanosecond: a server's commands all run there."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9


def cpu_seconds_of_all(pid: int) -> float:
    """CPU time of all of a process's threads so far, to the nanosecond."""
    threads = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((thread / "schedstat").read_text().split()[0]) for thread in threads) / 1e9


def versions() -> dict[str, str]:
    """What the figures depend on and anyone can have: versions, the kernel, the number of cores."""
    text = (ROOT / "Cargo.toml").read_text()
    return {
        "leaselock": next(line.split('"')[1] for line in text.splitlines() if line.startswith("version")),
        "kernel": platform.release().split("-")[0],
        "cores": str(len(CORES)),
        "architecture": platform.machine(),
        "Python": platform.python_version(),
        "Node": _said("node", "--version").lstrip("v"),
        "Rust": _said("rustc", "--version").split()[1],
        "Redis": _said("redis-server", "--version").split("v=")[1].split()[0],
        **_python_packages("redis", "hiredis", "python-redis-lock", "pottery", "filelock", "fasteners"),
        **_node_packages(
            "redlock", "redlock4", "@sesamecare-oss/redlock", "redlock-universal", "ioredis", "proper-lockfile"
        ),
        "Redisson": _redisson(),
        "rslock": _locked("rslock"),
        "rustls": _locked("rustls"),
        "libsqlite3-sys": _locked("libsqlite3-sys"),
        "file system": _said("stat", "--file-system", "--format=%T", str(ROOT)),
    }


def _said(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def _python_packages(*names: str) -> dict[str, str]:
    found = _said(str(ROOT / "benches/.venv/bin/python"), "-m", "pip", "freeze", "--disable-pip-version-check")
    installed = dict(line.split("==") for line in found.splitlines() if "==" in line)
    return {"redis-py" if name == "redis" else name: installed[name] for name in names}


def _node_packages(*names: str) -> dict[str, str]:
    folder = ROOT / "benches/node/node_modules"
    found = {name: json.loads((folder / name / "package.json").read_text())["version"].lstrip("v") for name in names}
    return {{"redlock": "redlock 5", "redlock4": "redlock 4"}.get(name, name): each for name, each in found.items()}


def _redisson() -> str:
    return (ROOT / "benches/java/pom.xml").read_text().split("<redisson.version>")[1].split("<")[0]


def _locked(crate: str) -> str:
    lines = (ROOT / "benches/rust/Cargo.lock").read_text().splitlines()
    return lines[lines.index(f'name = "{crate}"') + 1].split('"')[1]
