"""What builds releases: its Python tools in .venv-dist, the standard library of each target, the environment of cargo.

Releases are built in target/dist, so that a build for development stays as it is. Whatever is downloaded besides goes
into .dist.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from targets import Target

ROOT = Path(__file__).resolve().parents[2]
DIST = ROOT / "dist"
DOWNLOADS = ROOT / ".dist"
BUILD = ROOT / "target" / "dist"
SOURCES = BUILD / "sources"
VENV = ROOT / ".venv-dist"
REQUIREMENTS = Path(__file__).resolve().parent / "requirements.txt"

# A registry that hangs is as good as none.
RUSTUP_SECONDS = 300


def say(text: str) -> None:
    """Tells what is under way."""
    print(f"dist: {text}", flush=True)


def run(command: list[str], *, env: Mapping[str, str] | None = None, cwd: Path = ROOT) -> None:
    """Runs a command of a build to a good end, or ends with what it was."""
    say(shlex.join(command).replace(f"{ROOT}/", ""))
    status = subprocess.run(command, cwd=cwd, env=env, check=False).returncode
    if status:
        raise SystemExit(f"dist: {Path(command[0]).name} ended with {status}; what it said stands above")


def output(command: list[str], *, env: Mapping[str, str] | None = None, cwd: Path = ROOT) -> str:
    """What a command prints; its errors go where ours go."""
    done = subprocess.run(command, cwd=cwd, env=env, check=False, text=True, stdout=subprocess.PIPE)
    if done.returncode:
        raise SystemExit(f"dist: {shlex.join(command)} ended with {done.returncode}:\n{done.stdout}")
    return done.stdout


@functools.cache
def metadata() -> dict[str, object]:
    """What the crate `leaselock` says of itself: its version is everybody's, and so are its links."""
    packages = json.loads(output(["cargo", "metadata", "--no-deps", "--format-version", "1"]))["packages"]
    return next(package for package in packages if package["name"] == "leaselock")


def version() -> str:
    """The version of everything."""
    return str(metadata()["version"])


@functools.cache
def scripts() -> Path:
    """The folder of the Python tools, installed where they are not yet."""
    folder = VENV / ("Scripts" if os.name == "nt" else "bin")
    stamp = VENV / ".stamp"
    wanted = hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()
    if not stamp.exists() or stamp.read_text() != wanted:
        say(f"installing {REQUIREMENTS.relative_to(ROOT)} into {VENV.name}")
        run([sys.executable, "-m", "venv", "--clear", str(VENV)])
        python = str(folder / "python")
        run([python, "-m", "pip", "install", "-q", "--disable-pip-version-check", "-r", str(REQUIREMENTS)])
        stamp.write_text(wanted)
    return folder


def tool(name: str) -> str:
    """The path of a Python tool."""
    return str(scripts() / name)


def environment(target: Target | None = None) -> dict[str, str]:
    """The environment of a release build: tools in PATH, a target folder of its own, no paths of this machine."""
    cargo_home = Path(os.environ.get("CARGO_HOME", Path.home() / ".cargo"))
    kept = {name: value for name, value in os.environ.items() if name not in ("CONDA_PREFIX", "CARGO_BUILD_TARGET")}
    shown = {
        cargo_home: "/cargo",
        sysroot() / "lib/rustlib/src/rust": "/rust",
        ROOT: "/leaselock",
        SOURCES: "/leaselock",
    }
    flags = [f"--remap-path-prefix={path}={name}" for path, name in shown.items()]
    env = kept | {
        "PATH": f"{scripts()}{os.pathsep}{os.environ['PATH']}",
        "VIRTUAL_ENV": str(VENV),
        "CARGO_TARGET_DIR": str(BUILD),
        "CARGO_INCREMENTAL": "0",
        "CARGO_PROFILE_RELEASE_STRIP": "symbols",
        "RUSTFLAGS": " ".join([os.environ.get("RUSTFLAGS", ""), *flags]).strip(),
    }
    if target is not None:
        standard_library(target.triple)
    return env


@functools.cache
def sysroot() -> Path:
    """Where rustc keeps what it comes with."""
    return Path(output(["rustc", "--print", "sysroot"]).strip())


@functools.cache
def standard_library(triple: str) -> None:
    """Sees to it that rustc has the standard library of a target."""
    if list((sysroot() / "lib" / "rustlib" / triple / "lib").glob("libstd-*")):
        return
    if shutil.which("rustup"):
        say(f"rustup target add {triple}")
        try:
            done = subprocess.run(["rustup", "target", "add", triple], check=False, timeout=RUSTUP_SECONDS)
        except subprocess.TimeoutExpired:
            say(f"rustup did not answer within {RUSTUP_SECONDS} s")
        else:
            if done.returncode == 0:
                return
    raise SystemExit(
        f"dist: rustc in {sysroot()} has no standard library for {triple}, and rustup cannot install one here; "
        f"install it (`rustup target add {triple}`), or leave the target out"
    )
