"""The SBOMs, in CycloneDX: the crates that wheels, npm packages and the command line are compiled from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sources import sources
from toolchain import DIST, DOWNLOADS, SOURCES, environment, run

if TYPE_CHECKING:
    from targets import Target

CARGO_CYCLONEDX = "0.5.9"
SHIPPED = {"leaselock-cli": "cli", "leaselock-python": "bindings-python", "leaselock-node": "bindings-node"}


def build_sboms(_targets: list[Target]) -> None:
    """One for each kind of artefact, with what any target needs."""
    program = DOWNLOADS / "bin" / "cargo-cyclonedx"
    if not program.exists():
        run(["cargo", "install", "--locked", "--root", str(DOWNLOADS), f"cargo-cyclonedx@{CARGO_CYCLONEDX}"])
    run([str(program), "cyclonedx", "--format", "json", "--target", "all"], env=environment(), cwd=sources())
    for crate, folder in SHIPPED.items():
        found = (sources() / folder / f"{crate}.cdx.json").read_text()
        # Crates of this repository are named by where they were; that is nobody's business.
        (DIST / f"{crate}.cdx.json").write_text(found.replace(f"{SOURCES}", "/leaselock"))
