"""The Python package: wheels for each target, one for all versions of CPython, and the sdist."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sources import sources
from toolchain import DIST, environment, run, tool

if TYPE_CHECKING:
    from targets import Target


def build_wheels(targets: list[Target]) -> None:
    """A wheel for each target."""
    for target in targets:
        command = [tool("maturin"), "build", "--release", "--locked", "--target", target.triple, "--out", str(DIST)]
        if target.zig:
            command += ["--zig", "--compatibility", target.wheel]
        run(command, env=environment(target), cwd=sources())


def build_sdist(_targets: list[Target]) -> None:
    """The sources, with which `pip install` builds the package where no wheel fits."""
    run([tool("maturin"), "sdist", "--out", str(DIST)], env=environment(), cwd=sources())
