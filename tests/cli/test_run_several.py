"""`leaselock run NAME --also NAME2`: several locks, all or none."""

from __future__ import annotations

from typing import TYPE_CHECKING

from conftest import end_of
from programs import wait_until

if TYPE_CHECKING:
    from conftest import Program


def test_the_command_runs_under_all_of_them(leaselock: Program, name: str) -> None:
    other = f"a-{name}"
    script = 'printenv LEASELOCK_NAME LEASELOCK_TOKEN LEASELOCK_TOKENS && leaselock ls "$0" && leaselock ls "$1"'
    ended = leaselock.run("run", name, "--also", other, "--also", name, "--", "sh", "-c", script, name, other)
    assert (ended.returncode, ended.stderr) == (0, "")
    first, token, *tokens = ended.stdout.splitlines()
    assert first == name
    # In the order of their bytes.
    assert [line.split(" ")[1] for line in tokens[:2]] == sorted([name, other])
    assert f"{token} {name}" in tokens[:2]
    assert [sum(line.startswith(one) for line in tokens[2:]) for one in (name, other)] == [1, 1]
    assert not leaselock.inspect(name)["held"]
    assert not leaselock.inspect(other)["held"]


def test_none_is_held_where_one_is_taken(leaselock: Program, name: str) -> None:
    other = f"a-{name}"
    holder = leaselock.start("run", name, "--", "sleep", "60")
    leaselock.wait_held(name)
    for wait, said in (("0", "is held by someone else, and none was taken"), ("300ms", "after waiting")):
        ended = leaselock.run("run", other, "--also", name, "--wait", wait, "--", "true")
        assert ended.returncode == 75
        assert said in ended.stderr
        assert not leaselock.inspect(other)["held"]
    assert leaselock.inspect(name)["waiters"] == 0
    waiting = leaselock.start("run", other, "--also", name, "--", "true")
    wait_until(lambda: leaselock.inspect(name)["waiters"] == 1, "it waits")
    holder.terminate()
    end_of(holder)
    assert end_of(waiting)[0] == 0


def test_the_loss_of_one_ends_the_command(leaselock: Program, name: str) -> None:
    other = f"a-{name}"
    process = leaselock.start("run", other, "--also", name, "--ttl", "600ms", "--", "sleep", "60")
    leaselock.wait_held(name)
    leaselock.wait_held(other)
    assert leaselock.run("release", name, "--force").returncode == 0
    status, _, error = end_of(process)
    assert status == 79
    assert f'the lease on "{name}" is lost' in error
    assert not leaselock.inspect(other)["held"]


def test_several_are_shared(leaselock: Program, name: str) -> None:
    other = f"a-{name}"
    both = [other, "--also", name, "--no-wait"]
    for kind in (["--shared"], ["--permits", "2"]):
        holder = leaselock.start("run", other, "--also", name, *kind, "--", "sleep", "60")
        leaselock.wait_held(name)
        ended = leaselock.run("run", *both, *kind, "--", "leaselock", "inspect", name)
        assert (ended.returncode, ended.stdout.splitlines()[1]) == (0, "holders  2")
        assert leaselock.run("run", *both, "--", "true").returncode == 75
        holder.terminate()
        end_of(holder)
        assert not leaselock.inspect(name)["held"]


def test_it_leads_under_one_lock_alone(leaselock: Program, name: str) -> None:
    ended = leaselock.run("run", name, "--also", f"a-{name}", "--forever", "--", "true")
    assert ended.returncode == 64
    assert "cannot be used with" in ended.stderr
