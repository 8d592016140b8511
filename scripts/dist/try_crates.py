"""Tries the crates: a new project that depends on the packed core runs the quickstart; the packed command is installed.

The crates that these depend on are those that cargo downloaded, and compiled, when it packed them.
"""

from __future__ import annotations

import re
import shutil
import tarfile
from typing import TYPE_CHECKING

from places import BrokenError, clean
from report import Report, Row
from stores import quickstarts
from toolchain import BUILD, DIST, ROOT, output, version

if TYPE_CHECKING:
    from pathlib import Path

    from places import Place

QUICKSTART = ROOT / "examples" / "rust" / "src" / "bin" / "quickstart_blocking.rs"


def try_crates(report: Report, server: str, only: str) -> None:
    """Adds a row for each crate."""
    runtime = output(["rustc", "--version"]).strip()
    if not re.search(only, runtime):
        return
    with clean() as place:
        place.offer_cargo(BUILD)
        for name, try_one in (("leaselock", try_core), ("leaselock-cli", try_cli)):
            archive = DIST / f"{name}-{version()}.crate"
            row = Row(archive.name, runtime)
            try:
                try_one(row, unpacked(archive, place), place, server)
                row.size = archive.stat().st_size
            except BrokenError as broken:
                row.failure = str(broken)
            report.add(row)


def unpacked(archive: Path, place: Place) -> Path:
    """A crate's files."""
    if not archive.exists():
        raise BrokenError(f"{archive.name} is not in dist/: `make dist ONLY=crates`")
    with tarfile.open(archive) as tar:
        tar.extractall(place.folder, filter="data")
    return place.folder / archive.stem


def cargo(place: Place, project: Path, *words: str) -> str:
    """Runs cargo in a project, away from its registry."""
    return place.run(["cargo", *words], {"CARGO_INCREMENTAL": "0"}, cwd=project)


def try_core(row: Row, crate: Path, place: Place, server: str) -> None:
    """What `cargo add leaselock` makes of a new project."""
    project = place.folder / "tries-the-core"
    cargo(place, place.folder, "init", "--vcs=none", str(project))
    shutil.copy(crate / "Cargo.lock", project)
    cargo(place, project, "add", "leaselock", "--path", str(crate))
    shutil.copy(QUICKSTART, project / "src" / "main.rs")
    cargo(place, project, "build")
    row.stores = quickstarts(place, server, [[str(BUILD / "debug" / project.name)]])


def try_cli(row: Row, crate: Path, place: Place, _server: str) -> None:
    """What `cargo install leaselock-cli` installs."""
    with (crate / "Cargo.toml").open("a") as manifest:
        core = place.folder / f"leaselock-{version()}"
        manifest.write(f'\n[patch.crates-io.leaselock]\npath = "{core}"\n')
    cargo(place, crate, "install", "--debug", "--path", ".", "--root", str(place.folder / "installed"))
    row.load = place.timed([str(place.folder / "installed" / "bin" / "leaselock"), "--version"])
