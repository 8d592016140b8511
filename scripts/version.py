"""The version: the workspace's in Cargo.toml, and the files that have to repeat it.

version.py check        all of them agree, and the changelog knows the version
version.py set 0.2.0    writes it everywhere, and closes the changelog's section of what is unreleased
version.py notes        prints the changelog's section of the version, for its release
"""

from __future__ import annotations

import datetime as dt
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CHANGELOG = ROOT / "CHANGELOG.md"
SOURCE = ("Cargo.toml", r'^\[workspace\.package\]\nversion = "([^"]+)"')
# Where it stands besides: in each file, what the version is found by.
COPIES = [
    ("Cargo.toml", r'^leaselock = \{ path = "core", version = "([^"]+)" \}'),
    ("package.json", r'\A\{\n  "name": "leaselock",\n  "version": "([^"]+)"'),
    ("package-lock.json", r'\A\{\n  "name": "leaselock",\n  "version": "([^"]+)"'),
    ("package-lock.json", r'^    "": \{\n      "name": "leaselock",\n      "version": "([^"]+)"'),
    *(
        ("Cargo.lock", rf'^name = "{name}"\nversion = "([^"]+)"')
        for name in (
            "leaselock",
            *(f"leaselock-{part}" for part in ("cli", "examples", "model", "node", "python", "simulation")),
        )
    ),
]
# https://semver.org, as far as all registries take it alike.
VERSION = re.compile(r"\d+\.\d+\.\d+(-(alpha|beta|rc)\.\d+)?")


def find(file: str, pattern: str) -> str:
    """The version that a file has."""
    found = re.findall(pattern, (ROOT / file).read_text(), flags=re.MULTILINE)
    if len(found) != 1:
        raise SystemExit(f"version: {file} should have one version by {pattern}, it has {found}")
    return str(found[0])


def section(name: str) -> str | None:
    """What the changelog says under a heading: of a version, or `Unreleased`."""
    pattern = rf"^## \[{re.escape(name)}\][^\n]*\n(.*?)(?=^## \[|\Z)"
    found = re.search(pattern, CHANGELOG.read_text(), flags=re.MULTILINE | re.DOTALL)
    return found[1].strip() if found else None


def check() -> int:
    """Says what does not agree; how many that are."""
    version = find(*SOURCE)
    wrong = [f"{file} has {found}" for file, pattern in COPIES if (found := find(file, pattern)) != version]
    if not VERSION.fullmatch(version):
        wrong.append(f"{version} is no version like 1.2.3 or 1.2.3-rc.1")
    if not (section(version) or section("Unreleased")):
        wrong.append(f"CHANGELOG.md has neither a section [{version}] nor one [Unreleased] with something in it")
    for text in wrong:
        print(f"version: the workspace's is {version}, but {text}; `make version V={version}` sets them all")
    print(f"version: {version}, in {1 + len(COPIES)} places")
    return len(wrong)


def write(version: str) -> int:
    """Writes it everywhere; a section of the changelog begins with it."""
    if not VERSION.fullmatch(version):
        raise SystemExit(f"version: {version!r} is no version; it should be like 1.2.3 or 1.2.3-rc.1")
    for file, pattern in [SOURCE, *COPIES]:
        find(file, pattern)
        text = (ROOT / file).read_text()
        at = re.search(pattern, text, flags=re.MULTILINE)
        assert at is not None
        (ROOT / file).write_text(text[: at.start(1)] + version + text[at.end(1) :])
    if section(version) is None:
        today = dt.datetime.now(tz=dt.timezone.utc).date()
        text = CHANGELOG.read_text()
        CHANGELOG.write_text(text.replace("## [Unreleased]\n", f"## [Unreleased]\n\n## [{version}] - {today}\n", 1))
    subprocess.run(
        ["cargo", "metadata", "--locked", "--offline", "--format-version=1"],
        cwd=ROOT,
        check=True,
        stdout=subprocess.DEVNULL,
    )
    print(f"version: {version} now; CHANGELOG.md has a section for it, which is to be read once more")
    return 0


def main() -> int:
    """Entry point."""
    match sys.argv[1:]:
        case ["check"]:
            return min(check(), 1)
        case ["set", version]:
            return write(version.removeprefix("v"))
        case ["notes"]:
            notes = section(find(*SOURCE))
            if not notes:
                raise SystemExit(
                    f"version: CHANGELOG.md has no section [{find(*SOURCE)}]; `make version V=…` makes one"
                )
            print(notes)
            return 0
    print(__doc__)
    return 2


if __name__ == "__main__":
    sys.exit(main())
