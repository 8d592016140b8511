"""`leaselock acquire`, `extend` and `release` as the steps of a script, and what is quiet."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from typing import TYPE_CHECKING

import pytest
from conftest import Program, end_of
from programs import SECONDS, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from servers import Server


@pytest.fixture
def name(leaselock: Program, name: str) -> Iterator[str]:
    """A name that is free again when the test is over: what `acquire` takes outlives it."""
    yield name
    leaselock.run("release", name, "--force")


def test_the_steps_of_a_script(leaselock: Program, name: str) -> None:
    taken = leaselock.run("acquire", name, "--ttl", "1m")
    assert (taken.returncode, taken.stderr) == (0, "")
    owner = taken.stdout.removesuffix("\n")
    assert re.fullmatch(rf"{re.escape(os.uname().nodename)[:32]}:[0-9a-f]{{32}}", owner)
    found = leaselock.inspect(name)
    assert (found["owner"], found["waiters"]) == (owner, 0)
    assert 60 - SECONDS < found["expires_in"] <= 60

    extended = leaselock.run("extend", name, owner, "--ttl", "15m")
    assert (extended.returncode, extended.stdout, extended.stderr) == (0, f"{name} stays taken for 15m\n", "")
    assert 900 - SECONDS < leaselock.inspect(name)["expires_in"] <= 900
    extended = leaselock.run("extend", name, owner, "--ttl", "5m", "--json")
    assert json.loads(extended.stdout) == {"name": name, "status": "EXTENDED"}
    assert 300 - SECONDS < leaselock.inspect(name)["expires_in"] <= 300

    assert leaselock.run("release", name, "--owner", owner).returncode == 0
    assert not leaselock.inspect(name)["held"]
    gone = leaselock.run("extend", name, owner, "--ttl", "15m")
    assert (gone.returncode, gone.stdout) == (1, "")
    assert gone.stderr == f"leaselock: {name} is free: there was nothing to extend\n"
    assert not leaselock.inspect(name)["held"]


def test_acquire_as_json_under_a_label(leaselock: Program, name: str) -> None:
    first = json.loads(leaselock.run("acquire", name, "--json", "--label", "ci 7").stdout)
    assert first.keys() == {"name", "owner", "token"}
    assert first["name"] == name
    assert first["owner"].startswith("ci 7:")
    assert 600 - SECONDS < leaselock.inspect(name)["expires_in"] <= 600, "ten minutes, where nothing is said"
    assert leaselock.run("release", name, "--owner", first["owner"], "--quiet").returncode == 0
    second = json.loads(leaselock.run("acquire", name, "--json").stdout)
    assert second["token"] > first["token"]


def test_acquire_waits_in_line_for_its_turn(leaselock: Program, name: str) -> None:
    owner = leaselock.run("acquire", name).stdout.strip()
    waiting = leaselock.start("acquire", name, "--ttl", "1m")
    wait_until(lambda: leaselock.inspect(name)["waiters"] == 1, "it waits")
    leaselock.run("release", name, "--owner", owner)
    status, out, errors = end_of(waiting)
    assert (status, errors) == (0, "")
    found = leaselock.inspect(name)
    assert found["owner"] == out.strip()
    assert 60 - SECONDS < found["expires_in"] <= 60, "its TTL, and not the claim window of its grant"


def test_the_lock_of_acquire_is_free_when_its_ttl_is_over(leaselock: Program, name: str) -> None:
    leaselock.run("acquire", name, "--ttl", "1s")
    assert leaselock.inspect(name)["held"]
    wait_until(lambda: not leaselock.inspect(name)["held"], "nobody renews it")


@pytest.mark.parametrize("command", [["acquire"], ["run"]])
def test_a_taken_name_in_silence_and_under_a_status_of_ones_own(
    leaselock: Program, name: str, command: list[str]
) -> None:
    leaselock.run("acquire", name)
    rest = ["--", "echo", "never"] if command == ["run"] else []
    told = leaselock.run(*command, name, "--no-wait", *rest)
    assert (told.returncode, told.stdout) == (75, "")
    assert told.stderr == f'leaselock: the lock "{name}" is held by someone else\n'
    for options in (["--no-wait", "--quiet"], ["-nq"], ["--wait", "200ms", "-q"]):
        ended = leaselock.run(*command, name, *options, *rest)
        assert (ended.returncode, ended.stdout, ended.stderr) == (75, "", "")
    for status in (0, 1, 255):
        ended = leaselock.run(*command, name, "-nq", "--conflict-exit-code", str(status), *rest)
        assert (ended.returncode, ended.stdout, ended.stderr) == (status, "", "")
    assert leaselock.run(*command, name, "--wait", "200ms", "-E", "3", *rest).returncode == 3
    for wrong in ("256", "-1", "many"):
        assert leaselock.run(*command, name, f"--conflict-exit-code={wrong}", *rest).returncode == 64


def test_a_quiet_wait_is_not_told(leaselock: Program, name: str) -> None:
    leaselock.run("acquire", name)
    ended = leaselock.run("run", name, "--wait", "6s", "--quiet", "--", "echo", "never")
    assert (ended.returncode, ended.stdout, ended.stderr) == (75, "", "")


def test_quiet_steps_tell_by_their_status(leaselock: Program, name: str) -> None:
    owner = leaselock.run("acquire", name, "--quiet").stdout.strip()
    for command, expected in (
        (["extend", name, owner, "--ttl", "1m"], 0),
        (["extend", name, "someone", "--ttl", "1m"], 2),
        (["release", name, "--owner", "someone"], 2),
        (["release", name, "--owner", owner], 0),
        (["release", name, "--owner", owner], 1),
        (["extend", name, owner, "--ttl", "1m"], 1),
    ):
        ended = leaselock.run(*command, "--quiet")
        assert (ended.returncode, ended.stdout, ended.stderr) == (expected, "", ""), command


def test_an_owner_that_nobody_can_read_gives_the_lock_back(leaselock: Program, name: str) -> None:
    ended = subprocess.run(
        ["sh", "-c", '"$0" acquire "$1" >/dev/full', leaselock.path, name],
        env=leaselock.environment(),
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert ended.returncode == 74
    assert ended.stderr.startswith("leaselock: cannot write the owner, and so the lock was given back")
    assert not leaselock.inspect(name)["held"]


def test_ctrl_c_ends_a_waiting_acquire(leaselock: Program, name: str) -> None:
    leaselock.run("acquire", name)
    waiting = leaselock.start("acquire", name)
    wait_until(lambda: leaselock.inspect(name)["waiters"] == 1, "it waits")
    started = time.monotonic()
    waiting.send_signal(signal.SIGTERM)
    status, out, _ = end_of(waiting)
    assert (status, out) == (128 + signal.SIGTERM, "")
    assert time.monotonic() - started < 5
    assert leaselock.inspect(name)["waiters"] == 0


def test_wrong_words_are_64(path: str) -> None:
    program = Program(path, "redis://127.0.0.1:1")
    for words in (["extend", "job", "me"], ["extend", "job", "me", "--ttl", "0"], ["acquire", "job", "--ttl", "1ms"]):
        ended = program.run(*words)
        assert (ended.returncode, ended.stdout) == (64, "")
        assert ended.stderr.count("\n") == 1


def test_quiet_tells_errors(on_server: Program, server: Server) -> None:
    server.command("CONFIG", "SET", "requirepass", "right-password")
    for words in (["acquire", "job"], ["extend", "job", "me", "--ttl", "1m"], ["release", "job", "--owner", "me"]):
        ended = on_server.run(*words, "--quiet")
        assert (ended.returncode, ended.stdout) == (77, "")
        assert ended.stderr.startswith("leaselock: ")
