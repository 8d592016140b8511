"""Runs the suites of `make test` or `make check` one after the other, all of them, and sums up at the end.

    suites.py test [NAME...]     suites.py check [NAME...]

A suite that fails does not stop the rest; any failure makes the exit code 1.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv" / "bin"
PYTEST = [str(VENV / "python"), "-m", "pytest", "-q", "-ra"]


@dataclass(frozen=True)
class Suite:
    """One command; `counted` is how its output tells what ran (none: its exit code says it all)."""

    name: str
    command: list[str]
    counted: str = ""
    env: dict[str, str] = field(default_factory=dict)


# The lines at a runner's end that count tests, and in them what passed, failed, was skipped. All such lines are summed:
# cargo prints one for each binary.
COUNTS = {
    "cargo": (r"^test result:", r"(\d+) passed", r"(\d+) failed", r"(\d+) ignored"),
    "pytest": (r" in \d+\.\d+s\b", r"(\d+) passed", r"(\d+) (?:failed|error)", r"(\d+) skipped"),
    "node": (r"^[^\w\s] (?:pass|fail|skipped) ", r"pass (\d+)", r"fail (\d+)", r"skipped (\d+)"),
}

TEST = [
    # The fault tests mostly wait: more of them at once than there are cores.
    Suite(
        "rust",
        ["cargo", "test", "--workspace", "--locked", "--no-fail-fast"],
        "cargo",
        env={"RUST_TEST_THREADS": "4"},
    ),
    Suite("python", [*PYTEST, "tests/python"], "pytest"),
    Suite("node", ["npm", "test", "--silent"], "node"),
    Suite("mixed", [*PYTEST, "tests/mixed"], "pytest"),
    Suite("cli", [*PYTEST, "tests/cli"], "pytest"),
    Suite("docs", [*PYTEST, "tests/docs"], "pytest"),
]

CHECK = [
    Suite("rustfmt", ["cargo", "fmt", "--all", "--check"]),
    Suite("clippy", ["cargo", "clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"]),
    Suite("rustdoc", ["cargo", "doc", "--workspace", "--no-deps", "--locked"], env={"RUSTDOCFLAGS": "-D warnings"}),
    Suite("ruff", [str(VENV / "ruff"), "check", "."]),
    Suite("ruff format", [str(VENV / "ruff"), "format", "--check", "."]),
    Suite("mypy", [str(VENV / "mypy")]),
    Suite(
        "mypy docs",
        [str(VENV / "mypy"), "examples", "scripts", "tests/docs"],
        env={"MYPYPATH": "examples/demo:tests/docs"},
    ),
    Suite("mypy mixed", [str(VENV / "mypy"), "tests/mixed"], env={"MYPYPATH": "tests/mixed"}),
    Suite("mypy cli", [str(VENV / "mypy"), "tests/cli"], env={"MYPYPATH": "tests/cli"}),
    Suite("stubtest", [str(VENV / "python"), "-m", "mypy.stubtest", "leaselock"]),
    Suite("js lint", ["npm", "run", "--silent", "lint"]),
    Suite("tsc", ["npm", "run", "--silent", "typecheck"]),
    Suite("generated types", ["npm", "run", "--silent", "types:check"]),
]


@dataclass
class Outcome:
    """What came of one suite."""

    suite: Suite
    ok: bool
    seconds: float
    counts: tuple[int, int, int]


def run(suite: Suite) -> Outcome:
    """Runs one suite, showing its output as it comes."""
    print(f"\n=== {suite.name}: {' '.join(suite.command).replace(f'{ROOT}/', '')}", flush=True)
    closing, *kinds = (re.compile(p) for p in COUNTS.get(suite.counted, ("(?!)",)))
    counts = [0, 0, 0]
    started = time.monotonic()
    process = subprocess.Popen(
        suite.command,
        cwd=ROOT,
        env={**os.environ, **suite.env},
        text=True,
        errors="replace",
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    with process:
        assert process.stdout is not None
        for line in process.stdout:
            print(line, end="", flush=True)
            if closing.search(line):
                for i, kind in enumerate(kinds):
                    counts[i] += sum(map(int, kind.findall(line)))
    ok = process.returncode == 0
    if suite.counted and ok and counts[0] == 0:
        print(f"{suite.name}: the runner ended well but no test ran; that counts as a failure")
        ok = False
    return Outcome(suite, ok, time.monotonic() - started, (counts[0], counts[1], counts[2]))


def main() -> int:
    """Entry point."""
    lists = {"test": TEST, "check": CHECK}
    if len(sys.argv) < 2 or sys.argv[1] not in lists:
        print(__doc__)
        return 2
    suites, wanted = lists[sys.argv[1]], sys.argv[2:]
    if unknown := set(wanted) - {s.name for s in suites}:
        print(f"no such suite: {', '.join(sorted(unknown))}; there are: {', '.join(s.name for s in suites)}")
        return 2

    outcomes = [run(s) for s in suites if not wanted or s.name in wanted]

    print(f"\n=== make {sys.argv[1]}")
    for o in outcomes:
        passed, failed, skipped = o.counts
        detail = f"{passed} passed, {failed} failed, {skipped} skipped" if o.suite.counted else ""
        print(f"  {'ok    ' if o.ok else 'FAILED'} {o.suite.name:<16} {o.seconds:6.1f} s  {detail}".rstrip())
    bad = [o.suite.name for o in outcomes if not o.ok]
    if bad:
        print(f"failed: {', '.join(bad)}; one alone: make {sys.argv[1]} ONLY='{bad[0]}'")
    if sys.argv[1] == "test":
        passed, failed, skipped = (sum(o.counts[i] for o in outcomes) for i in range(3))
        # A suite that died without counting a failure still is one.
        failed += sum(1 for o in outcomes if not o.ok and o.counts[1] == 0)
        print(f"{passed} passed, {failed} failed, {skipped} skipped")
    else:
        print(f"{len(outcomes) - len(bad)} passed, {len(bad)} failed")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
