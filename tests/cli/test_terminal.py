"""`leaselock run` in a real terminal: Ctrl-C, Ctrl-Z, reading from it; and signals from elsewhere."""

from __future__ import annotations

import os
import re
import signal
import sys
import time
from pathlib import Path

import pexpect
import pytest
from conftest import Program, end_of, end_of_terminal, pid_of
from programs import wait_until

# Counts a signal, tells when it is ready, and ends with status 3 a while after the first.
COUNTING = """
import signal, sys, time
seen = []
signal.signal(getattr(signal, sys.argv[1]), lambda number, frame: seen.append(number))
print("ready", flush=True)
while not seen:
    time.sleep(0.01)
time.sleep(0.5)
print("seen", len(seen), flush=True)
sys.exit(3)
"""


# Tells its number, and works until a file is there. Not a shell: one that is stopped just as it starts another program
# (by vfork) never counts as stopped.
WORKING = """
import os, sys, time
print(os.getpid(), "works", flush=True)
while not os.path.exists(sys.argv[1]):
    time.sleep(0.02)
print("work is done", flush=True)
"""


def counting(name: str) -> list[str]:
    return [sys.executable, "-c", COUNTING, name]


def test_ctrl_c_ends_the_command_and_gives_the_lock_back(leaselock: Program, name: str) -> None:
    terminal = leaselock.terminal("leaselock", "run", name, "--", "sh", "-c", "echo ready; exec sleep 60")
    terminal.expect_exact("ready")
    terminal.sendintr()
    # By the signal itself, so that a script around it ends, too; `$?` is 130.
    assert end_of_terminal(terminal) == (None, signal.SIGINT)
    assert not leaselock.inspect(name)["held"]


def test_ctrl_c_waits_for_a_command_that_handles_it(leaselock: Program, name: str) -> None:
    terminal = leaselock.terminal("leaselock", "run", name, "--", *counting("SIGINT"))
    terminal.expect_exact("ready")
    terminal.sendintr()
    assert leaselock.inspect(name)["held"]
    terminal.expect_exact("seen 1")
    assert end_of_terminal(terminal) == (3, None)
    assert not leaselock.inspect(name)["held"]


def test_a_command_that_ignores_ctrl_c_goes_on(leaselock: Program, name: str) -> None:
    script = "trap '' INT; echo ready; read line; echo got $line"
    terminal = leaselock.terminal("leaselock", "run", name, "--", "sh", "-c", script)
    terminal.expect_exact("ready")
    terminal.sendintr()
    terminal.sendline("a line")
    terminal.expect_exact("got a line")
    assert end_of_terminal(terminal) == (0, None)


def test_the_shell_sees_130_and_ends_its_loop(leaselock: Program, name: str) -> None:
    loop = f"for i in 1 2 3; do echo turn $i; leaselock run {name} -- sleep 60; echo went on; done"
    terminal = leaselock.terminal("bash", "-c", loop)
    terminal.expect_exact("turn 1")
    leaselock.wait_held(name)
    terminal.sendintr()
    terminal.expect(pexpect.EOF)
    assert "went on" not in (terminal.before or "")

    terminal = leaselock.terminal("bash", "--norc", "-i", env={"PS1": "$ "})
    terminal.sendline(f"leaselock run {name} -- sleep 60")
    leaselock.wait_held(name)
    terminal.sendintr()
    terminal.sendline("echo status=$?")
    terminal.expect_exact("status=130")
    assert not leaselock.inspect(name)["held"]


def test_ctrl_backslash_ends_both(leaselock: Program, name: str) -> None:
    terminal = leaselock.terminal("leaselock", "run", name, "--", "sh", "-c", "ulimit -c 0; echo ready; exec sleep 60")
    terminal.expect_exact("ready")
    terminal.sendcontrol("\\")
    assert end_of_terminal(terminal) == (128 + signal.SIGQUIT, None)
    assert not leaselock.inspect(name)["held"]


def test_the_command_reads_from_the_terminal(leaselock: Program, name: str) -> None:
    ask = 'tty; printf "your name? "; read name; echo "hello, $name"'
    terminal = leaselock.terminal("leaselock", "run", name, "--", "sh", "-c", ask)
    terminal.expect("/dev/pts/")
    terminal.expect_exact("your name? ")
    terminal.sendline("Ada")
    terminal.expect_exact("hello, Ada")
    assert end_of_terminal(terminal) == (0, None)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT])
def test_a_signal_ends_the_wait_and_leaves_the_queue(leaselock: Program, name: str, number: signal.Signals) -> None:
    leaselock.start("run", name, "--", "sleep", "60")
    leaselock.wait_held(name)
    waiter = leaselock.start("run", name, "--", "echo", "never")
    wait_until(lambda: leaselock.inspect(name)["waiters"] == 1, "it waits")
    waiter.send_signal(number)
    expected = -signal.SIGINT if number == signal.SIGINT else 128 + number
    assert end_of(waiter) == (expected, "", "")
    assert leaselock.inspect(name)["waiters"] == 0


def test_ctrl_c_ends_the_wait(leaselock: Program, name: str) -> None:
    leaselock.start("run", name, "--", "sleep", "60")
    leaselock.wait_held(name)
    terminal = leaselock.terminal("leaselock", "run", name, "--", "echo", "never")
    terminal.expect_exact(f'leaselock: waiting for the lock "{name}"; who has it: leaselock inspect {name}')
    assert leaselock.inspect(name)["waiters"] == 1
    terminal.sendintr()
    assert end_of_terminal(terminal) == (None, signal.SIGINT)
    assert "never" not in (terminal.before or "")
    assert leaselock.inspect(name)["waiters"] == 0


PASSED_ON = ["SIGHUP", "SIGINT", "SIGQUIT", "SIGTERM", "SIGUSR1", "SIGUSR2"]


@pytest.mark.parametrize("number", PASSED_ON)
def test_a_signal_is_passed_on_once(leaselock: Program, name: str, number: str) -> None:
    process = leaselock.start("run", name, "--", *counting(number))
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(getattr(signal, number))
    assert end_of(process) == (3, "seen 1\n", "")
    assert not leaselock.inspect(name)["held"]


@pytest.mark.parametrize("number", PASSED_ON)
def test_a_signal_is_passed_on_once_in_a_terminal(leaselock: Program, name: str, number: str) -> None:
    terminal = leaselock.terminal("leaselock", "run", name, "--", *counting(number))
    terminal.expect_exact("ready")
    os.kill(pid_of(terminal), getattr(signal, number))
    terminal.expect_exact("seen 1")
    assert end_of_terminal(terminal) == (3, None)


def test_sigterm_ends_with_the_commands_status(leaselock: Program, name: str) -> None:
    process = leaselock.start("run", name, "--", "sleep", "60")
    leaselock.wait_held(name)
    process.send_signal(signal.SIGTERM)
    assert end_of(process) == (128 + signal.SIGTERM, "", "")
    assert not leaselock.inspect(name)["held"]


def test_without_a_terminal_what_the_command_started_ends_with_it(leaselock: Program, name: str) -> None:
    process = leaselock.start("run", name, "--", "sh", "-c", "sleep 61 & echo $!; wait; sleep 62")
    assert process.stdout is not None
    grandchild = int(process.stdout.readline())
    process.send_signal(signal.SIGTERM)
    assert end_of(process)[0] == 128 + signal.SIGTERM
    wait_until(lambda: not alive(grandchild), "the grandchild has ended")


def test_ctrl_z_stops_the_job_and_fg_goes_on(leaselock: Program, name: str, tmp_path: Path) -> None:
    script = tmp_path / "work.py"
    script.write_text(WORKING)
    terminal = leaselock.terminal("bash", "--norc", "-i", env={"PS1": "$ "})
    terminal.sendline(f"leaselock run {name} --ttl 60s -- {sys.executable} {script} {tmp_path}/go")
    terminal.expect_exact("works")
    terminal.sendcontrol("z")
    terminal.expect_exact("Stopped")
    terminal.sendline("echo the shell is back; jobs -s")
    terminal.expect_exact("the shell is back\r\n")
    terminal.expect_exact("Stopped")
    (tmp_path / "go").touch()
    terminal.sendline("fg; echo status=$?")
    terminal.expect_exact("work is done")
    terminal.expect_exact("status=0")
    assert not leaselock.inspect(name)["held"]


def test_ctrl_z_while_waiting(leaselock: Program, name: str) -> None:
    holder = leaselock.start("run", name, "--", "sleep", "60")
    leaselock.wait_held(name)
    terminal = leaselock.terminal("bash", "--norc", "-i", env={"PS1": "$ "})
    terminal.sendline(f"leaselock run {name} -- echo my turn")
    wait_until(lambda: leaselock.inspect(name)["waiters"] == 1, "it waits")
    terminal.sendcontrol("z")
    terminal.expect_exact("Stopped")
    terminal.sendline("fg")
    terminal.expect_exact("leaselock run")
    holder.terminate()
    terminal.expect_exact("my turn\r\n")


def test_stopped_for_longer_than_the_ttl_the_lease_is_lost(leaselock: Program, name: str) -> None:
    terminal = leaselock.terminal("bash", "--norc", "-i", env={"PS1": "$ "})
    terminal.sendline(f"leaselock run {name} --ttl 500ms -- sh -c 'echo ready; exec sleep 60'")
    terminal.expect_exact("ready\r\n")
    terminal.sendcontrol("z")
    terminal.expect_exact("Stopped")
    leaselock.wait_free(name)
    terminal.sendline("fg; echo status=$?")
    terminal.expect_exact("is lost (expired)")
    terminal.expect_exact("status=79")


def test_a_signal_of_its_own_stops_and_continues_it(leaselock: Program, name: str, tmp_path: Path) -> None:
    work = [sys.executable, "-c", WORKING, str(tmp_path / "go")]
    process = leaselock.start("run", name, "--ttl", "60s", "--", *work)
    assert process.stdout is not None
    child = int(process.stdout.readline().split()[0])
    process.send_signal(signal.SIGTSTP)
    wait_until(lambda: state(child) == "T" and state(process.pid) == "T", "both are stopped")
    process.send_signal(signal.SIGCONT)
    (tmp_path / "go").touch()
    assert end_of(process) == (0, "work is done\n", "")


def test_a_command_that_is_stopped_alone_keeps_the_lock(leaselock: Program, name: str) -> None:
    process = leaselock.start("run", name, "--ttl", "500ms", "--", "sh", "-c", "echo $$; exec sleep 60")
    assert process.stdout is not None
    child = int(process.stdout.readline())
    os.kill(child, signal.SIGSTOP)
    wait_until(lambda: state(child) == "T", "it is stopped")
    deadline = time.monotonic() + 1.5
    while time.monotonic() < deadline:
        assert leaselock.inspect(name)["held"]
    process.send_signal(signal.SIGTERM)
    assert end_of(process)[0] == 128 + signal.SIGTERM


def test_ignored_signals_stay_ignored(leaselock: Program, name: str) -> None:
    shell = f"trap '' HUP USR1; exec leaselock run {name} -- sh -c 'echo $$; exec sleep 60'"
    terminal = leaselock.terminal("sh", "-c", shell)
    terminal.expect(r"(\d+)\r\n")
    child = int(re.findall(r"\d+", str(terminal.after))[-1])
    os.kill(pid_of(terminal), signal.SIGUSR1)
    os.kill(pid_of(terminal), signal.SIGHUP)
    os.kill(child, signal.SIGHUP)
    os.kill(child, signal.SIGUSR1)
    terminal.sendintr()
    assert end_of_terminal(terminal) == (None, signal.SIGINT)


def test_an_ignored_sigchld_does_not_cost_the_status(leaselock: Program, name: str) -> None:
    ignoring = (
        "import os, signal, sys; signal.signal(signal.SIGCHLD, signal.SIG_IGN); os.execvp('leaselock', sys.argv[1:])"
    )
    terminal = leaselock.terminal(sys.executable, "-c", ignoring, "leaselock", "run", name, "--", "sh", "-c", "exit 5")
    assert end_of_terminal(terminal) == (5, None)


def test_a_terminal_that_goes_away_ends_the_command(leaselock: Program, name: str, tmp_path: Path) -> None:
    script = f"trap 'touch {tmp_path}/told; exit' HUP; echo ready; while :; do sleep 0.02; done"
    terminal = leaselock.terminal("leaselock", "run", name, "--", "sh", "-c", script)
    terminal.expect_exact("ready")
    terminal.ptyproc.fileobj.close()  # type: ignore[attr-defined]
    wait_until((tmp_path / "told").exists, "the command hears of it")
    leaselock.wait_free(name)


def alive(pid: int) -> bool:
    return state(pid) not in ("", "Z")


def state(pid: int) -> str:
    """The letter `ps` shows for a process; empty when it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return ""
