"""`leaselock run --shared`: readers behind a writer that dies or stands still while it waits."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING

from conftest import end_of
from programs import wait_until

if TYPE_CHECKING:
    import subprocess

    from conftest import Program

# Who waits looks for itself after 3 s, up to 400 ms later; and a machine that tests share is slow.
OWN_LOOK_SECONDS = 3.4
SLACK_SECONDS = 3


def waiting_writer(program: Program, name: str) -> subprocess.Popen[str]:
    before = program.inspect(name)["waiters"]
    writer = program.start("run", name, "--", "sleep", "60")
    wait_until(lambda: program.inspect(name)["waiters"] == before + 1, "the writer waits")
    return writer


def kill(process: subprocess.Popen[str]) -> None:
    os.kill(process.pid, signal.SIGKILL)
    end_of(process)


def test_readers_pass_a_writer_that_died_in_line(leaselock: Program, name: str) -> None:
    shared = ["run", "--shared", name, "--", "sleep", "60"]
    leaselock.start(*shared)
    leaselock.wait_held(name)

    # A newcomer finds out that nobody is there.
    writer = waiting_writer(leaselock, name)
    assert leaselock.run("run", "--no-wait", "--shared", name, "--", "true").returncode == 75
    kill(writer)
    assert leaselock.run("run", "--no-wait", "--shared", name, "--", "true").returncode == 0

    # So does one that was in line already, by itself.
    writer = waiting_writer(leaselock, name)
    leaselock.start(*shared)
    wait_until(lambda: leaselock.inspect(name)["waiters"] == 2, "a reader waits behind it")
    kill(writer)
    killed = time.monotonic()
    wait_until(lambda: leaselock.inspect(name)["holder_count"] == 2, "the reader is in")
    assert time.monotonic() - killed < OWN_LOOK_SECONDS + SLACK_SECONDS
    assert leaselock.inspect(name)["waiters"] == 0


def test_a_writer_that_stands_still_in_line_keeps_readers_out_until_it_ends(leaselock: Program, name: str) -> None:
    shared = ["run", "--shared", name, "--", "sleep", "60"]
    leaselock.start(*shared)
    leaselock.wait_held(name)
    writer = waiting_writer(leaselock, name)
    os.kill(writer.pid, signal.SIGSTOP)
    leaselock.start(*shared)
    wait_until(lambda: leaselock.inspect(name)["waiters"] == 2, "a reader waits behind it")
    time.sleep(OWN_LOOK_SECONDS + 0.6)
    # First come, first served: its connection is there, and it may go on.
    assert (leaselock.inspect(name)["waiters"], leaselock.inspect(name)["holder_count"]) == (2, 1)
    kill(writer)
    killed = time.monotonic()
    wait_until(lambda: leaselock.inspect(name)["holder_count"] == 2, "the reader is in")
    assert time.monotonic() - killed < OWN_LOOK_SECONDS + SLACK_SECONDS
