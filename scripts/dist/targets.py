"""The targets that releases are built for, and which of them this machine builds."""

from __future__ import annotations

import platform
from dataclasses import dataclass

SYSTEMS = {"linux": "Linux", "apple": "Darwin", "windows": "Windows"}


@dataclass(frozen=True)
class Target:
    """One platform, by the names that cargo, PyPI and npm have for it."""

    triple: str
    """Cargo's and rustup's name."""

    node: str
    """The end of the npm package's name: `linux-x64-gnu`."""

    zig: bool = False
    """Whether zig compiles and links for it, on any machine; else only a machine of its own system does."""

    wheel: str = ""
    """The oldest Linux that its wheel runs on, as a tag of PyPI; empty: what maturin says by itself."""

    glibc: str = ""
    """The oldest glibc that its programs are linked against."""

    cli: bool = True
    """Whether there is a tarball with the command line. On Linux it is the static one, for every libc."""

    @property
    def for_zig(self) -> str:
        """The target as cargo-zigbuild takes it, with the version of glibc."""
        return f"{self.triple}.{self.glibc}" if self.glibc else self.triple

    @property
    def system(self) -> str:
        """What `platform.system()` says there."""
        return next(SYSTEMS[part] for part in self.triple.split("-") if part in SYSTEMS)


TARGETS = [
    Target("x86_64-unknown-linux-gnu", "linux-x64-gnu", zig=True, wheel="manylinux2014", glibc="2.17", cli=False),
    Target("aarch64-unknown-linux-gnu", "linux-arm64-gnu", zig=True, wheel="manylinux2014", glibc="2.17", cli=False),
    Target("x86_64-unknown-linux-musl", "linux-x64-musl", zig=True, wheel="musllinux_1_2"),
    Target("aarch64-unknown-linux-musl", "linux-arm64-musl", zig=True, wheel="musllinux_1_2"),
    Target("x86_64-apple-darwin", "darwin-x64"),
    Target("aarch64-apple-darwin", "darwin-arm64"),
    Target("x86_64-pc-windows-msvc", "win32-x64-msvc"),
]
NAMES = {target.triple: target for target in TARGETS}


def here() -> list[Target]:
    """The targets that are built where nobody says which: all that this system can build."""
    system = platform.system()
    found = [target for target in TARGETS if target.system == system]
    if not found:
        raise SystemExit(f"dist: nothing is released for {system}; name a target: {', '.join(NAMES)}")
    return found
