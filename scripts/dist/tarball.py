"""The command line as a tarball: a program, its man pages, completions for shells, the licence.

On Linux the program is static (musl), so that one is for every distribution.
"""

from __future__ import annotations

import gzip
import io
import re
import subprocess
import tarfile
from typing import TYPE_CHECKING

from sources import sources
from toolchain import BUILD, DIST, environment, output, run, say, tool, version

if TYPE_CHECKING:
    from pathlib import Path

    from targets import Target

SHELLS = {"bash": "leaselock.bash", "zsh": "_leaselock", "fish": "leaselock.fish"}
PAGES = ("README.md", "CHANGELOG.md", "LICENSE")


def build_tarballs(targets: list[Target]) -> None:
    """A tarball for each target that has one."""
    programs = {target: compiled(target) for target in targets if target.cli}
    if programs:
        texts = generated(list(programs.values()))
        for target, program in programs.items():
            pack(target, program, texts)


def compiled(target: Target) -> Path:
    """The program of a target."""
    command = [tool("cargo-zigbuild"), "zigbuild"] if target.zig else ["cargo", "build"]
    options = ["--release", "--locked", "--package", "leaselock-cli", "--target", target.for_zig]
    run([*command, *options], env=environment(target), cwd=sources())
    return BUILD / target.triple / "release" / ("leaselock.exe" if "windows" in target.triple else "leaselock")


def generated(programs: list[Path]) -> dict[str, str]:
    """Man pages and completions, which the program prints itself: the first one that runs on this machine."""
    program = next((str(path) for path in programs if runs(path)), None)
    if program is None:
        say("none of these programs runs here; another one prints man pages and completions")
        run(["cargo", "build", "--locked", "--package", "leaselock-cli"], env=environment(), cwd=sources())
        program = str(BUILD / "debug" / "leaselock")
    page = output([program, "man"])
    texts = {"man/leaselock.1": page}
    for command in re.findall(r"leaselock\\-(\w+)\(1\)", page):
        texts[f"man/leaselock-{command}.1"] = output([program, "man", command])
    return texts | {f"completions/{name}": output([program, "completions", shell]) for shell, name in SHELLS.items()}


def runs(program: Path) -> bool:
    """Whether this machine can run it."""
    try:
        return subprocess.run([str(program), "--version"], check=False, capture_output=True).returncode == 0
    except OSError:
        return False


def pack(target: Target, program: Path, texts: dict[str, str]) -> None:
    """Writes the tarball. The same files give the same bytes: no times, no owners."""
    folder = f"leaselock-{version()}-{target.triple}"
    files = {program.name: program.read_bytes()}
    files |= {name: (sources() / name).read_bytes() for name in PAGES}
    files |= {name: text.encode() for name, text in texts.items()}
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(f"{folder}/{name}")
            entry.size = len(content)
            entry.mode = 0o755 if name == program.name else 0o644
            tar.addfile(entry, io.BytesIO(content))
    path = DIST / f"{folder}.tar.gz"
    path.write_bytes(gzip.compress(archive.getvalue(), 9, mtime=0))
    say(f"{path.name}: {len(files)} files")
