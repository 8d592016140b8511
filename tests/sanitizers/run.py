"""Runs the tests of all languages under AddressSanitizer, Rust's under LeakSanitizer, too: `make sanitize`.

    run.py [WORD…]   only the rows with such a word in their names

The unsafe code is in the bindings, whose tests go through all of it that is compiled for Linux; SQLite is instrumented
as well. A report fails the run, whether or not a test noticed. Before all else known mistakes (`broken.rs`) are made in
a program, in Python and in Node: a run that does not report those sees nothing.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from building import FOLDER, HERE, ROOT, Built, environment

sys.path[:0] = [str(ROOT / "scripts"), str(ROOT / "tests")]

from rust_tests import SKIPPED
from servers import HINTS, Server, find_redis
from suites import RUN_PYTEST, VENV, Outcome, Suite, heed_signals, run_all

if TYPE_CHECKING:
    from pathlib import Path

REPORTS = FOLDER / "reports"
# Of a report, so many lines are shown.
SHOWN = 40
# Tests at once: what is under the sanitizer computes two to three times as long.
AT_ONCE = "4"

CORE = ("arguments", "dapr", "faults", "port", "scenarios", "spans")
# These files are of other programs than Node, of other addons, or (from `leaks` on) measure memory and time, which the
# sanitizer takes.
NOT_IN_NODE = ("bundlers", "jest", "package", "runtimes", "topologies", "typescript", "leaks", "contention", "told")
# Greenlets copy their stacks, which the sanitizer takes for an overflow.
NOT_IN_PYTHON = ("topologies", "leaks", "greenlets")


def reports_in(row: str) -> Path:
    """Where those of a row are."""
    return REPORTS / re.sub(r"\W+", "-", row)


def sanitizer(row: str, *, leaks: bool = False) -> dict[str, str]:
    """What it is told: where its reports go, and whether what is never freed is reported, too."""
    reports_in(row).mkdir(parents=True, exist_ok=True)
    return {"ASAN_OPTIONS": f"log_path={reports_in(row) / 'report'}:detect_leaks={int(leaks)}"}


def reported(row: str) -> list[str]:
    """All that was reported in a row: each once, however many processes did."""
    found = {}
    for file in sorted(reports_in(row).iterdir()):
        text = file.read_text(errors="replace")
        summary = re.search(r"^SUMMARY: .*", text, re.MULTILINE)
        found[summary[0] if summary else text] = text
    return list(found.values())


@dataclass(frozen=True)
class Row:
    """Tests of one program that was built with the sanitizer, or loads what was."""

    name: str
    # Runs the tests that are named behind it.
    runner: list[str]
    chosen: list[str]
    counted: str
    env: dict[str, str]
    # Where a name alone does not choose a test: what stands before it, and behind all.
    before: str = ""
    behind: tuple[str, ...] = ()

    def suite(self) -> Suite:
        """The tests that are chosen, and how those that failed run again, alone: all takes longer than it should."""

        def again(names: tuple[str, ...]) -> list[str]:
            return [*self.runner, *(f"{self.before}{name}" for name in names), *self.behind]

        return Suite(self.name, [*self.runner, *self.chosen], self.counted, self.env, again=again)


def every_row(built: Built) -> list[Row]:
    """All there are."""
    cargo = ["cargo", "test", "--locked", "--quiet", "--no-fail-fast", "-p", "leaselock"]
    threads, alone = f"--test-threads={AT_ONCE}", ("--exact", "--test-threads=1")
    loads = ["env", f"LD_PRELOAD={built.preload()}"]
    spread = ["-n", AT_ONCE, "-m", "not alone"]
    python = [f"--ignore=tests/python/test_{subject}.py" for subject in NOT_IN_PYTHON]
    node = sorted(file for file in (ROOT / "tests/node/build").glob("*.test.mjs"))
    files = [str(file) for file in node if file.name.split(".")[0] not in NOT_IN_NODE]
    program = json.dumps({"leaselock": str(built.command_line)})
    return [
        Row(
            "Rust",
            [*cargo, *(f"--test={name}" for name in CORE), "--"],
            [*SKIPPED, threads],
            "cargo",
            {**environment(), **sanitizer("Rust", leaks=True)},
            behind=alone,
        ),
        # Its children end with what other threads of their parents had, which nobody there can free.
        Row(
            "Rust, files and forks",
            [*cargo, "--test=embedded", "--"],
            [*SKIPPED, threads],
            "cargo",
            {**environment(), **sanitizer("Rust, files and forks")},
            behind=alone,
        ),
        Row(
            "command line",
            RUN_PYTEST,
            [*spread, "tests/cli"],
            "pytest",
            {"LEASELOCK_TEST_PROGRAMS": program, **sanitizer("command line", leaks=True)},
        ),
        Row(
            "Python",
            [*loads, *RUN_PYTEST],
            [*spread, "tests/python", *python],
            "pytest",
            {**in_python(built), **sanitizer("Python")},
        ),
        Row(
            "Node",
            [*loads, "node", "--test", f"--test-concurrency={AT_ONCE}"],
            files,
            "node",
            {**in_node(built), **sanitizer("Node")},
            before="--test-name-pattern=",
            behind=tuple(files),
        ),
    ]


def in_python(built: Built) -> dict[str, str]:
    """Has Python find the extension that was built here, and the sanitizer see what Python allocates."""
    return {"PYTHONPATH": str(built.python), "PYTHONMALLOC": "malloc"}


def in_node(built: Built) -> dict[str, str]:
    """Has Node find the addon that was built here."""
    return {"NODE_OPTIONS": f"--require={HERE / 'addon.cjs'}", "LEASELOCK_SANITIZED_ADDON": str(built.addon)}


def unseen(built: Built) -> list[str]:
    """Known mistakes that are not reported, and programs that load another build of the bindings."""
    preload = {"LD_PRELOAD": built.preload()}
    python, node = str(VENV / "python"), "node"
    maps = "/proc/self/maps"
    import_python = f"import leaselock; print(open('{maps}').read())"
    import_node = f"import 'leaselock'; import fs from 'node:fs'; console.log(fs.readFileSync('{maps}', 'utf8'))"
    in_ctypes = f"import ctypes; ctypes.CDLL('{built.broken_library}').use_after_free()"
    in_addon = f"process.dlopen({{ exports: {{}} }}, '{built.broken_library}')"
    mistakes = {
        "freed memory in a program": ([str(built.broken)], {}, "use_after_free"),
        "a leak in a program": ([str(built.broken), "leak"], {}, "64 byte(s) leaked"),
        "freed memory in Python": ([python, "-c", in_ctypes], in_python(built) | preload, "use_after_free"),
        "freed memory in Node": ([node, "-e", in_addon], in_node(built) | preload, "use_after_free"),
    }
    found = []
    for name, (command, given, expected) in mistakes.items():
        env = {**os.environ, **given, **sanitizer(name, leaks="leak" in name)}
        subprocess.run(command, cwd=ROOT, env=env, check=False, stdout=subprocess.DEVNULL)
        if not any(expected in text for text in reported(name)):
            found.append(f"{name} is not reported")
    loaded = [
        (built.extension, [python, "-c", import_python], in_python(built)),
        (built.addon, [node, "--input-type=module", "-e", import_node], in_node(built)),
    ]
    for library, command, given in loaded:
        env = {**os.environ, **given, **preload, "ASAN_OPTIONS": "detect_leaks=0"}
        output = subprocess.run(command, cwd=ROOT, env=env, check=True, stdout=subprocess.PIPE, text=True).stdout
        if str(library) not in output or b"__asan_report_load8" not in library.read_bytes():
            found.append(f"{command[0]} does not load {library} with the sanitizer in it")
    return found


def sum_up(outcomes: list[Outcome]) -> int:
    """Prints what came of all; the exit code."""
    bad = 0
    lines = [
        "| under the sanitizer | tests | failed | skipped | reports | seconds |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for outcome in outcomes:
        passed, failed, skipped = outcome.counts
        texts = reported(outcome.suite.name)
        for text in texts:
            print(f"\n=== reported in {outcome.suite.name}\n" + "\n".join(text.splitlines()[:SHOWN]))
        for name, reason in outcome.failed.items():
            print(f"failed in {outcome.suite.name}: {name}: {reason}")
        bad += bool(texts) or not outcome.ok
        lines.append(
            f"| {outcome.suite.name} | {passed} | {failed} | {skipped} | {len(texts)} | {outcome.seconds:.0f} |"
        )
    print("\n" + "\n".join(lines))
    return int(bool(bad))


def main() -> int:
    """Entry point."""
    heed_signals()
    shutil.rmtree(REPORTS, ignore_errors=True)
    built = Built()
    built.build()
    if found := unseen(built):
        print("This run would not see all:", *found, sep="\n  ")
        return 1
    subprocess.run(["npm", "exec", "--", "tsc", "-p", "tests/node"], cwd=ROOT, check=True)
    rows = [row for row in every_row(built) if not sys.argv[1:] or any(word in row.name for word in sys.argv[1:])]
    binary = find_redis()
    if binary is None:
        print(HINTS["redis"])
        return 1
    # What the client does with its memory is the same whatever serves it, so Redis is enough.
    with Server(binary, name="redis", die_with_parent=True) as redis:
        there = [{"name": "redis", "url": redis.url, "binary": binary, "pid": redis.pid}]
        os.environ["LEASELOCK_TEST_SERVERS"] = json.dumps(there)
        return sum_up(run_all([row.suite() for row in rows], 1))


if __name__ == "__main__":
    sys.exit(main())
