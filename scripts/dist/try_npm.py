"""Tries the npm packages: each Node installs `leaselock` from a registry of dist/ alone, and runs the quickstart."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import npm
from debian import NotHereError
from nodes import wanted
from places import BrokenError, clean
from registry import registry
from report import Report, Row
from stores import quickstarts
from toolchain import DIST, ROOT, version

if TYPE_CHECKING:
    from nodes import Node
    from places import Place

QUICKSTART = ROOT / "examples" / "node" / "quickstart.mjs"
# Bytes that are downloaded, in all.
LARGEST = 5_000_000
# Microseconds of the processor: other work on this machine does not count.
LOAD = (
    "const before = process.cpuUsage(); require('leaselock'); "
    "const { user, system } = process.cpuUsage(before); console.log(user + system)"
)
LOADS = 5
INSTALL = ["install", "--no-audit", "--no-fund", "--loglevel=error"]


def try_npm(report: Report, server: str, only: str) -> None:
    """Adds a row for each Node, or for those whose name `only` matches."""
    with registry() as url:
        for candidate in wanted():
            if not re.search(only, candidate.name):
                continue
            row = Row("npm", candidate.name)
            try:
                node = candidate.find()
                with clean() as place:
                    place.env.update({"NPM_CONFIG_OFFLINE": "false", "NPM_CONFIG_REGISTRY": url, **node.npm})
                    try_one(row, node, place, server)
            except NotHereError as missing:
                row.missing = str(missing)
            except BrokenError as broken:
                row.failure = str(broken)
            report.add(row)


def npm_of(node: Node) -> list[str]:
    """This machine's npm, run by that Node."""
    found = shutil.which("npm")
    if found is None:
        raise NotHereError("there is no npm in PATH")
    return [*node.command, str(Path(found).resolve())]


def try_one(row: Row, node: Node, place: Place, server: str) -> None:
    """Installs the package, looks at it, and runs it."""
    facts = place.run([*node.command, "-p", "`Node ${process.versions.node} ${process.arch}`"]).strip()
    row.runtime = facts + (" musl" if "musl" in row.runtime else "")
    # What npm and the package's program are started by.
    start = place.programs / "node"
    start.write_text("#!/bin/sh\nexec " + " ".join(node.command) + ' "$@"\n')
    start.chmod(0o755)
    project = place.folder / "project"
    project.mkdir()
    (project / "package.json").write_text('{ "private": true }')
    place = type(place)(project, {**place.env})
    install = [*npm_of(node), *INSTALL]

    row.install = place.timed([*install, "leaselock"])
    installed = sorted(path.name for path in project.glob("node_modules/@leaselock/*"))
    if len(installed) != 1:
        raise BrokenError(f"of the packages in dist/ one fits {row.runtime}, and npm installed {installed or 'none'}")
    row.artefact = installed[0]
    archives = [npm.archive(), DIST / f"leaselock-{installed[0]}-{version()}.tgz"]
    row.size = sum(archive.stat().st_size for archive in archives)
    if row.size > LARGEST:
        raise BrokenError(f"{row.size} bytes are downloaded, more than {LARGEST}")
    said = place.run([*node.command, "node_modules/.bin/leaselock", "--version"])
    if version() not in said:
        raise BrokenError(f"`leaselock --version` says {said!r}, not {version()}")
    row.load = min(int(place.run([*node.command, "-e", LOAD])) / 1e6 for _ in range(LOADS))
    shutil.copyfile(QUICKSTART, project / QUICKSTART.name)
    row.stores = quickstarts(place, server, [[*node.command, QUICKSTART.name]])

    without(node, place, install)


def without(node: Node, place: Place, install: list[str]) -> None:
    """Without its platform's package, it says which one is missing and what to do."""
    shutil.rmtree(place.folder / "node_modules")
    (place.folder / "package-lock.json").unlink()
    place.run([*install, "--omit=optional", "leaselock"])
    said = place.run([*node.command, "-e", "try { require('leaselock') } catch (error) { console.log(error.message) }"])
    for words in ("looked for", "@leaselock/node-", "--omit=optional"):
        if words not in said:
            raise BrokenError(f"without its addon leaselock says: {said}")
