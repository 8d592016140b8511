"""Clean places: a folder and an environment with no compiler, no registry and nothing that was configured here."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# What a program may expect of any system; a compiler is not among it.
EVERYWHERE = ("sh", "env", "cat", "sleep", "true", "uname") if os.name == "posix" else ()
# What builds a crate with C in it.
BUILDERS = ("cargo", "rustc", "cc", "ld", "as", "ar")
# Without these Windows finds none of its own parts.
OF_WINDOWS = ("SYSTEMROOT", "SYSTEMDRIVE", "COMSPEC", "PATHEXT")
# The sdist is compiled, on a machine that may have other work.
TIMEOUT_SECONDS = 1800


class BrokenError(Exception):
    """An artefact that does not do what it should."""


@dataclass(frozen=True)
class Place:
    """One clean place. `env` is all the environment that programs there have."""

    folder: Path
    env: dict[str, str]

    @property
    def programs(self) -> Path:
        """The only folder in PATH."""
        return self.folder / "bin"

    def offer(self, program: str | Path, name: str = "") -> None:
        """Puts a program of this machine into PATH."""
        found = shutil.which(program)
        if found is None:
            raise BrokenError(f"{program} is not on this machine")
        (self.programs / (name or Path(program).name)).symlink_to(found)

    def offer_cargo(self, target: Path) -> None:
        """Puts what compiles into PATH, and has cargo build into `target`, away from its registry."""
        for program in BUILDERS:
            self.offer(program)
        home = Path.home()
        self.env.update(
            {
                "CARGO_HOME": os.environ.get("CARGO_HOME", str(home / ".cargo")),
                "RUSTUP_HOME": os.environ.get("RUSTUP_HOME", str(home / ".rustup")),
                "CARGO_NET_OFFLINE": "true",
                "CARGO_TARGET_DIR": str(target),
            }
        )

    def run(self, command: list[str], variables: Mapping[str, str] | None = None, cwd: Path | None = None) -> str:
        """Runs a program to a good end; returns all that it printed."""
        done = subprocess.run(
            command,
            cwd=cwd or self.folder,
            env={**self.env, **(variables or {})},
            text=True,
            errors="replace",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=TIMEOUT_SECONDS,
            check=False,
        )
        if done.returncode:
            raise BrokenError(f"{shlex.join(command)} ended with {done.returncode}:\n{done.stdout}")
        return done.stdout

    def timed(self, command: list[str], variables: Mapping[str, str] | None = None) -> float:
        """Runs a program to a good end; returns how many seconds that took."""
        started = time.monotonic()
        self.run(command, variables)
        return time.monotonic() - started


@contextlib.contextmanager
def clean() -> Iterator[Place]:
    """A clean place, outside of the project, which is removed at the end."""
    with tempfile.TemporaryDirectory(prefix="leaselock-clean-") as name:
        folder = Path(name)
        for part in ("bin", "home", "tmp"):
            (folder / part).mkdir()
        env = {
            "PATH": str(folder / "bin"),
            "HOME": str(folder / "home"),
            "TMPDIR": str(folder / "tmp"),
            "TEMP": str(folder / "tmp"),
            "LANG": "C.UTF-8",
            "PIP_CONFIG_FILE": "/dev/null",
            "PIP_NO_INDEX": "1",
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "PIP_ROOT_USER_ACTION": "ignore",
            "NPM_CONFIG_OFFLINE": "true",
            "NPM_CONFIG_UPDATE_NOTIFIER": "false",
        }
        env |= {name: os.environ[name] for name in OF_WINDOWS if name in os.environ}
        place = Place(folder, env)
        for program in EVERYWHERE:
            place.offer(program)
        yield place
