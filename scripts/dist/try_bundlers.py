"""Tries the npm packages as users' tools do: bundlers, Bun, Deno and jest, by the tests of the clone's own package.

What looks at packages before they are published looks at them too: `publint` and `attw`.
"""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import npm
from nodes import PROCESSORS
from places import BrokenError
from report import Report, Row
from targets import TARGETS
from toolchain import DIST, ROOT

if TYPE_CHECKING:
    from pathlib import Path

MODULES = ROOT / "node_modules"
PUBLINT = [str(MODULES / "publint" / "src" / "cli.js"), "run", "--strict"]
ATTW = [str(MODULES / "@arethetypeswrong" / "cli" / "dist" / "index.js"), "--no-color"]
TOOLCHAINS = [sys.executable, str(ROOT / "tests" / "servers.py"), "--", "npm", "run", "--silent", "test:toolchains"]
SYSTEMS = {"Linux": "linux", "Darwin": "darwin", "Windows": "win32"}


def try_bundlers(report: Report, _server: str, only: str) -> None:
    """Adds a row for each tool and package, or for the tools whose name `only` matches."""
    archives = sorted(DIST.glob("*.tgz"))
    checks: list[tuple[str, Path, list[str], dict[str, str]]] = [
        *(("publint", archive, ["node", *PUBLINT, str(archive)], {}) for archive in archives),
        ("attw", npm.archive(), ["node", *ATTW, str(npm.archive())], {}),
        ("bundlers, Bun, Deno, jest", npm.archive(), TOOLCHAINS, {"LEASELOCK_TARBALLS": tarballs()}),
    ]
    for name, archive, command, variables in checks:
        if not re.search(only, name):
            continue
        row = Row(archive.name, name)
        try:
            contented(command, variables)
        except BrokenError as broken:
            row.failure = str(broken)
        report.add(row)


def tarballs() -> str:
    """The main package, and the one of the platform that this is."""
    name = f"{SYSTEMS[platform.system()]}-{PROCESSORS.get(platform.machine(), platform.machine())}"
    fitting = [target for target in TARGETS if target.node.startswith(name) and not target.node.endswith("musl")]
    return os.pathsep.join(str(npm.archive(target)) for target in [None, *fitting[:1]])


def contented(command: list[str], variables: dict[str, str]) -> None:
    """Runs a tool that is to find nothing wrong, nor to leave anything out."""
    env = {**os.environ, "CI": "true", **variables}
    done = subprocess.run(
        command, cwd=ROOT, env=env, check=False, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    if done.returncode:
        raise BrokenError(f"{command[-1]} ended with {done.returncode}:\n{done.stdout}")
