"""Publishes crates and npm packages; who may do that is the registries' business, by the credentials of the workflow.

PyPI has an action of its own for that. What a registry has already is left alone, so that a release that stopped
half-way can be run again.
"""

from __future__ import annotations

import subprocess

from crates import CRATES
from sources import sources
from toolchain import DIST, environment, say, version

ALREADY = ("already exists", "already uploaded", "previously published", "cannot publish over")


def publish_crates() -> None:
    """The core first: the command line depends on it."""
    for name in CRATES:
        once(["cargo", "publish", "--locked", "--no-verify", "--package", name], f"{name} {version()}", in_sources=True)


def publish_npm() -> None:
    """The packages of the platforms first: the one that people install names them."""
    archives = sorted(DIST.glob("*.tgz"), key=lambda path: (path.name == f"leaselock-{version()}.tgz", path.name))
    if not archives:
        raise SystemExit("dist: there is no npm package in dist/")
    for path in archives:
        once(["npm", "publish", "--provenance", "--access", "public", str(path)], path.name)


def once(command: list[str], what: str, *, in_sources: bool = False) -> None:
    """Runs a command that publishes; that it was published before is no failure."""
    say(" ".join(command))
    done = subprocess.run(
        command,
        cwd=sources() if in_sources else DIST,
        env=environment() if in_sources else None,
        check=False,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    print(done.stdout, flush=True)
    if done.returncode and any(text in done.stdout for text in ALREADY):
        say(f"{what} is there already")
    elif done.returncode:
        raise SystemExit(f"dist: {what} was not published")
