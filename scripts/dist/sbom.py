"""The SBOMs, in CycloneDX: the crates that wheels, npm packages and the command line are compiled from.

A wheel has its own inside (PEP 770), by maturin. The others are files of the release beside what they describe.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import zipfile
from typing import TYPE_CHECKING, Any

from sources import sources
from toolchain import DIST, DOWNLOADS, ROOT, SOURCES, environment, output, run, version

if TYPE_CHECKING:
    from pathlib import Path

    from targets import Target

CARGO_CYCLONEDX = "0.5.9"
SHIPPED = {"leaselock-cli": "cli", "leaselock-python": "bindings-python", "leaselock-node": "bindings-node"}
# The package of JavaScript alone.
NPM = "leaselock-npm.cdx.json"
# Some that each compiled artefact has: an SBOM without them is not one of the whole.
KNOWN = {"leaselock", "redis", "rustls", "ring", "libsqlite3-sys", "tokio"}


def build_sboms(_targets: list[Target]) -> None:
    """One for each kind of artefact, with what any target needs."""
    program = DOWNLOADS / "bin" / "cargo-cyclonedx"
    if not program.exists():
        run(["cargo", "install", "--locked", "--root", str(DOWNLOADS), f"cargo-cyclonedx@{CARGO_CYCLONEDX}"])
    run([str(program), "cyclonedx", "--format", "json", "--target", "all"], env=environment(), cwd=sources())
    for crate, folder in SHIPPED.items():
        (DIST / f"{crate}.cdx.json").write_text(nowhere((sources() / folder / f"{crate}.cdx.json").read_text()))
    command = ["npm", "sbom", "--sbom-format=cyclonedx", "--package-lock-only", "--omit=dev", "--loglevel=error"]
    found = json.loads(output(command, cwd=sources()))
    # npm names it after the folder.
    found["metadata"]["component"]["name"] = "leaselock"
    (DIST / NPM).write_text(json.dumps(found, indent=2) + "\n")


def nowhere(text: str) -> str:
    """Crates of this repository are named by where they were; that is nobody's business."""
    return text.replace(f"{SOURCES}", "/leaselock")


def inside(wheel: zipfile.ZipFile) -> str:
    """The name of the SBOM in a wheel."""
    found = [name for name in wheel.namelist() if re.search(r"\.dist-info/sboms/.*\.json$", name)]
    return found[0] if len(found) == 1 else ""


def without_paths(path: Path) -> None:
    """Has the SBOM in a wheel say nothing of where the wheel was built, and RECORD its new digest."""
    with zipfile.ZipFile(path) as wheel:
        files = {info: wheel.read(info) for info in wheel.infolist()}
        sbom = inside(wheel)
    old = next(content for info, content in files.items() if info.filename == sbom)
    new = nowhere(old.decode()).encode()
    if new == old:
        return
    digest = base64.urlsafe_b64encode(hashlib.sha256(new).digest()).rstrip(b"=").decode()
    changed = path.with_suffix(".new")
    with zipfile.ZipFile(changed, "w") as wheel:
        for info, content in files.items():
            text = content
            if info.filename == sbom:
                text = new
            elif info.filename.endswith(".dist-info/RECORD"):
                line = re.compile(rf"^{re.escape(sbom)},.*$", re.MULTILINE)
                text = line.sub(f"{sbom},sha256={digest},{len(new)}", content.decode()).encode()
            wheel.writestr(info, text, compress_type=info.compress_type)
    changed.replace(path)


def read(path: Path) -> dict[str, Any]:
    """The SBOM in a wheel, or in a file; an empty one where there is none."""
    if path.suffix == ".whl":
        with zipfile.ZipFile(path) as wheel:
            name = inside(wheel)
            text = wheel.read(name).decode() if name else "{}"
    else:
        text = path.read_text()
    found: dict[str, Any] = json.loads(text)
    return found


def faults(name: str, sbom: dict[str, Any]) -> list[str]:
    """What is wrong with the SBOM of an artefact."""
    if sbom.get("bomFormat") != "CycloneDX":
        return ["there is none in CycloneDX"]
    lock = (ROOT / "Cargo.lock").read_text()
    locked = set(re.findall(r'^name = "(.*)"\nversion = "(.*)"$', lock, re.MULTILINE))
    parts = sbom["components"]
    wrong = [
        f"{part['name']} {part['version']} is not in Cargo.lock"
        for part in parts
        if (part["name"], part["version"]) not in locked
    ]
    wrong += [f"{part['name']} has no licence" for part in parts if not part.get("licenses")]
    if name != NPM and (missing := KNOWN - {part["name"] for part in parts}):
        wrong.append(f"it lacks {', '.join(sorted(missing))}")
    whole = sbom["metadata"]["component"]
    if whole["version"] != version():
        wrong.append(f"it is of version {whole['version']}")
    known = {whole["bom-ref"], *(part["bom-ref"] for part in parts)}
    if lost := {ref for entry in sbom["dependencies"] for ref in entry.get("dependsOn", [])} - known:
        wrong.append(f"what needs what names things that are not in it: {', '.join(sorted(lost))}")
    paths = set(re.findall(r"file://(/[^\"#?]*)", json.dumps(sbom)))
    if elsewhere := [path for path in paths if not path.startswith("/leaselock/")]:
        wrong.append(f"it names folders of a machine: {', '.join(sorted(elsewhere))}")
    return wrong
