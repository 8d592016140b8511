"""Checks that everything which ships compiles for systems that this machine is not: a Mac and Windows.

Only rustc's part is done, with nothing linked. zig compiles what is C in it (SQLite, ring).
"""

from __future__ import annotations

from toolchain import DOWNLOADS, ROOT, environment, run, standard_library, tool

TRIPLES = ("aarch64-apple-darwin", "x86_64-pc-windows-gnu")
CRATES = ("leaselock", "leaselock-cli", "leaselock-python", "leaselock-node")


def check(triples: list[str]) -> None:
    """`cargo check` of every crate that ships, with warnings as errors."""
    # Procedural macros and the like are those of the builds for development.
    env = environment() | {"CARGO_TARGET_DIR": str(ROOT / "target"), "RUSTFLAGS": "-D warnings"}
    # napi's build for Windows wants to see Node's library, which only a linker would open.
    library = DOWNLOADS / "windows" / "libnode.dll"
    library.parent.mkdir(parents=True, exist_ok=True)
    library.touch()
    env["LIBNODE_PATH"] = str(library.parent)
    for triple in triples or TRIPLES:
        standard_library(triple)
        packages = [f"--package={name}" for name in CRATES]
        run([tool("cargo-zigbuild"), "check", "--locked", "--keep-going", "--target", triple, *packages], env=env)
