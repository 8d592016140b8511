"""Runs the suites of `make test` or `make check`, all of them, some side by side, and sums up at the end.

    suites.py test [NAME...]     suites.py check [NAME...]

A suite's output is printed whole when it has ended, or as it comes where only one was asked for. A suite that fails
does not stop the rest; any failure makes the exit code 1. Each suite of tests has servers of its own.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv" / "bin"
SERVERS = [str(VENV / "python"), "tests/servers.py", "--"]
TOPOLOGIES = [str(VENV / "python"), "tests/servers.py", "--topologies", "--"]
# Tests mostly wait: more of them at once than there are cores.
WORKERS = "6"
RUN_PYTEST = [str(VENV / "python"), "-m", "pytest", "-q", "-ra"]
PYTEST = [*SERVERS, *RUN_PYTEST]
SPREAD = ["-n", WORKERS, "-m", "not alone"]
ALONE = ["-m", "alone"]


@dataclass(frozen=True)
class Suite:
    """One command, or none; `counted` is how its output tells what ran (none: its exit code says it all).

    `alone` is another command, for tests that a busy machine would spoil: it runs when all suites have ended.
    """

    name: str
    command: list[str]
    counted: str = ""
    env: dict[str, str] = field(default_factory=dict)
    alone: list[str] = field(default_factory=list)


# The lines at a runner's end that count tests, and in them what passed, failed, was skipped. All such lines are summed:
# cargo prints one for each binary.
COUNTS = {
    "cargo": (r"^test result:", r"(\d+) passed", r"(\d+) failed", r"(\d+) ignored"),
    "pytest": (r" in \d+\.\d+s\b", r"(\d+) passed", r"(\d+) (?:failed|error)", r"(\d+) skipped"),
    "node": (r"^[^\w\s] (?:pass|fail|skipped) ", r"pass (\d+)", r"fail (\d+)", r"skipped (\d+)"),
}

# Whole programs that begin and end, many of them: they compute, where the others wait.
PROCESSES = [f"tests/python/test_{subject}.py" for subject in ("ends", "c_fork", "greenlets", "forking_servers")]

# It starts 24 more servers.
ON_TOPOLOGIES = "tests/python/test_topologies.py"

TEST = [
    Suite(
        "python",
        [*PYTEST, *SPREAD, "tests/python", *(f"--ignore={file}" for file in [*PROCESSES, ON_TOPOLOGIES])],
        "pytest",
        alone=[*PYTEST, *ALONE, "tests/python", f"--ignore={ON_TOPOLOGIES}"],
    ),
    Suite(
        "node",
        [*SERVERS, "npm", "run", "--silent", "test:beside"],
        "node",
        alone=[*SERVERS, "npm", "run", "--silent", "test:alone"],
    ),
    Suite(
        "rust",
        [*SERVERS, sys.executable, "scripts/rust_tests.py", "--not", "model"],
        "cargo",
        env={"RUST_TEST_THREADS": "12"},
        alone=[*SERVERS, sys.executable, "scripts/rust_tests.py", "--alone"],
    ),
    # Each test starts a handful of servers, and mostly waits for them.
    Suite(
        "topologies",
        [*SERVERS, sys.executable, "scripts/rust_tests.py", "--topologies"],
        "cargo",
        env={"RUST_TEST_THREADS": "6"},
        alone=[*SERVERS, sys.executable, "scripts/rust_tests.py", "--topologies", "--alone"],
    ),
    Suite(
        "topologies-python",
        [*PYTEST, "-m", "not alone", ON_TOPOLOGIES],
        "pytest",
        alone=[*TOPOLOGIES, *RUN_PYTEST, *ALONE, ON_TOPOLOGIES],
    ),
    Suite("topologies-node", [], "node", alone=[*TOPOLOGIES, "npm", "run", "--silent", "test:topologies"]),
    Suite("mixed", [*PYTEST, *SPREAD, "tests/mixed"], "pytest", alone=[*PYTEST, *ALONE, "tests/mixed"]),
    Suite("cli", [*PYTEST, *SPREAD, "tests/cli"], "pytest"),
    Suite("docs", [*PYTEST, *SPREAD, "tests/docs"], "pytest", alone=[*PYTEST, *ALONE, "tests/docs"]),
    Suite("processes", [*PYTEST, *SPREAD, *PROCESSES], "pytest"),
    # These compute, and must not delay those that wait.
    Suite("toolchains", ["nice", "-n", "10", *SERVERS, "npm", "run", "--silent", "test:toolchains"], "node"),
    Suite("model", ["nice", "-n", "10", sys.executable, "scripts/rust_tests.py", "model"], "cargo"),
]
# How many suites run at the same time.
AT_ONCE = {"test": 3, "check": 2}

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

    def and_then(self, other: Outcome) -> Outcome:
        """Both as one."""
        passed, failed, skipped = (a + b for a, b in zip(self.counts, other.counts, strict=True))
        return Outcome(self.suite, self.ok and other.ok, self.seconds + other.seconds, (passed, failed, skipped))


def run(suite: Suite, command: list[str], show: Callable[[str], object]) -> Outcome:
    """Runs a command of a suite to its end, and shows each line of its output."""
    show(f"\n=== {suite.name}: {' '.join(command).replace(f'{ROOT}/', '')}\n")
    closing, *kinds = (re.compile(p) for p in COUNTS.get(suite.counted, ("(?!)",)))
    counts = [0, 0, 0]
    started = time.monotonic()
    process = subprocess.Popen(
        command,
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
            show(line)
            if closing.search(line):
                for i, kind in enumerate(kinds):
                    counts[i] += sum(map(int, kind.findall(line)))
    ok = process.returncode == 0
    if suite.counted and ok and counts[0] == 0:
        show(f"{suite.name}: the runner ended well but no test ran; that counts as a failure\n")
        ok = False
    return Outcome(suite, ok, time.monotonic() - started, (counts[0], counts[1], counts[2]))


class Show:
    """What is on the screen: which suites run, and the output of those that have ended."""

    def __init__(self, *, live: bool) -> None:
        self._live = live
        self._running: list[str] = []
        self._lock = threading.Lock()

    def run(self, suite: Suite, command: list[str]) -> Outcome:
        """Runs a command of a suite, with its output in one piece."""
        if not command:
            return Outcome(suite, ok=True, seconds=0, counts=(0, 0, 0))
        if self._live:
            return run(suite, command, _write)
        with self._lock:
            self._running.append(suite.name)
            _write(f"... {suite.name} begins; now at it: {', '.join(self._running)}\n")
        lines: list[str] = []
        outcome = run(suite, command, lines.append)
        with self._lock:
            self._running.remove(suite.name)
            _write("".join(lines))
            end = f"{'ok' if outcome.ok else 'FAILED'} after {outcome.seconds:.0f} s"
            _write(f"... {suite.name}: {end}; still at it: {', '.join(self._running) or 'none'}\n")
        return outcome


def _write(text: str) -> None:
    print(text, end="", flush=True)


def look_for_programs() -> None:
    """Says to all suites where the Rust programs are."""
    command = [sys.executable, "tests/programs.py"]
    found = subprocess.run(command, cwd=ROOT, check=True, text=True, stdout=subprocess.PIPE).stdout
    os.environ["LEASELOCK_TEST_PROGRAMS"] = found


def run_all(suites: list[Suite], at_once: int) -> list[Outcome]:
    """Runs the suites side by side, then one by one what must run alone."""
    show = Show(live=len(suites) == 1)
    with ThreadPoolExecutor(at_once) as pool:
        outcomes = list(pool.map(lambda suite: show.run(suite, suite.command), suites))
    for i, (suite, first) in enumerate(zip(suites, outcomes, strict=True)):
        if suite.alone:
            outcomes[i] = first.and_then(show.run(suite, suite.alone))
    return outcomes


def main() -> int:
    """Entry point."""
    lists = {"test": TEST, "check": CHECK}
    if len(sys.argv) < 2 or sys.argv[1] not in lists:
        print(__doc__)
        return 2
    suites, wanted = lists[sys.argv[1]], sys.argv[2:]

    def wants(suite: Suite) -> bool:
        """Whether it was asked for, by its name or by that of all its kind."""
        return suite.name in wanted or suite.name.split("-")[0] in wanted

    if unknown := set(wanted) - {s.name for s in suites}:
        print(f"no such suite: {', '.join(sorted(unknown))}; there are: {', '.join(s.name for s in suites)}")
        return 2

    if sys.argv[1] == "test":
        look_for_programs()
    outcomes = run_all([s for s in suites if not wanted or wants(s)], AT_ONCE[sys.argv[1]])

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
