"""Checks by the registries' own tools of what is in dist/: `twine`, `auditwheel`, `abi3audit`; and `actionlint`."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tarfile
import tempfile
import zipfile
from typing import TYPE_CHECKING

from debian import NotHereError
from places import BrokenError
from report import Report, Row
from sbom import faults, read
from sources import links
from toolchain import DIST, DOWNLOADS, ROOT, say, tool, version

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

WORKFLOWS = [*sorted(ROOT.glob(".github/workflows/*.yml")), *sorted(ROOT.glob("examples/github/*.yml"))]
ACTIONLINT = "github.com/rhysd/actionlint/cmd/actionlint@v1.7.12"


def gates(report: Report, _server: str, only: str) -> None:
    """Adds a row for each tool and each artefact that it looks at, or for the tools whose name `only` matches."""
    wheels = sorted(DIST.glob(f"leaselock-{version()}-*.whl"))
    linux = [wheel for wheel in wheels if "linux" in wheel.name]
    crates = sorted(DIST.glob(f"*-{version()}.crate"))
    sdists = list(DIST.glob(f"leaselock-{version()}.tar.gz"))
    checks: list[tuple[str, Path, Callable[[Path], None]]] = [
        *(("twine", path, twine) for path in [*wheels, *sdists]),
        *(("locked", path, locked) for path in sdists),
        *(("auditwheel", path, auditwheel) for path in linux),
        *(("abi3audit", path, abi3audit) for path in wheels),
        *(("sbom", path, sbom_gate) for path in [*wheels, *sorted(DIST.glob("*.cdx.json"))]),
        *(("files", path, crate_files) for path in crates),
        *(("links", path, wheel_links) for path in wheels),
        *(("actionlint", path, actionlint) for path in WORKFLOWS),
    ]
    for name, path, check in checks:
        if not re.search(only, name):
            continue
        row = Row(path.name, name)
        try:
            check(path)
        except BrokenError as broken:
            row.failure = str(broken)
        except NotHereError as missing:
            row.missing = str(missing)
        report.add(row)


def told(command: list[str]) -> str:
    """What a tool says; it is to be content."""
    done = subprocess.run(command, cwd=ROOT, check=False, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode:
        raise BrokenError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}")
    return done.stdout


def twine(path: Path) -> None:
    """PyPI can show its description."""
    told([tool("twine"), "check", "--strict", str(path)])


def auditwheel(wheel: Path) -> None:
    """It needs no newer Linux than its name says."""
    said = told([tool("auditwheel"), "show", str(wheel)])
    found = re.search(r'platform\s+tag:\s+"(\w+)"', said)
    if found is None or found[1] not in wheel.name:
        raise BrokenError(f"{wheel.name} is named for another system than auditwheel finds:\n{said}")


def abi3audit(wheel: Path) -> None:
    """It uses nothing of CPython but the stable ABI of the release in its name."""
    told([tool("abi3audit"), "--strict", str(wheel)])


def sbom_gate(path: Path) -> None:
    """It has an SBOM, which names what the lock file does and nothing of this machine."""
    if wrong := faults(path.name, read(path)):
        raise BrokenError(f"the SBOM of {path.name}: " + "; ".join(wrong))


def locked(sdist: Path) -> None:
    """Its lock file is the one that its workspace needs, so that what is built from it is what was tested."""
    with tempfile.TemporaryDirectory() as folder, tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
        manifest = f"{folder}/{sdist.name.removesuffix('.tar.gz')}/Cargo.toml"
        told(["cargo", "metadata", "--locked", "--format-version=1", "--manifest-path", manifest])


def crate_files(crate: Path) -> None:
    """It has what it is compiled from and what crates.io shows, and none of the tests, which could not run."""
    with tarfile.open(crate) as archive:
        names = {name.split("/", 1)[1] for name in archive.getnames()}
        readme = archive.extractfile(f"{crate.stem}/README.md")
        text = readme.read().decode() if readme else ""
    wanted = {"Cargo.toml", "Cargo.lock", "LICENSE", "README.md", "src/lib.rs"}
    if not crate.name.startswith("leaselock-cli"):
        wanted |= {f"src/store/redis/scripts/{path.name}" for path in ROOT.glob("core/src/store/redis/scripts/*.lua")}
    if missing := wanted - names:
        raise BrokenError(f"{crate.name} lacks {', '.join(sorted(missing))}")
    if extra := {name for name in names if name.split("/")[0] in ("tests", "examples", "benches")}:
        raise BrokenError(f"{crate.name} has {', '.join(sorted(extra))}, which cannot run without the repository")
    nowhere(crate, text)


def wheel_links(wheel: Path) -> None:
    """What PyPI shows of it has no link into the repository's files."""
    with zipfile.ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        nowhere(wheel, archive.read(name).decode())


def nowhere(path: Path, text: str) -> None:
    """A page of an artefact has no link that works in the repository only."""
    if found := links(text):
        raise BrokenError(f"the README in {path.name} has links that lead nowhere: {', '.join(found)}")


def actionlint(workflow: Path) -> None:
    """A workflow of the forge is one."""
    program = DOWNLOADS / "bin" / "actionlint"
    if not program.exists():
        if shutil.which("go") is None:
            raise NotHereError("actionlint is compiled by Go, which is not in PATH")
        say(f"go install {ACTIONLINT}")
        command = ["go", "install", ACTIONLINT]
        done = subprocess.run(command, env=os.environ | {"GOBIN": str(program.parent)}, check=False)
        if done.returncode:
            raise NotHereError("`go install` could not get actionlint: what it said stands above")
    told([str(program), "-no-color", str(workflow)])
