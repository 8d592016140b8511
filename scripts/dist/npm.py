"""The npm packages: `leaselock`, JavaScript and types alone, and one with the addon for each platform.

npm installs of its optional dependencies the one that fits, by `os`, `cpu` and `libc`. What a platform's package is
called is known in `bindings-node/src-ts/addon.ts` too, which spells them all out.
"""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

from sources import sources
from targets import TARGETS
from toolchain import BUILD, DIST, ROOT, environment, run, tool, version

if TYPE_CHECKING:
    from pathlib import Path

    from targets import Target

STAGE = BUILD / "npm"
TSC = ROOT / "node_modules" / "typescript" / "bin" / "tsc"
# What a platform's package has of the main one's manifest.
SHARED = ("version", "homepage", "bugs", "repository", "license", "engines")
# What is for those who build it.
OWN = ("scripts", "devDependencies", "overrides", "napi")


def build_npm(targets: list[Target]) -> None:
    """A package for each target, and the one that people install."""
    for target in targets:
        build_platform(target)
    build_main()


def manifest() -> dict[str, Any]:
    """The manifest in the repository."""
    found: dict[str, Any] = json.loads((sources() / "package.json").read_text())
    return found


def platform_package(target: Target) -> str:
    """The name of a platform's package."""
    return f"@leaselock/node-{target.node}"


def archive(target: Target | None = None) -> Path:
    """Where a package is put: that of a platform, or the main one."""
    name = "leaselock" if target is None else platform_package(target).replace("@", "").replace("/", "-")
    return DIST / f"{name}-{version()}.tgz"


def build_platform(target: Target) -> None:
    """The package of a platform: the addon, and what says where it runs."""
    addon = f"leaselock.{target.node}.node"
    platform, processor, *libc = target.node.split("-")
    folder = emptied(target.node)
    shutil.copyfile(compiled(target), folder / addon)
    shutil.copyfile(sources() / "LICENSE", folder / "LICENSE")
    name = platform_package(target)
    home = manifest()["homepage"]
    text = f"The addon of [leaselock]({home}) for {target.node}. Install `leaselock`, which brings it."
    (folder / "README.md").write_text(f"# {name}\n\n{text}\n")
    write_manifest(
        folder,
        {
            "name": name,
            "description": f"The addon of leaselock for {target.node}",
            **{key: manifest()[key] for key in SHARED},
            "os": [platform],
            "cpu": [processor],
            **({"libc": ["glibc" if libc == ["gnu"] else "musl"]} if platform == "linux" else {}),
            "type": "commonjs",
            "main": addon,
            "files": [addon],
        },
    )
    pack(folder)


def compiled(target: Target) -> Path:
    """The addon of a target."""
    env = environment(target)
    if "musl" in target.triple:
        # What is loaded into a program must use that program's libc.
        env["RUSTFLAGS"] += " -C target-feature=-crt-static"
    command = [tool("cargo-zigbuild"), "zigbuild"] if target.zig else ["cargo", "build"]
    options = ["--release", "--locked", "--package", "leaselock-node", "--target", target.for_zig]
    run([*command, *options], env=env, cwd=sources())
    library = {"Linux": "libleaselock_node.so", "Darwin": "libleaselock_node.dylib", "Windows": "leaselock_node.dll"}
    return BUILD / target.triple / "release" / library[target.system]


def build_main() -> None:
    """The package that people install."""
    folder = emptied("leaselock")
    if not TSC.exists():
        run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"])
    compiled_js = folder / "bindings-node" / "dist"
    run(["node", str(TSC), "-p", "bindings-node", "--outDir", str(compiled_js)])
    for name in ("README.md", "CHANGELOG.md", "LICENSE", "bindings-node/native.d.ts"):
        shutil.copyfile(sources() / name, folder / name)
    published = {key: value for key, value in manifest().items() if key not in OWN}
    published["files"] = [name for name in published["files"] if not name.endswith(".node")]
    published["optionalDependencies"] = {platform_package(target): version() for target in TARGETS}
    write_manifest(folder, published)
    pack(folder)


def emptied(name: str) -> Path:
    """A folder to pack, with nothing in it."""
    folder = STAGE / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def write_manifest(folder: Path, content: dict[str, Any]) -> None:
    """Writes a package's manifest."""
    (folder / "package.json").write_text(json.dumps(content, indent=2) + "\n")


def pack(folder: Path) -> None:
    """Packs a folder into dist/."""
    DIST.mkdir(exist_ok=True)
    npm = shutil.which("npm") or "npm"
    run([npm, "pack", "--ignore-scripts", "--loglevel=error", "--pack-destination", str(DIST)], cwd=folder)
