"""`leaselock run`: the command's environment, its end, and who gets the lock."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
from conftest import Program, end_of
from programs import SECONDS, wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from servers import Server


def test_the_command_finds_token_name_and_owner(leaselock: Program, name: str) -> None:
    script = "printenv LEASELOCK_TOKEN LEASELOCK_NAME LEASELOCK_OWNER && leaselock inspect $LEASELOCK_NAME --json"
    # Also the app id, which an argument says here: what the command asks is asked of the same locks.
    first = leaselock.run("--app-id", "another", "run", name, "--label", "me", "--", "sh", "-c", script)
    assert (first.returncode, first.stderr) == (0, "")
    token, shown_name, owner, inspected = first.stdout.splitlines()
    assert shown_name == name
    assert owner.startswith("me:")
    assert f'"owner":"{owner}"' in inspected
    second = leaselock.run("--app-id", "another", "run", name, "--", "printenv", "LEASELOCK_TOKEN")
    assert int(second.stdout) > int(token)


def test_the_owner_says_which_process_on_which_host(leaselock: Program, name: str) -> None:
    process = leaselock.start("run", name, "--", "printenv", "LEASELOCK_OWNER")
    _, out, _ = end_of(process)
    assert out.startswith(f"{os.uname().nodename}/{process.pid}:")


@pytest.mark.parametrize("status", [0, 1, 7, 75, 255])
def test_the_exit_status_is_the_commands(leaselock: Program, name: str, status: int) -> None:
    ended = leaselock.run("run", name, "--", "sh", "-c", f"exit {status}")
    assert (ended.returncode, ended.stderr) == (status, "")
    assert not leaselock.inspect(name)["held"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGUSR1, signal.SIGSEGV])
def test_death_by_a_signal_is_128_and_its_number(leaselock: Program, name: str, number: signal.Signals) -> None:
    ended = leaselock.run("run", name, "--", "sh", "-c", f"kill -{number} $$")
    assert (ended.returncode, ended.stderr) == (128 + number, "")
    assert not leaselock.inspect(name)["held"]


def test_a_command_that_does_not_exist(leaselock: Program, name: str) -> None:
    ended = leaselock.run("run", name, "--", "no-such-command", "at", "all")
    assert ended.returncode == 127
    assert ended.stderr == 'leaselock: cannot run "no-such-command": there is no such command\n'
    assert not leaselock.inspect(name)["held"]


def test_a_command_that_cannot_be_run(leaselock: Program, name: str, tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("#!/bin/sh\n")
    script.chmod(0o644)
    for it in (script, tmp_path):
        ended = leaselock.run("run", name, "--", str(it))
        assert ended.returncode == 126
        assert ended.stderr == f'leaselock: cannot run "{it}": Permission denied (os error 13)\n'
        assert not leaselock.inspect(name)["held"]


def test_arguments_arrive_as_they_are(leaselock: Program, name: str) -> None:
    words: list[str | bytes] = ["--ttl", "--", "", "a b", "$HOME", b"\xff\xfe"]
    echo = "import os, sys; sys.stdout.buffer.write(b'|'.join(map(os.fsencode, sys.argv[1:])))"
    ended = subprocess.run(
        [leaselock.path, "run", name, "--", sys.executable, "-c", echo, *words],
        env=leaselock.environment(),
        capture_output=True,
        timeout=SECONDS,
        check=True,
    )
    assert ended.stdout == b"--ttl|--||a b|$HOME|\xff\xfe"


def test_input_and_output_go_through(leaselock: Program, name: str) -> None:
    ended = subprocess.run(
        [leaselock.path, "run", name, "--", "sh", "-c", "tr a-z A-Z; echo to stderr >&2"],
        env=leaselock.environment(),
        input="some input",
        capture_output=True,
        timeout=SECONDS,
        check=True,
        text=True,
    )
    assert (ended.stdout, ended.stderr) == ("SOME INPUT", "to stderr\n")


def test_two_exclude_each_other(leaselock: Program, name: str, tmp_path: Path) -> None:
    counter = tmp_path / "counter"
    counter.write_text("0")
    script = f"n=$(cat {counter}); sleep 0.05; echo $((n + 1)) >{counter}"
    processes = [leaselock.start("run", name, "--", "sh", "-c", script) for _ in range(12)]
    assert [end_of(process) for process in processes] == [(0, "", "")] * 12
    assert counter.read_text() == "12\n"


def test_whoever_comes_first_is_served_first(leaselock: Program, name: str, tmp_path: Path) -> None:
    holder = leaselock.start("run", name, "--", "sh", "-c", f"until [ -e {tmp_path}/go ]; do sleep 0.02; done")
    leaselock.wait_held(name)
    waiters = []
    for number in range(3):
        waiters.append(leaselock.start("run", name, "--", "sh", "-c", f"echo {number} >>{tmp_path}/order"))
        wait_until(lambda n=number: leaselock.inspect(name)["waiters"] == n + 1, "one more waits")  # type: ignore[misc]
    (tmp_path / "go").touch()
    assert [end_of(process)[0] for process in [holder, *waiters]] == [0, 0, 0, 0]
    assert (tmp_path / "order").read_text() == "0\n1\n2\n"


def test_a_wait_that_runs_out_is_75(leaselock: Program, name: str) -> None:
    leaselock.start("run", name, "--", "sleep", "60")
    leaselock.wait_held(name)
    started = time.monotonic()
    ended = leaselock.run("run", name, "--wait", "700ms", "--", "echo", "never")
    assert time.monotonic() - started >= 0.7
    assert (ended.returncode, ended.stdout) == (75, "")
    assert ended.stderr.startswith(f'leaselock: the lock "{name}" was still held by someone else after waiting 0.7')
    assert leaselock.inspect(name)["waiters"] == 0


def test_field_bug_64_a_long_wait_without_a_terminal_is_told_once(leaselock: Program, name: str) -> None:
    holder = leaselock.start("run", name, "--label", "the-holder", "--", "sleep", "60")
    owner = leaselock.wait_held(name)["owner"]
    assert owner.startswith("the-holder:")
    ended = leaselock.run("run", name, "--wait", "12s", "--", "echo", "never")
    said, timed_out = ended.stderr.splitlines()
    assert said == f'leaselock: waiting for the lock "{name}"; "{owner}" holds it'
    assert "was still held" in timed_out
    assert ended.returncode == 75
    # What is over in 5 s is not told.
    ended = leaselock.run("run", name, "--wait", "5s", "--", "echo", "never")
    assert ended.returncode == 75
    assert ended.stderr.count("\n") == 1
    holder.terminate()


# As the first process of a container.
FIRST = ["unshare", "--pid", "--fork", "--mount-proc"]


def test_field_bug_67_as_the_first_process_it_leaves_no_zombies(leaselock: Program, name: str) -> None:
    if subprocess.run([*FIRST, "true"], check=False, capture_output=True).returncode != 0:
        pytest.skip("no process namespace may be made here")
    # Those are left behind by the shells that started them, and end while the command runs.
    orphans = "for i in 1 2 3 4 5; do (sleep 0.3 & sleep 0.6 &) ; done"
    count = "ps -eo stat,comm | awk '$1 ~ /^Z/' | wc -l"
    for status in (0, 7):
        ended = subprocess.run(
            [*FIRST, leaselock.path, "run", name, "--", "sh", "-c", f"{orphans}; sleep 2; {count}; exit {status}"],
            env=leaselock.environment(),
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        assert (ended.returncode, ended.stdout.strip(), ended.stderr) == (status, "0", "")
        assert not leaselock.inspect(name)["held"]
    # Also where the command's own end is one of many.
    crowd = "for i in $(seq 50); do (sleep 0.0$i &) ; done; exit 9"
    ended = subprocess.run(
        [*FIRST, leaselock.path, "run", name, "--", "sh", "-c", crowd],
        env=leaselock.environment(),
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert ended.returncode == 9


@pytest.mark.parametrize("once", [["-n"], ["--no-wait"], ["--wait", "0"], ["-w", "0s"]])
def test_trying_once_is_75_at_once(leaselock: Program, name: str, once: list[str]) -> None:
    leaselock.start("run", name, "--", "sleep", "60")
    leaselock.wait_held(name)
    ended = leaselock.run("run", *once, name, "--", "echo", "never")
    assert (ended.returncode, ended.stdout) == (75, "")
    assert ended.stderr == f'leaselock: the lock "{name}" is held by someone else\n'
    assert leaselock.run("run", *once, f"{name}-other", "--", "echo", "free").stdout == "free\n"


def test_the_lease_is_renewed_while_the_command_runs(leaselock: Program, name: str) -> None:
    holder = leaselock.start("run", name, "--ttl", "500ms", "--", "sleep", "2")
    leaselock.wait_held(name)
    while holder.poll() is None:
        if not leaselock.inspect(name)["held"]:
            assert holder.wait(SECONDS) == 0, "not held while the command ran"
    assert end_of(holder) == (0, "", "")


def test_killed_itself_it_leaves_the_lock_to_its_ttl_and_the_command_goes_on(
    leaselock: Program, name: str, tmp_path: Path
) -> None:
    script = f"until [ -e {tmp_path}/go ]; do sleep 0.02; done; touch {tmp_path}/done"
    holder = leaselock.start("run", name, "--ttl", "1s", "--", "sh", "-c", script)
    leaselock.wait_held(name)
    holder.kill()
    holder.wait(SECONDS)
    next_one = leaselock.run("run", name, "--wait", "10s", "--", "echo", "mine")
    assert next_one.stdout == "mine\n"
    (tmp_path / "go").touch()
    wait_until((tmp_path / "done").exists, "the command goes on")


def test_what_is_done_soon_is_kept_and_what_fails_is_not(leaselock: Program, name: str) -> None:
    again = ("run", name, "--no-wait", "--min-hold", "60s")
    assert leaselock.run(*again, "--", "false").returncode == 1
    assert leaselock.run(*again, "--also", f"{name}-too", "--", "false").returncode == 1
    assert leaselock.run(*again, "--ttl", "1s", "--", "true").returncode == 0
    assert leaselock.run(*again, "--", "true").returncode == 75
    shown = json.loads(leaselock.run("inspect", name, "--json").stdout)
    assert 60 - SECONDS < shown["expires_in"] <= 60


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["run"], "the following required arguments were not provided: <NAME> <COMMAND>..."),
        (["run", "job"], "the following required arguments were not provided: <COMMAND>..."),
        (["run", "job", "true"], "usage: leaselock run [OPTIONS] <NAME> -- <COMMAND>..."),
        (["run", "job", "--ttl", "10ms", "--", "true"], "ttl is 0.01 s; it must be between 0.1 s and 365 days"),
        (["run", "job", "--ttl", "soon", "--", "true"], "a duration is written as 500ms, 30s, 5m or 1h30m"),
        (["run", "job", "--wait", "-1", "--", "true"], "unexpected argument '-1' found"),
        (["run", "job", "--wait=-1", "--", "true"], "a duration is written as 500ms, 30s, 5m or 1h30m"),
        (["run", "job", "--ttl", "inf", "--", "true"], "a duration is written as 500ms, 30s, 5m or 1h30m"),
        (["run", "job", "--wait", "1e400", "--", "true"], "a duration is written as 500ms, 30s, 5m or 1h30m"),
        (["run", "job", "--max-hold", "5s", "--", "true"], "max_hold is 5 s, shorter than the ttl of 30 s"),
        (
            ["run", "job", "--max-hold", "40s", "--min-hold", "41s", "--", "true"],
            "min_hold is 41 s, longer than max_hold",
        ),
        (["run", "job", "-n", "-w", "1", "--", "true"], "cannot be used with"),
        (["run", "job", "--on-lost", "panic", "--", "true"], "invalid value 'panic'"),
        (["run", "a||b", "--", "true"], "||"),
        (["run", "job", "--label", "two\nlines", "--", "true"], "control character U+000A"),
        (["--app-id", "|", "run", "job", "--", "true"], 'app_id "|"'),
        (["--address-map", "10.0.0.7:6379", "ls"], "it is to be two addresses, as in 10.0.0.7:6379=localhost:7001"),
        (["--address-map", "a:1=b:2", "ls"], "address_map is for addresses that sentinels or a cluster announce"),
        (
            ["--url", "redis+cluster://h", "--address-map", "a:1=b", "ls"],
            'address_map has "b" where an address is to be',
        ),
    ],
)
def test_what_can_never_work_is_refused_in_one_line(path: str, arguments: list[str], complaint: str) -> None:
    # Nothing listens there: nothing may be sent.
    ended = Program(path, "redis://127.0.0.1:1").run(*arguments)
    assert (ended.returncode, ended.stdout) == (64, "")
    assert ended.stderr.startswith("leaselock: ")
    assert ended.stderr.count("\n") == 1
    assert complaint in ended.stderr


@pytest.mark.parametrize(
    ("written", "seconds"),
    [("30s", 30), ("2m", 120), ("1h30m", 5400), ("1h 30m", 5400), ("45", 45), ("45.5", 45.5), ("20500ms", 20.5)],
)
def test_durations_as_people_write_them(leaselock: Program, name: str, written: str, seconds: float) -> None:
    ended = leaselock.run("run", name, "--ttl", written, "--", "leaselock", "inspect", name, "--json")
    left = float(ended.stdout.split('"expires_in":')[1].split(",")[0])
    assert seconds - SECONDS < left <= seconds


def test_no_url_is_an_error_that_helps(path: str) -> None:
    ended = Program(path, "").run("run", "job", "--", "true")
    assert ended.returncode == 64
    assert ended.stderr == (
        "leaselock: no URL: give one by --url, such as --url redis://localhost:6379, "
        "or set the environment variable LEASELOCK_URL to one\n"
    )
    assert Program(path, "").run("ls", LEASELOCK_URL="").returncode == 64


def test_url_and_app_id_by_argument_and_by_variable(leaselock: Program, name: str) -> None:
    elsewhere = Program(leaselock.path, "")
    shown = ["leaselock", "inspect", name, "--json"]
    by_variable = leaselock.run("run", name, "--", *shown, LEASELOCK_APP_ID="shop")
    assert '"held":true' in by_variable.stdout
    for arguments in (["--url", leaselock.url, "--app-id", "shop"], [f"--url={leaselock.url}", "--app-id=shop"]):
        before = elsewhere.run(*arguments, "run", name, "--", leaselock.path, *arguments, "inspect", name)
        after = elsewhere.run("run", name, *arguments, "--", leaselock.path, "inspect", name, *arguments)
        assert (before.returncode, after.returncode) == (0, 0)
    # What the command asks by itself is asked of the same locks, unless it says otherwise.
    same = leaselock.run("--app-id", "shop", "run", name, "--", *shown)
    assert '"held":true' in same.stdout
    other = leaselock.run("--app-id", "shop", "run", name, "--", *shown, "--app-id", "another")
    assert '"held":false' in other.stdout


def test_an_unreachable_store_is_69(path: str) -> None:
    ended = Program(path, "redis://127.0.0.1:1").run("run", "job", "--", "echo", "never")
    assert (ended.returncode, ended.stdout) == (69, "")
    assert ended.stderr == (
        "leaselock: the server at 127.0.0.1:1 cannot be reached: Connection refused (os error 111)\n"
    )


def test_a_store_that_refuses_is_77(on_server: Program, server: Server) -> None:
    server.command("CONFIG", "SET", "requirepass", "right-password")
    ended = on_server.run("run", "job", "--", "echo", "never")
    assert (ended.returncode, ended.stdout) == (77, "")
    assert ended.stderr.startswith("leaselock: ")
    assert ended.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "command",
    [
        ["run", "job", "--", "true"],
        ["ls"],
        ["inspect", "job"],
        ["release", "job", "--force"],
        ["acquire", "job", "--no-wait"],
        ["extend", "job", "me", "--ttl", "1s"],
        ["doctor"],
        ["--help"],
        ["nonsense"],
        ["run", "--help"],
    ],
)
def test_no_password_is_shown(path: str, server: Server, command: list[str]) -> None:
    secret = "hunter2canary"
    server.command("CONFIG", "SET", "requirepass", "another-one")
    for url in (
        f"redis://someone:{secret}@127.0.0.1:{server.port}",
        f"redis://:{secret}@127.0.0.1:1",
        f"redis://:{secret}@127.0.0.1:{server.port}/not-a-number",
        f"nonsense://:{secret}@somewhere",
    ):
        program = Program(path, url)
        ended = [program.run(*command), Program(path, "").run("--url", url, *command), program.run(url, *command)]
        for one in ended:
            assert secret not in one.stdout + one.stderr
    assert secret not in Program(path, "").run(f"--ur={url}", *command).stderr
