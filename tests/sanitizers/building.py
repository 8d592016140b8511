"""What is built with a sanitizer, into a folder of its own: the core's tests, the command line, both bindings."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).parent
FOLDER = ROOT / "target" / "sanitized"
# As they ship: together with the tests of the core, cargo would give them the features of what those use.
SHIPS = ["-p", "leaselock-python", "-p", "leaselock-node", "-p", "leaselock-cli"]
# The switch is one of nightly compilers, which any other takes where it is told to behave like one. A program gets the
# sanitizer's runtime from the compiler; what others load finds it in them, where `Built.preload` was loaded first.
FLAGS = ["-Zsanitizer=address", "-Cforce-frame-pointers=yes"]


def _said(*command: str) -> str:
    return subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE).stdout.strip()


def target() -> str:
    """The machine's own kind: where it is named, build scripts and macros are built without the sanitizer."""
    return next(line.split()[1] for line in _said("rustc", "-vV").splitlines() if line.startswith("host:"))


def environment() -> dict[str, str]:
    """What cargo is to be run with. SQLite's code is instrumented too."""
    c = "-fsanitize=address -fno-omit-frame-pointer"
    return {
        "RUSTC_BOOTSTRAP": "1",
        "RUSTFLAGS": " ".join(FLAGS),
        "CARGO_TARGET_DIR": str(FOLDER),
        "CARGO_BUILD_TARGET": target(),
        f"CFLAGS_{target().replace('-', '_')}": c,
    }


class Built:
    """Where everything is."""

    def __init__(self) -> None:
        out = FOLDER / target() / "debug"
        self.command_line = out / "leaselock"
        self.addon = out / "libleaselock_node.so"
        self.extension = out / "lib_native.so"
        # The Python package with this extension, for PYTHONPATH.
        self.python = FOLDER / "python"
        # Under the name of libasan.so the runtime would take itself for two.
        self.runtime = FOLDER / "librt_asan.so"
        self.broken = FOLDER / "broken"
        self.broken_library = FOLDER / "libbroken.so"

    def preload(self) -> str:
        """For LD_PRELOAD: the sanitizer, and the library of C++, whose exceptions it would not find later."""
        return f"{self.runtime} {_said('cc', '-print-file-name=libstdc++.so.6')}"

    def build(self) -> None:
        """Builds what is missing or old."""
        self._share_runtime()
        for command in (["build", "--locked", *SHIPS], ["test", "--locked", "--no-run", "-p", "leaselock", "--tests"]):
            subprocess.run(["cargo", *command], cwd=ROOT, env={**os.environ, **environment()}, check=True)
        for kind, path in (("bin", self.broken), ("cdylib", self.broken_library)):
            words = ["--edition", "2024", *FLAGS, "--target", target(), "--crate-type", kind, "-o", str(path)]
            subprocess.run(
                ["rustc", *words, str(HERE / "broken.rs")], env={**os.environ, "RUSTC_BOOTSTRAP": "1"}, check=True
            )
        shutil.rmtree(self.python, ignore_errors=True)
        shutil.copytree(
            ROOT / "bindings-python" / "python",
            self.python,
            copy_function=os.symlink,
            ignore=shutil.ignore_patterns("*.so", "__pycache__"),
        )
        (self.python / "leaselock" / "_native.abi3.so").symlink_to(self.extension)

    def _share_runtime(self) -> None:
        """Makes a library of the compiler's runtime, an archive. The C compiler's may be older, and hang in forks."""
        folder = Path(_said("rustc", "--print", "sysroot"), "lib", "rustlib", target(), "lib")
        archive = next(folder.glob("librustc-*_rt.asan.a"), None)
        if archive is None:
            raise SystemExit(f"{folder} has no runtime of the sanitizer: take a Rust of rustup.rs")
        FOLDER.mkdir(parents=True, exist_ok=True)
        copy = shutil.copy(archive, FOLDER)
        # What runs before all constructors is for programs alone.
        subprocess.run(["ar", "d", copy, "asan_preinit.cpp.o"], check=True)
        whole = ["-Wl,--whole-archive", copy, "-Wl,--no-whole-archive", "-lpthread", "-ldl", "-lrt", "-lm"]
        subprocess.run(["cc", "-shared", "-o", str(self.runtime), *whole], check=True)
