"""Runs the test programs of the workspace side by side, where `cargo test` runs them one after the other.

    rust_tests.py model        those of one folder
    rust_tests.py --not model  all others, and the tests in the docs
    rust_tests.py --alone      the few that a busy machine would spoil, which these two leave out
    rust_tests.py --topologies those on Sentinels and clusters, which these three leave out
    rust_tests.py --topologies --alone
    rust_tests.py --again NAME...  just these, one by one

Each one's output is printed whole when it has ended; any failure makes the exit code 1.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Program:
    """One command, and where cargo would start it."""

    name: str
    command: list[str]
    folder: Path

    def run(self) -> tuple[bool, str]:
        """Runs it to its end: whether that was a good one, and all that it printed."""
        started = time.monotonic()
        done = subprocess.run(
            self.command,
            cwd=self.folder,
            env={**os.environ, "CARGO_MANIFEST_DIR": str(self.folder)},
            text=True,
            errors="replace",
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        took = f"{time.monotonic() - started:.1f} s"
        end = "" if done.returncode == 0 else f"{self.name} ended with {done.returncode}\n"
        return done.returncode == 0, f"--- {self.name}, {took}\n{done.stdout}{end}"


# They kill and count for some seconds, move a clock under a lease, hold a call to a third of a second or a command to a
# millisecond: what else computes meanwhile shows.
ALONE = [
    "crashes::killed_processes_lose_no_increment_that_they_told_of",
    "braces::field_bug_69_any_braces_are_a_name",
    "cancelling::a_wait_that_runs_out_in_the_instant_of_the_grant_loses_nothing",
    "clocks::a_clock_that_jumps_ahead_makes_a_second_holder_with_the_larger_token",
    "deadlines::the_deadline_here_is_never_later_than_the_servers",
    "foreign_holders::field_bug_56_a_waiter_has_its_turns_beside_busy_clients_of_dapr",
    "network::hostile::a_server_that_loads_is_not_stormed",
    "network::timeouts::field_bug_41_a_wait_is_what_bounds_an_acquire_at_a_silent_server",
    "network::timeouts::field_bug_41_trying_once_ends_after_the_command_timeout",
    "network::timeouts::field_bug_41_a_waiter_that_is_queued_ends_with_its_wait",
    "random_sequences_never_differ_on_redis",
    "random_sequences_never_differ_on_valkey",
    "scenarios::scenarios_through_the_async_client",
    "scenarios::scenarios_through_the_blocking_client",
    "scenarios_through_the_async_client",
    "scenarios_through_the_blocking_client",
    "told::field_bug_57_a_lease_that_another_process_ends_shows_when_it_happens",
    "told::field_bug_57_a_lease_that_is_ended_elsewhere_shows_when_it_happens",
    "tracking::field_bug_57_a_flush_shows_when_it_happens",
    "tracking::field_bug_57_an_eviction_shows_when_it_happens",
    "tracking::field_bug_57_what_ends_a_lease_elsewhere_shows_when_it_happens",
    "turns::a_hand_over_to_another_process_takes_less_than_5_ms",
]
SKIPPED = [word for name in ALONE for word in ("--skip", name)]

# It starts servers that belong together, many of them.
TOPOLOGIES = "core, topologies"

# Always the whole workspace: cargo builds the dependencies of a part of it with other features, and so once more.
CARGO = ["cargo", "test", "--workspace", "--locked", "--quiet"]
DOCS = Program("the docs", [*CARGO, "--doc", "--no-fail-fast"], ROOT)


def programs(options: list[str]) -> list[Program]:
    """What `cargo test` would run, built."""
    command = [*CARGO, "--no-run", "--message-format", "json"]
    built = subprocess.run(command, cwd=ROOT, check=True, text=True, stdout=subprocess.PIPE).stdout
    messages = [json.loads(line) for line in built.splitlines() if line.startswith("{")]
    found = []
    for message in messages:
        if message.get("executable") and message["profile"]["test"]:
            folder = Path(message["manifest_path"]).parent
            name = f"{folder.relative_to(ROOT)}, {message['target']['name']}"
            found.append(Program(name, [message["executable"], *options], folder))
    return found


def main() -> int:
    """Entry point."""
    on_topologies = sys.argv[1:2] == ["--topologies"]
    everywhere = False
    more: list[Program] = []
    match sys.argv[1 + on_topologies :]:
        case ["--alone"]:
            options, wanted = ["--test-threads", "1", "--exact", *ALONE], {"core", "simulation"}
        case [] if on_topologies:
            options, wanted = SKIPPED, {"core"}
        case ["--again", *names] if names:
            options, wanted = ["--test-threads", "1", "--exact", *names], {member.name for member in ROOT.iterdir()}
            everywhere = True
        case ["--not", folder]:
            options, wanted, more = SKIPPED, {member.name for member in ROOT.iterdir()} - {folder}, [DOCS]
        case [folder] if (ROOT / folder).is_dir():
            options, wanted = SKIPPED, {folder}
        case _:
            print(__doc__)
            return 2
    try:
        found = [p for p in programs(options) if p.folder.relative_to(ROOT).parts[0] in wanted]
    except subprocess.CalledProcessError as error:
        return int(error.returncode)
    found = [p for p in found if everywhere or (p.name == TOPOLOGIES) == on_topologies] + more
    ok = True
    with ThreadPoolExecutor(1 if "--exact" in options else len(found)) as pool:
        for ended in as_completed([pool.submit(program.run) for program in found]):
            good, output = ended.result()
            ok = ok and good
            print(output, flush=True)
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
