"""Packages of Debian, of any release and architecture, unpacked into .dist: nothing of this machine is changed.

That is where interpreters come from that this machine has not got, and qemu, which runs those of another processor.
"""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
from pathlib import Path

from toolchain import DOWNLOADS, say

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
MIRROR = "http://deb.debian.org/debian"


class NotHereError(Exception):
    """Something that is not to be had on this machine, and why."""


@functools.cache
def unpacked(suite: str, architecture: str, *packages: str) -> Path:
    """A folder with packages of a release of Debian, and with all that they depend on."""
    folder = DOWNLOADS / f"{suite}-{architecture}-{'-'.join(packages)}"
    root = folder / "root"
    if root.exists():
        return root
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb") and KEYRING.exists()):
        raise NotHereError("no Debian: apt-get, dpkg-deb or the keyring of its archive is missing")
    say(f"unpacking {', '.join(packages)} of Debian {suite} for {architecture} into {folder.name}")
    shutil.rmtree(folder, ignore_errors=True)
    for part in ("state/lists/partial", "cache/archives/partial", "unfinished"):
        (folder / part).mkdir(parents=True)
    (folder / "sources.list").write_text(f"deb [signed-by={KEYRING}] {MIRROR} {suite} main\n")
    (folder / "state" / "status").touch()
    # As root, apt-get downloads as another user, who cannot write here.
    options = {
        "APT::Architecture": architecture,
        "APT::Architectures": architecture,
        "APT::Sandbox::User": "root",
        "Acquire::Languages": "none",
        "Dir::Cache": str(folder / "cache"),
        "Dir::Etc::sourcelist": str(folder / "sources.list"),
        "Dir::Etc::sourceparts": "-",
        "Dir::State": str(folder / "state"),
        "Dir::State::status": str(folder / "state" / "status"),
        "Debug::NoLocking": "1",
    }
    apt = ["apt-get", "-qq", *(f"-o{key}={value}" for key, value in options.items())]
    for command in (
        [*apt, "update"],
        [*apt, "install", "--download-only", "--yes", "--no-install-recommends", *packages],
    ):
        done = subprocess.run(command, check=False, text=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        if done.returncode:
            raise NotHereError(f"Debian's {', '.join(packages)} cannot be downloaded: {done.stderr.strip()[-300:]}")
    for archive in (folder / "cache" / "archives").glob("*.deb"):
        subprocess.run(["dpkg-deb", "-x", str(archive), str(folder / "unfinished")], check=True)
    for part in ("state", "cache"):
        shutil.rmtree(folder / part)
    (folder / "unfinished").rename(root)
    return root


def loader(root: Path, architecture: str) -> list[str]:
    """What a program in `root` is started with, so that it sees the libraries there and not this machine's."""
    libraries = root / "usr" / "lib" / f"{architecture}-linux-gnu"
    if architecture == os.uname().machine:
        start = next(libraries.glob("ld-linux-*.so.*"))
        return [str(start), "--library-path", str(libraries)]
    return [emulator(architecture), "-L", str(root)]


def emulator(architecture: str) -> str:
    """The program that runs those of another processor."""
    root = unpacked("bookworm", debian_name(os.uname().machine), "qemu-user-static")
    return str(root / "usr" / "bin" / f"qemu-{architecture}-static")


def debian_name(machine: str) -> str:
    """Debian's name of an architecture."""
    names = {"x86_64": "amd64", "aarch64": "arm64"}
    if machine not in names:
        raise NotHereError(f"nothing is released for {machine}")
    return names[machine]
