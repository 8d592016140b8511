"""The crates: packed and compiled from what was packed, as crates.io would take them."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from sources import sources
from toolchain import BUILD, DIST, environment, run, version

if TYPE_CHECKING:
    from targets import Target

CRATES = ("leaselock", "leaselock-cli")


def build_crates(_targets: list[Target]) -> None:
    """Both crates; the second is compiled against the first."""
    packages = [f"--package={name}" for name in CRATES]
    run(["cargo", "package", "--locked", *packages], env=environment(), cwd=sources())
    for name in CRATES:
        shutil.copy2(BUILD / "package" / f"{name}-{version()}.crate", DIST)
