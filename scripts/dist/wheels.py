"""The Python package: wheels for each target, one for all versions of CPython, and the sdist."""

from __future__ import annotations

import json
import re
import shutil
from typing import TYPE_CHECKING

from sbom import without_paths
from sources import sources
from toolchain import BUILD, DIST, environment, output, run, tool

if TYPE_CHECKING:
    from targets import Target

# What the sdist is made of.
MEMBERS = ["core", "cli", "bindings-python"]
FILES = ["Cargo.toml", "Cargo.lock", "pyproject.toml", "README.md", "LICENSE"]


def build_wheels(targets: list[Target]) -> None:
    """A wheel for each target, with an SBOM in it (PEP 770)."""
    for target in targets:
        command = [tool("maturin"), "build", "--release", "--locked", "--target", target.triple, "--out", str(DIST)]
        if target.zig:
            command += ["--zig", "--compatibility", target.wheel]
        run(command, env=environment(target), cwd=sources())
    for wheel in DIST.glob("leaselock-*.whl"):
        without_paths(wheel)


def build_sdist(_targets: list[Target]) -> None:
    """The sources, with which `pip install` builds the package where no wheel fits.

    The workspace is smaller in it, and so must its lock file be, or cargo would not take that for the whole truth.
    """
    folder = BUILD / "sdist-sources"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name in (*MEMBERS, *FILES):
        source = sources() / name
        if source.is_dir():
            shutil.copytree(source, folder / name)
        else:
            shutil.copy2(source, folder / name)
    manifest = folder / "Cargo.toml"
    members = f"members = {json.dumps(MEMBERS)}"
    manifest.write_text(re.sub(r"^members = \[.*?\]", members, manifest.read_text(), flags=re.MULTILINE | re.DOTALL))
    output(["cargo", "metadata", "--format-version=1"], env=environment(), cwd=folder)
    run([tool("maturin"), "sdist", "--out", str(DIST)], env=environment(), cwd=folder)
