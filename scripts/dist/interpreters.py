"""The Python interpreters that wheels are tried with: this machine's, and those that Debian has for others."""

from __future__ import annotations

import functools
import platform
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from debian import NotHereError, debian_name, loader, unpacked

if TYPE_CHECKING:
    from collections.abc import Callable

# The releases of CPython that wheels must run on, and the release of Debian that has each for machines without.
VERSIONS = {"3.10": "", "3.11": "bookworm", "3.12": "", "3.13": "trixie", "3.14": "forky", "3.15": "forky"}


@dataclass(frozen=True)
class Interpreter:
    """One interpreter; `pip` is where pip is, unless `venv` makes environments that have it."""

    command: list[str]
    pip: Path | None = None

    def says(self, code: str) -> str:
        """What a line of Python prints."""
        done = subprocess.run([*self.command, "-c", code], check=True, text=True, stdout=subprocess.PIPE)
        return done.stdout.strip()

    def name(self) -> str:
        """What it is: `CPython 3.12.1 x86_64 glibc`."""
        facts = "p.python_implementation(), p.python_version(), p.machine(), *p.libc_ver()[:1]"
        return self.says(f"import platform as p; print({facts})")


@dataclass(frozen=True)
class Wanted:
    """An interpreter to try, and how to come by it: `find` raises `NotHereError` where it is not to be had."""

    name: str
    find: Callable[[], Interpreter]


def native(version: str) -> Interpreter:
    """A release of CPython: from PATH, from pyenv, or from Debian."""
    installed = Path.home().glob(f".pyenv/versions/{version}.*/bin/python")
    for candidate in [str(path) for path in (shutil.which(f"python{version}"), *installed, sys.executable) if path]:
        code = "import sys, ensurepip, venv; print('%d.%d' % sys.version_info[:2])"
        done = subprocess.run([candidate, "-c", code], check=False, text=True, capture_output=True)
        if done.returncode == 0 and done.stdout.strip() == version:
            return Interpreter([candidate])
    if not VERSIONS[version]:
        raise NotHereError(f"no python{version} in PATH or in ~/.pyenv/versions, and no Debian has it")
    return of_debian(VERSIONS[version], platform.machine(), f"python{version}")


def of_debian(suite: str, machine: str, package: str) -> Interpreter:
    """An interpreter of Debian, started with the libraries beside it; by qemu where it is for another processor."""
    root = unpacked(suite, debian_name(machine), package, "python3-pip-whl")
    pip = next((root / "usr" / "share" / "python-wheels").glob("pip-*.whl"))
    return Interpreter([*loader(root, machine), str(root / "usr" / "bin" / package)], pip / "pip")


def wanted() -> list[Wanted]:
    """All interpreters to try."""
    other = "aarch64" if platform.machine() == "x86_64" else "x86_64"
    return [
        *(Wanted(f"CPython {version}", functools.partial(native, version)) for version in VERSIONS),
        Wanted(f"CPython 3.11 {other}", lambda: of_debian("bookworm", other, "python3.11")),
    ]
