"""Tries the wheels: each interpreter installs from dist/ alone, and runs the quickstarts."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from debian import NotHereError
from interpreters import wanted
from places import BrokenError, clean
from report import Report, Row
from stores import quickstarts
from toolchain import DIST, ROOT, version

if TYPE_CHECKING:
    from pathlib import Path

    from interpreters import Interpreter
    from places import Place

# What a download may be at most.
LARGEST_WHEEL = 5_000_000
QUICKSTARTS = [str(ROOT / "examples" / "python" / name) for name in ("quickstart.py", "quickstart_asyncio.py")]
# Seconds of the processor: other work on this machine does not count.
LOAD = "import time; a = time.process_time(); import leaselock; print(time.process_time() - a)"
LOADS = 5


def try_wheels(report: Report, server: str, only: str) -> None:
    """Adds a row for each interpreter, or for those whose name `only` matches."""
    for candidate in wanted():
        if not re.search(only, candidate.name):
            continue
        row = Row("wheel", candidate.name)
        try:
            interpreter = candidate.find()
            row.runtime = interpreter.name()
            with clean() as place:
                try_one(row, interpreter, place, server)
        except NotHereError as missing:
            row.missing = str(missing)
        except BrokenError as broken:
            row.failure = str(broken)
        report.add(row)


def try_one(row: Row, interpreter: Interpreter, place: Place, server: str) -> None:
    """Installs the package, looks at it, and runs it."""
    python, variables = interpreter.command, dict[str, str]()
    options = ["--no-index", "--only-binary=:all:", "--find-links", str(DIST), f"leaselock=={version()}"]
    if interpreter.pip is None:
        place.run([*python, "-m", "venv", str(place.folder / "venv")])
        scripts = place.folder / "venv" / ("Scripts" if os.name == "nt" else "bin")
        python = [str(scripts / "python")]
        row.install = place.timed([*python, "-m", "pip", "install", *options])
        said = place.run([str(scripts / "leaselock"), "--version"])
    else:
        target = place.folder / "packages"
        row.install = place.timed([*python, str(interpreter.pip), "install", "--target", str(target), *options])
        variables = {"PYTHONPATH": str(target)}
        said = place.run([*python, "-m", "leaselock", "--version"], variables)
    if version() not in said:
        raise BrokenError(f"`leaselock --version` says {said!r}, not {version()}")
    wheel = came_from(place)
    row.artefact, row.size = wheel.name, wheel.stat().st_size
    if row.size > LARGEST_WHEEL:
        raise BrokenError(f"{wheel.name} has {row.size} bytes, more than {LARGEST_WHEEL}")
    row.load = min(float(place.run([*python, "-c", LOAD], variables)) for _ in range(LOADS))
    row.stores = quickstarts(place, server, [[*python, path] for path in QUICKSTARTS], variables)


def came_from(place: Place) -> Path:
    """The wheel that was installed: pip chose among those in dist/."""
    metadata = next(place.folder.rglob("leaselock-*.dist-info/WHEEL")).read_text()
    tags = re.findall(r"^Tag: (\S+)$", metadata, flags=re.MULTILINE)
    for wheel in DIST.glob(f"leaselock-{version()}-*.whl"):
        if any(tag.rsplit("-", 1)[1] in wheel.name for tag in tags):
            return wheel
    raise BrokenError(f"no wheel in dist/ has a tag of {tags}")
