"""`leaselock ls --watch`, on a terminal whose screen can be read."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pexpect
import pyte
import pytest
from conftest import Program, end_of, pid_of
from programs import SECONDS, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from servers import Server

ENTER, LEAVE = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"


@dataclass
class Watching:
    """`ls --watch` in a terminal, and what stands on its screen."""

    terminal: pexpect.spawn[str]
    screen: pyte.Screen
    written: str = ""

    def lines(self) -> list[str]:
        """The screen, without the blank lines at its end."""
        with contextlib.suppress(pexpect.TIMEOUT, pexpect.EOF):
            while True:
                new = self.terminal.read_nonblocking(65536, timeout=0.05)
                self.written += new
                pyte.Stream(self.screen).feed(new)
        lines = [line.rstrip() for line in self.screen.display]
        while lines and not lines[-1]:
            lines.pop()
        return lines

    def wait_for(self, condition: Callable[[list[str]], object], what: str) -> list[str]:
        """Waits until the screen shows it."""
        deadline = time.monotonic() + SECONDS
        while not ((lines := self.lines()) and condition(lines)):
            assert time.monotonic() < deadline, f"still not {what}:\n" + "\n".join(lines)
        return lines

    def end(self) -> tuple[int | None, int | None]:
        """Waits for its end: its exit status, or the signal that ended it."""
        wait_until(lambda: self.lines() is not None and not self.terminal.isalive(), "it has ended")
        return self.terminal.exitstatus, self.terminal.signalstatus


def watch(program: Program, *arguments: str, rows: int = 24, columns: int = 80, **env: str) -> Watching:
    terminal = program.terminal("leaselock", "ls", *arguments, rows=rows, columns=columns, env=env)
    return Watching(terminal, pyte.Screen(columns, rows))


def test_it_follows_what_happens(leaselock: Program) -> None:
    watching = watch(leaselock, "--watch=100ms", "job*")
    lines = watching.wait_for(lambda lines: len(lines) == 2, "an empty list")
    assert lines == ["Every 100ms: leaselock ls job*", "no locks are held"]
    holder = leaselock.start("run", "job", "--label", "me", "--ttl", "10m", "--", "sleep", "60")
    lines = watching.wait_for(lambda lines: len(lines) == 3, "a lock")
    assert lines[1].split() == ["NAME", "OWNER", "LEFT", "WAITERS"]
    assert lines[2].startswith("job   me:")
    waiter = leaselock.start("run", "job", "--label", "you", "--", "sleep", "60")
    watching.wait_for(lambda lines: lines[-1].endswith(" 1"), "a waiter")
    holder.send_signal(signal.SIGTERM)
    watching.wait_for(lambda lines: "you:" in lines[-1] and lines[-1].endswith(" 0"), "the hand-over")
    waiter.send_signal(signal.SIGTERM)
    end_of(waiter)
    watching.wait_for(lambda lines: lines[1:] == ["no locks are held"], "an empty list again")


def test_it_follows_who_comes_and_goes_beside_others(leaselock: Program) -> None:
    watching = watch(leaselock, "--watch=100ms", "job*")
    reader = ["run", "job", "--shared", "--label"]
    first = leaselock.start(*reader, "me", "--ttl", "10m", "--", "sleep", "60")
    watching.wait_for(lambda lines: "me:" in lines[-1] and "(shared)" in lines[-1], "one reader")
    second = leaselock.start(*reader, "you", "--ttl", "20m", "--", "sleep", "60")
    watching.wait_for(lambda lines: "me:" in lines[-1] and "(+1)" in lines[-1], "a second reader")
    assert [line.split("\t")[4] for line in leaselock.run("ls", "job").stdout.splitlines()] == ["2"]
    listed = json.loads(leaselock.run("ls", "job", "--json").stdout)
    assert (listed["mode"], listed["holder_count"]) == ("shared", 2)
    assert [holder["owner"][:3] for holder in listed["holders"]] == ["me:", "you"]
    first.send_signal(signal.SIGTERM)
    end_of(first)
    watching.wait_for(lambda lines: "you:" in lines[-1] and "(shared)" in lines[-1], "the second reader alone")
    second.send_signal(signal.SIGTERM)
    end_of(second)
    watching.wait_for(lambda lines: lines[1:] == ["no locks are held"], "an empty list")


def test_ctrl_c_puts_the_terminal_back(leaselock: Program) -> None:
    watching = watch(leaselock, "--watch")
    watching.wait_for(lambda lines: len(lines) == 2, "the list")
    assert watching.written.startswith(ENTER)
    watching.terminal.sendintr()
    assert watching.end() == (0, None)
    assert watching.written.endswith(LEAVE)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT])
def test_other_ends_put_the_terminal_back_too(leaselock: Program, number: signal.Signals) -> None:
    watching = watch(leaselock, "-w")
    watching.wait_for(lambda lines: len(lines) == 2, "the list")
    os.kill(pid_of(watching.terminal), number)
    assert watching.end() == (128 + number, None)
    assert watching.written.endswith(LEAVE)


def test_it_follows_the_size_of_the_terminal(leaselock: Program) -> None:
    leaselock.start("run", "n" * 70, "--label", "l" * 70, "--ttl", "10m", "--", "sleep", "60")
    leaselock.wait_held("n" * 70)
    # A minute between two looks: it is the new size that draws.
    watching = watch(leaselock, "--watch=1m")
    lines = watching.wait_for(lambda lines: len(lines) == 3, "the list")
    assert len(lines[2]) == 80
    for columns in (100, 60):
        watching.screen.resize(10, columns)
        watching.terminal.setwinsize(10, columns)
        watching.wait_for(lambda lines, columns=columns: len(lines[-1]) == columns, f"{columns} columns")  # type: ignore[misc]


def test_what_does_not_fit_is_counted(leaselock: Program) -> None:
    for number in range(6):
        leaselock.start("run", f"job-{number}", "--ttl", "10m", "--", "sleep", "60")
    wait_until(lambda: len(leaselock.run("ls").stdout.splitlines()) == 6, "six locks")
    watching = watch(leaselock, "--watch=100ms", rows=5)
    lines = watching.wait_for(lambda lines: len(lines) == 5, "the list")
    assert [line.split()[0] for line in lines[1:4]] == ["NAME", "job-0", "job-1"]
    assert lines[4] == "… and 4 more"
    # Drawing it again scrolls nothing away.
    time.sleep(0.3)
    assert watching.lines()[0].startswith("Every 100ms")


def test_stopped_and_continued(leaselock: Program) -> None:
    terminal = leaselock.terminal("bash", "--norc", "-i", env={"PS1": "$ "})
    watching = Watching(terminal, pyte.Screen(80, 24))
    terminal.sendline("leaselock ls --watch=100ms")
    watching.wait_for(lambda lines: "no locks are held" in lines, "the list")
    terminal.sendcontrol("z")
    watching.wait_for(lambda _: LEAVE in watching.written and "Stopped" in watching.written, "the shell")
    entered = watching.written.count(ENTER)
    terminal.sendline("fg")
    watching.wait_for(lambda _: watching.written.count(ENTER) == entered + 1, "the list again")
    terminal.sendintr()
    watching.wait_for(lambda _: watching.written.count(LEAVE) == 2, "the shell again")


def test_a_store_that_goes_and_comes_back(on_server: Program, server: Server) -> None:
    watching = watch(on_server, "--watch=100ms")
    watching.wait_for(lambda lines: lines[1:] == ["no locks are held"], "the list")
    server.kill()
    watching.wait_for(lambda lines: "cannot be reached" in " ".join(lines), "what is wrong")
    server.start()
    watching.wait_for(lambda lines: lines[1:] == ["no locks are held"], "the list again")


def test_it_needs_a_terminal_and_a_store(path: str, leaselock: Program) -> None:
    piped = leaselock.run("ls", "--watch")
    assert (piped.returncode, piped.stdout) == (64, "")
    assert piped.stderr == "leaselock: --watch draws on a terminal, and the output is none; leave it out\n"
    both = leaselock.run("ls", "--watch", "--json")
    assert both.returncode == 64
    watching = watch(Program(path, ""), "--watch")
    assert watching.end() == (64, None)
    assert "no URL" in watching.written
    assert ENTER not in watching.written


def test_no_colour_where_none_is_wanted(leaselock: Program) -> None:
    coloured, plain = watch(leaselock, "-w"), watch(leaselock, "-w", NO_COLOR="1")
    for watching in (coloured, plain):
        watching.wait_for(lambda lines: len(lines) == 2, "the list")
    assert "\x1b[2m" in coloured.written
    assert "m" not in {letters[-1:] for letters in plain.written.split("\x1b[") if letters[:-1].isdigit()}
    assert "\x1b[2m" not in plain.written
