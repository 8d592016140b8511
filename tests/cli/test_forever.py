"""`leaselock run --forever`: waits, works, stops at a loss and waits again; ends with the command, or by a signal."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING

import pytest
from conftest import Program, end_of, end_of_terminal, pid_of
from programs import wait_until
from test_loss import first_line
from test_terminal import alive

if TYPE_CHECKING:
    from pathlib import Path

    from servers import Server

# Says which term it is in and under which token; goes on until it is ended.
LEADER = 'echo "$$ $LEASELOCK_TOKEN"; exec sleep 60'


def term(line: str) -> tuple[int, int]:
    """The command's pid and its token."""
    pid, token = line.split()
    return int(pid), int(token)


@pytest.mark.parametrize("status", [0, 3, 79])
def test_a_command_that_ends_by_itself_ends_it(leaselock: Program, name: str, status: int) -> None:
    ended = leaselock.run("run", "--forever", name, "--", "sh", "-c", f"exit {status}")
    assert (ended.returncode, ended.stdout, ended.stderr) == (status, "", "")
    assert not leaselock.inspect(name)["held"]


def test_a_loss_ends_the_command_and_runs_it_again(leaselock: Program, name: str, tmp_path: Path) -> None:
    script = f"[ -e {tmp_path}/done ] && exit 5; {LEADER}"
    process = leaselock.start("run", "--forever", name, "--ttl", "600ms", "--", "sh", "-c", script)
    pid, token = term(first_line(process))
    leaselock.run("release", name, "--force")
    next_pid, next_token = term(first_line(process))
    assert not alive(pid)
    assert next_pid != pid
    assert next_token > token
    (tmp_path / "done").touch()
    leaselock.run("release", name, "--force")
    status, out, errors = end_of(process)
    assert (status, out) == (5, "")
    assert errors.count("ending the command\n") == 2


def test_it_runs_again_where_only_the_release_notices_the_loss(leaselock: Program, name: str, tmp_path: Path) -> None:
    script = f"[ -e {tmp_path}/again ] && exit 0; touch {tmp_path}/again; leaselock release {name} --force >/dev/null"
    ended = leaselock.run("run", "--forever", name, "--ttl", "30m", "--", "sh", "-c", script)
    assert ended.returncode == 0
    assert "had gone before the command ended" in ended.stderr
    assert (tmp_path / "again").exists()


def test_the_next_in_line_leads_when_the_leader_dies(leaselock: Program, name: str) -> None:
    leader = leaselock.start("run", "--forever", name, "--ttl", "1s", "--", "sh", "-c", LEADER)
    pid, token = term(first_line(leader))
    follower = leaselock.start("run", "--forever", name, "--ttl", "1s", "--", "sh", "-c", LEADER)
    wait_until(lambda: leaselock.inspect(name)["waiters"] == 1, "it waits")
    for each in (pid, leader.pid):
        os.kill(each, signal.SIGKILL)
    killed = time.monotonic()
    _, next_token = term(first_line(follower))
    assert time.monotonic() - killed < 4
    assert next_token > token


def test_as_many_are_at_work_as_there_are_permits(leaselock: Program, name: str) -> None:
    forever = ["run", "--forever", name, "--permits", "2", "--", "sleep", "60"]
    leaders = [leaselock.start(*forever) for _ in range(3)]
    wait_until(lambda: leaselock.inspect(name)["waiters"] == 1, "two are at work, and one waits")
    assert leaselock.inspect(name)["holder_count"] == 2
    for leader in leaders[:2]:
        leader.terminate()
        end_of(leader)
    wait_until(lambda: leaselock.inspect(name)["holder_count"] == 1, "one is left")
    leaders[2].terminate()
    end_of(leaders[2])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_while_it_leads(leaselock: Program, name: str, number: signal.Signals) -> None:
    process = leaselock.start("run", "--forever", name, "--", "sh", "-c", LEADER)
    pid, _ = term(first_line(process))
    process.send_signal(number)
    status, _, errors = end_of(process)
    # As `run` has it: Ctrl-C ends it by the signal.
    assert (status, errors) == (-number if number == signal.SIGINT else 128 + number, "")
    assert not alive(pid)
    assert not leaselock.inspect(name)["held"]


def test_a_signal_ends_it_while_it_waits(leaselock: Program, name: str) -> None:
    leaselock.start("run", name, "--", "sleep", "60")
    leaselock.wait_held(name)
    process = leaselock.start("run", "--forever", name, "--", "sh", "-c", LEADER)
    wait_until(lambda: leaselock.inspect(name)["waiters"] == 1, "it waits")
    process.terminate()
    assert end_of(process) == (128 + signal.SIGTERM, "", "")
    assert leaselock.inspect(name)["waiters"] == 0


def test_a_signal_ends_it_while_a_lost_command_is_ended(leaselock: Program, name: str) -> None:
    script = "trap 'echo told; sleep 0.5; exit 0' TERM; echo ready; while :; do sleep 0.05; done"
    process = leaselock.start("run", "--forever", name, "--ttl", "600ms", "--", "sh", "-c", script)
    assert first_line(process) == "ready"
    leaselock.run("release", name, "--force")
    assert first_line(process) == "told"
    process.terminate()
    assert end_of(process)[0] == 79


def test_ctrl_c_at_a_terminal(leaselock: Program, name: str) -> None:
    terminal = leaselock.terminal(
        "leaselock", "run", "--forever", name, "--", "sh", "-c", "echo re''ady; exec sleep 60"
    )
    terminal.expect_exact("ready")
    assert pid_of(terminal)
    terminal.sendintr()
    assert end_of_terminal(terminal) == (None, signal.SIGINT)


def test_a_store_that_cannot_be_reached_is_waited_for(on_server: Program, server: Server, name: str) -> None:
    server.kill()
    process = on_server.start("run", "--forever", name, "--", "echo", "at last")
    assert process.stderr is not None
    assert process.stderr.readline().startswith(
        "leaselock: nobody here can lead while the store cannot be reached; it is tried again until it can be: "
    )
    time.sleep(1)
    server.restart(keep_data=False)
    status, out, errors = end_of(process)
    assert (status, out) == (0, "at last\n")
    assert "nobody here can lead" not in errors


def test_a_signal_ends_it_while_the_store_cannot_be_reached(on_server: Program, server: Server, name: str) -> None:
    server.kill()
    process = on_server.start("run", "--forever", name, "--", "echo", "no")
    assert process.stderr is not None
    process.stderr.readline()
    process.terminate()
    started = time.monotonic()
    status, out, _ = end_of(process)
    assert (status, out) == (128 + signal.SIGTERM, "")
    assert time.monotonic() - started < 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--wait", "3s"], "the argument '--forever' cannot be used with '--wait <DURATION>'"),
        (["--no-wait"], "the argument '--forever' cannot be used with '--no-wait'"),
        (["--on-lost", "warn"], "--forever ends the command when the lease is lost, and --on-lost warn lets it go on"),
    ],
)
def test_options_that_contradict_it_are_refused(path: str, name: str, options: list[str], message: str) -> None:
    ended = Program(path, "").run("run", "--forever", *options, "--url", "redis://127.0.0.1:1", name, "--", "true")
    assert (ended.returncode, ended.stdout) == (64, "")
    assert message in ended.stderr
