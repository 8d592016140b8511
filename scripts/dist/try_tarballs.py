"""Tries the command line's tarballs: unpacked, they run a command under a lock; by qemu those for another processor."""

from __future__ import annotations

import platform
import re
import tarfile
from typing import TYPE_CHECKING

from debian import NotHereError, emulator
from places import BrokenError, clean
from report import Report, Row
from stores import urls
from tarball import PAGES, SHELLS
from targets import TARGETS
from toolchain import DIST, version

if TYPE_CHECKING:
    from pathlib import Path

    from places import Place
    from targets import Target


def try_tarballs(report: Report, server: str, only: str) -> None:
    """Adds a row for each tarball of this system, or for those whose target `only` matches."""
    for target in TARGETS:
        if not (target.cli and target.system == platform.system() and re.search(only, target.triple)):
            continue
        archive = DIST / f"leaselock-{version()}-{target.triple}.tar.gz"
        row = Row(archive.name, target.triple)
        try:
            with clean() as place:
                try_one(row, target, archive, place, server)
        except NotHereError as missing:
            row.missing = str(missing)
        except BrokenError as broken:
            row.failure = str(broken)
        report.add(row)


def try_one(row: Row, target: Target, archive: Path, place: Place, server: str) -> None:
    """Unpacks it, looks what is in it, and takes a lock on each store that several processes can share."""
    if not archive.exists():
        raise BrokenError(f"{archive.name} is not in dist/: `make dist ONLY=cli TARGET={target.triple}`")
    row.size = archive.stat().st_size
    with tarfile.open(archive) as tar:
        tar.extractall(place.folder, filter="data")
    folder = place.folder / archive.name.removesuffix(".tar.gz")
    for name in [
        *PAGES,
        "man/leaselock.1",
        "man/leaselock-run.1",
        *(f"completions/{name}" for name in SHELLS.values()),
    ]:
        if not (folder / name).read_text():
            raise BrokenError(f"{name} is empty")
    program = [str(folder / "leaselock")]
    processor = target.triple.split("-", 1)[0]
    if platform.machine() != processor and target.system == "Linux":
        program = [emulator(processor), *program]
        row.runtime += " (qemu)"
    row.load = min(place.timed([*program, "--version"]) for _ in range(5))
    for store, url in urls(place, server).items():
        if store == "memory":
            continue
        said = place.run(
            [*program, "run", "nightly", "--", "sh", "-c", "echo $LEASELOCK_TOKEN"], {"LEASELOCK_URL": url}
        )
        if not said.strip().isdigit():
            raise BrokenError(f"the command under a lock on {store} printed {said!r}, not its token")
        row.stores[store] = place.timed([*program, "ls"], {"LEASELOCK_URL": url})
