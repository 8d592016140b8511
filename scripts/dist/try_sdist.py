"""Tries the sdist: `pip install` builds it with cargo, a C compiler and Python, from nothing but what is in it.

The crates it depends on are those that cargo has downloaded already: like pip, it is kept from every registry.
"""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING

from places import BrokenError, clean
from report import Report, Row
from stores import quickstarts
from toolchain import BUILD, DIST, scripts, version
from try_wheels import LOAD, QUICKSTARTS

if TYPE_CHECKING:
    from pathlib import Path

    from places import Place


def try_sdist(report: Report, server: str, only: str) -> None:
    """Adds a row."""
    archive = DIST / f"leaselock-{version()}.tar.gz"
    row = Row(archive.name, f"CPython {sys.version.split()[0]}")
    if not re.search(only, row.runtime):
        return
    try:
        with clean() as place:
            try_one(row, archive, place, server)
    except BrokenError as broken:
        row.failure = str(broken)
    report.add(row)


def try_one(row: Row, archive: Path, place: Place, server: str) -> None:
    """Builds it in the dev profile, which takes a quarter of the time; a user's is the release one."""
    if not archive.exists():
        raise BrokenError(f"{archive.name} is not in dist/: `make dist ONLY=sdist`")
    row.size = archive.stat().st_size
    place.offer_cargo(BUILD / "sdist")
    place.offer(scripts() / "maturin")
    python = str(place.folder / "venv" / "bin" / "python")
    place.run([sys.executable, "-m", "venv", str(place.folder / "venv")])
    # What builds it is not of the registry either: maturin's module is lent, beside its program in PATH.
    site = next(scripts().parent.glob("lib/python*/site-packages/maturin")).parent
    (place.folder / "lent").mkdir()
    for name in ("maturin", next(site.glob("maturin-*.dist-info")).name):
        (place.folder / "lent" / name).symlink_to(site / name)
    row.install = place.timed(
        [python, "-m", "pip", "install", "--no-index", "--no-build-isolation", "--no-deps", str(archive)],
        {"MATURIN_PEP517_ARGS": "--profile=dev", "PYTHONPATH": str(place.folder / "lent")},
    )
    row.load = float(place.run([python, "-c", LOAD]))
    row.stores = quickstarts(place, server, [[python, path] for path in QUICKSTARTS])
