"""Looks for known vulnerabilities in what this project is built, tested and shipped with.

    make check ONLY=advisories

Three databases are asked: RustSec's about `Cargo.lock` (cargo-deny), PyPI's about `.venv` and the requirements of a
release (pip-audit), npm's about each `package-lock.json` (npm audit). A finding makes the exit code 1. Where a database
cannot be reached that is said, and is no failure, but for `REQUIRE_ADVISORIES=1`, which the forge's workflow sets.

What pins old releases on purpose (tests/requirements-oldest.txt, tests/frameworks/node/oldest) or peers (benches/) is
not asked about: none of it ships, and none of it serves anybody but a test.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
BIN = Path(sys.executable).parent
# A network that swallows what is sent is one without the database.
SECONDS = 60

REQUIREMENTS = ["scripts/dist/requirements.txt"]
NPM = [".", "scripts/docs", "tests/toolchains", "tests/frameworks/node/newest"]
# Advisories of PyPI and npm that do not concern us, each with its reason; those of crates stand in deny.toml.
IGNORED: dict[str, str] = {}

NO_NETWORK = re.compile(
    "resolve|ConnectionError|ConnectTimeout|ReadTimeout|ServiceError|ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ETIMEDOUT|ECONNRESET"
    "|timed out|40[345] |50[234] |failed to fetch advisory database|unable to access"
)


class UnreachableError(Exception):
    """A database could not be asked."""


def ask(command: list[str], folder: str = ".") -> subprocess.CompletedProcess[str]:
    """Runs a tool that asks a database."""
    try:
        return subprocess.run(
            command,
            cwd=ROOT / folder,
            check=False,
            text=True,
            capture_output=True,
            timeout=SECONDS,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired:
        raise UnreachableError(f"no answer within {SECONDS} s") from None


def unreachable(said: str) -> UnreachableError:
    """The line in which a tool says that it got no answer; what failed otherwise is an error."""
    for line in said.splitlines():
        if NO_NETWORK.search(line):
            return UnreachableError(line.strip()[:200])
    raise SystemExit(f"the tool failed:\n{said}")


def crates() -> list[str]:
    """What RustSec knows of the crates in `Cargo.lock`, and which of them were yanked."""
    deny = str(BIN / "cargo-deny")
    fetched = ask([deny, "fetch", "db"])
    if fetched.returncode:
        raise unreachable(fetched.stdout + fetched.stderr)
    done = ask([deny, "--offline", "--log-level", "warn", "check", "-D", "warnings", "advisories"])
    return [done.stderr + done.stdout] if done.returncode else []


def python() -> list[str]:
    """What PyPI knows of the packages in this environment, and of those that build a release."""
    found, asked = [], 0
    packages = ["--path", sysconfig.get_path("purelib")]
    for what in (packages, *(["--disable-pip", "--no-deps", "-r", name] for name in REQUIREMENTS)):
        done = ask([str(BIN / "pip-audit"), "--format", "json", "--progress-spinner", "off", *what])
        if not done.stdout.startswith("{"):
            raise unreachable(done.stdout + done.stderr)
        for package in json.loads(done.stdout)["dependencies"]:
            if "skip_reason" in package:
                continue
            asked += 1
            for known in package["vulns"]:
                names = {known["id"], *known["aliases"]}
                if not names & IGNORED.keys():
                    better = ", ".join(known["fix_versions"]) or "none"
                    found.append(f"{package['name']} {package['version']}: {known['id']}; releases without: {better}")
    if not asked:
        raise UnreachableError("the registry answers for none of the packages")
    return found


def npm() -> list[str]:
    """What npm knows of the packages in each lock file."""
    found = []
    for folder in NPM:
        done = ask(["npm", "audit", "--package-lock-only", "--json"], folder)
        answer: dict[str, Any] = json.loads(done.stdout or "{}")
        if "vulnerabilities" not in answer:
            raise unreachable(json.dumps(answer) if answer else done.stderr)
        for package in answer["vulnerabilities"].values():
            # What stands there as a string is another package that the advisory is about.
            found += [
                f"{folder}: {package['name']} {known['range']}: {known['title']}, {known['url']}"
                for known in package["via"]
                if isinstance(known, dict) and Path(known["url"]).name not in IGNORED
            ]
    return found


def main() -> int:
    """Entry point."""
    status = 0
    for name, look in {"RustSec, of crates": crates, "PyPI": python, "npm": npm}.items():
        try:
            found = look()
        except UnreachableError as error:
            print(f"{name}: NOT ASKED, the database of advisories cannot be reached from here: {error}")
            status |= os.environ.get("REQUIRE_ADVISORIES") == "1"
            continue
        print(f"{name}: {len(found) or 'no'} known vulnerabilities")
        for finding in found:
            print(f"  {finding}")
        status |= bool(found)
    return int(status)


if __name__ == "__main__":
    sys.exit(main())
