"""`leaselock run` when the lease is lost: broken from elsewhere, or with the store."""

from __future__ import annotations

import os
import re
import signal
import time
from typing import TYPE_CHECKING

import pytest
from conftest import Program, end_of, end_of_terminal
from programs import wait_until
from test_terminal import alive, state

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

    from servers import Server

STUBBORN = "trap 'echo told' TERM; echo ready; while :; do sleep 0.05; done"


def first_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().rstrip("\n")


def test_broken_from_elsewhere_it_ends_the_command(leaselock: Program, name: str) -> None:
    process = leaselock.start("run", name, "--ttl", "600ms", "--", "sleep", "60")
    leaselock.wait_held(name)
    assert leaselock.run("release", name, "--force").returncode == 0
    status, out, errors = end_of(process)
    assert (status, out) == (79, "")
    assert errors == (
        f'leaselock: the lease on "{name}" is lost (released): '
        "it was released by someone else, or the store lost it; ending the command\n"
    )


def test_taken_by_someone_else_it_leaves_the_lock_to_them(leaselock: Program, name: str) -> None:
    process = leaselock.start("run", name, "--ttl", "2s", "--", "sleep", "60")
    leaselock.wait_held(name)
    waiter = leaselock.start("run", name, "--", "sh", "-c", "echo mine; exec sleep 60")
    wait_until(lambda: leaselock.inspect(name)["waiters"] == 1, "it waits")
    leaselock.run("release", name, "--force")
    assert first_line(waiter) == "mine"
    status, _, errors = end_of(process)
    assert status == 79
    assert "is lost (taken)" in errors
    assert leaselock.inspect(name)["owner"].split(":")[0].endswith(f"/{waiter.pid}")


def test_in_a_terminal_too(leaselock: Program, name: str) -> None:
    terminal = leaselock.terminal("leaselock", "run", name, "--ttl", "600ms", "--", "sleep", "60")
    leaselock.wait_held(name)
    leaselock.run("release", name, "--force")
    terminal.expect_exact("ending the command")
    assert end_of_terminal(terminal) == (79, None)


def test_a_command_that_ends_well_on_sigterm_still_lost_the_lease(leaselock: Program, name: str) -> None:
    script = "trap 'echo cleaned up; exit 0' TERM; echo ready; while :; do sleep 0.05; done"
    process = leaselock.start("run", name, "--ttl", "600ms", "--", "sh", "-c", script)
    assert first_line(process) == "ready"
    leaselock.run("release", name, "--force")
    status, out, _ = end_of(process)
    assert (status, out) == (79, "cleaned up\n")


def test_a_command_that_ignores_sigterm_is_killed(leaselock: Program, name: str) -> None:
    process = leaselock.start("run", name, "--ttl", "600ms", "--kill-after", "700ms", "--", "sh", "-c", STUBBORN)
    assert first_line(process) == "ready"
    leaselock.run("release", name, "--force")
    assert first_line(process) == "told"
    told = time.monotonic()
    status, _, errors = end_of(process)
    assert time.monotonic() - told > 0.5
    assert status == 79
    assert errors.endswith("leaselock: the command has not ended 700ms after SIGTERM; killing it\n")


def test_without_a_terminal_what_it_started_is_ended_too(leaselock: Program, name: str) -> None:
    script = "sleep 61 & echo $!; wait"
    process = leaselock.start("run", name, "--ttl", "600ms", "--", "sh", "-c", script)
    grandchild = int(first_line(process))
    leaselock.run("release", name, "--force")
    assert end_of(process)[0] == 79
    wait_until(lambda: not alive(grandchild), "the grandchild has ended")


def test_a_stopped_command_is_ended_too(leaselock: Program, name: str) -> None:
    process = leaselock.start("run", name, "--ttl", "600ms", "--", "sh", "-c", "echo $$; exec sleep 60")
    child = int(first_line(process))
    os.kill(child, signal.SIGSTOP)
    wait_until(lambda: state(child) == "T", "it is stopped")
    leaselock.run("release", name, "--force")
    assert end_of(process)[0] == 79


def test_with_a_warning_alone_it_goes_on(leaselock: Program, name: str, tmp_path: Path) -> None:
    script = f"until [ -e {tmp_path}/go ]; do sleep 0.02; done; exit 4"
    process = leaselock.start("run", name, "--ttl", "600ms", "--on-lost", "warn", "--", "sh", "-c", script)
    leaselock.wait_held(name)
    leaselock.run("release", name, "--force")
    assert process.stderr is not None
    assert process.stderr.readline().endswith("; the command goes on without it\n")
    (tmp_path / "go").touch()
    assert end_of(process) == (4, "", "")


def test_held_for_too_long(leaselock: Program, name: str) -> None:
    started = time.monotonic()
    process = leaselock.start("run", name, "--ttl", "500ms", "--max-hold", "1s", "--", "sleep", "60")
    status, _, errors = end_of(process)
    assert time.monotonic() - started > 0.9
    assert status == 79
    assert "is lost (max_hold)" in errors


@pytest.mark.parametrize(("on_lost", "expected"), [("kill", 79), ("warn", 0)])
def test_broken_without_its_knowledge_it_says_so_in_the_end(
    leaselock: Program, name: str, on_lost: str, expected: int
) -> None:
    # The next renewal is ten minutes away; so the end of the command is the first to notice.
    break_it = f"leaselock release {name} --force"
    ended = leaselock.run("run", name, "--ttl", "30m", "--on-lost", on_lost, "--", "sh", "-c", break_it)
    assert (ended.returncode, ended.stdout) == (expected, f"{name} was released\n")
    assert ended.stderr == (
        f'leaselock: the lease on "{name}" had gone before the command ended: '
        "someone broke the lock, or the store lost it\n"
    )
    failed = leaselock.run("run", name, "--ttl", "30m", "--", "sh", "-c", f"{break_it}; exit 9")
    assert failed.returncode == 9


def test_a_server_that_dies_takes_the_lease_with_it(on_server: Program, server: Server, name: str) -> None:
    process = on_server.start("run", name, "--ttl", "2s", "--", "sleep", "60")
    on_server.wait_held(name)
    server.kill()
    status, _, errors = end_of(process)
    assert status == 79
    warning, loss = errors.splitlines()
    assert warning.startswith("leaselock: a renewal failed; it is tried again until the deadline: the server at ")
    assert loss == (
        f'leaselock: the lease on "{name}" is lost (expired): '
        "its time ran out before it could be renewed; ending the command"
    )


def test_a_server_that_comes_back_in_time_costs_a_warning(
    on_server: Program, server: Server, name: str, tmp_path: Path
) -> None:
    script = f"until [ -e {tmp_path}/go ]; do sleep 0.02; done"
    process = on_server.start("run", name, "--ttl", "6s", "--", "sh", "-c", script)
    on_server.wait_held(name)
    server.pause()
    assert process.stderr is not None
    assert process.stderr.readline().startswith("leaselock: a renewal failed; it is tried again until the deadline: ")
    server.resume()
    wait_until(lambda: on_server.inspect(name)["expires_in"] > 5, "it is renewed")
    (tmp_path / "go").touch()
    assert end_of(process) == (0, "", "")


def test_a_release_that_fails_keeps_the_commands_status(on_server: Program, server: Server, name: str) -> None:
    process = on_server.start("run", name, "--ttl", "10m", "--", "sh", "-c", "echo ready; sleep 0.5; exit 6")
    assert first_line(process) == "ready"
    server.kill()
    status, _, errors = end_of(process)
    assert status == 6
    # What is held is renewed as soon as its connection is lost; that this failed is said, once.
    assert re.fullmatch(
        r"(leaselock: a renewal failed; it is tried again until the deadline: .*\n)?"
        rf'leaselock: the lock "{name}" could not be given back and is free when its ttl ends: .*\n',
        errors,
    )
