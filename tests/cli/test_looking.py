"""`leaselock ls`, `inspect` and `release`: what they say, as tables, for programs and as exit statuses."""

from __future__ import annotations

import json
import re
import subprocess
import unicodedata
from pathlib import Path
from typing import TYPE_CHECKING

import pexpect
import pytest
from programs import SECONDS, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Program
    from resp import Connection


@pytest.fixture
def hold(leaselock: Program) -> Callable[..., None]:
    """Holds locks until the test ends."""

    def hold(name: str, *options: str) -> None:
        leaselock.start("run", name, *options, "--", "sleep", "120")
        leaselock.wait_held(name)

    return hold


def shown_in(program: Program, *arguments: str, columns: int = 80, **env: str) -> list[str]:
    """What a command shows in a terminal, line by line."""
    terminal = program.terminal("leaselock", *arguments, columns=columns, env=env)
    terminal.expect(pexpect.EOF)
    terminal.wait()
    assert terminal.exitstatus == 0
    return (terminal.before or "").replace("\r\n", "\n").splitlines()


def plain(line: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", line)


def test_the_table_in_a_terminal(leaselock: Program, hold: Callable[..., None]) -> None:
    hold("orders:42", "--label", "worker-7", "--ttl", "10m")
    hold("backup", "--label", "web1", "--ttl", "2h")
    heading, first, second = map(plain, shown_in(leaselock, "ls"))
    assert heading.split() == ["NAME", "OWNER", "LEFT", "WAITERS"]
    assert re.fullmatch(r"backup     web1:[0-9a-f]{32}      1h59m        0", first)
    assert re.fullmatch(r"orders:42  worker-7:[0-9a-f]{32}  9m5\ds        0", second)
    assert len(heading) == len(first)
    assert plain(shown_in(leaselock, "ls", "no-*")[0]) == "no locks are held (no app id)"
    assert plain(shown_in(leaselock, "ls", "--app-id", "x y")[0]) == "no locks are held (app id: x y)"
    assert len(shown_in(leaselock, "ls", "orders:?2")) == 2


def test_long_names_lose_their_middle(leaselock: Program, hold: Callable[..., None]) -> None:
    long = "a-name-that-is-quite-long/and-then-some-more-of-it/and-still-more/to-the-end"
    hold(long, "--label", "a-host-with-a-long-name.example.com/1234567", "--ttl", "1h")
    for columns in (80, 60, 120, 200):
        _, line = map(plain, shown_in(leaselock, "ls", columns=columns))
        name, owner, left, waiters = line.split()
        assert len(line) <= columns
        assert (left, waiters) == ("59m59s", "0") or left < "59m59s"
        head, ellipsis, tail = name.partition("…")
        assert ellipsis == ("…" if columns < 200 else "")
        assert long.startswith(head)
        assert long.endswith(tail)
        assert columns >= 200 or owner.startswith("a-host")
    assert len(plain(shown_in(leaselock, "ls", columns=80)[1])) == 80


def test_a_short_name_leaves_its_room_to_a_long_owner(leaselock: Program, hold: Callable[..., None]) -> None:
    hold("x", "--label", "l" * 60)
    _, line = map(plain, shown_in(leaselock, "ls"))
    assert len(line) == 80
    assert line.startswith("x     " + "l" * 29)


def test_wide_characters_count_twice(leaselock: Program, hold: Callable[..., None]) -> None:
    hold("備份/数据库", "--label", "主机", "--ttl", "10m")
    hold("naïve/café", "--label", "e\u0301te\u0301", "--ttl", "10m")
    hold("数" * 60, "--label", "x", "--ttl", "10m")
    lines = [plain(line) for line in shown_in(leaselock, "ls")]
    assert [columns_of(line) for line in lines] == [80] * 4
    ends = {columns_of(line[: line.rindex(" 9m") + 1]) for line in lines[1:]}
    assert len(ends) == 1, lines
    assert "数…数" in lines[3]


def columns_of(line: str) -> int:
    def width(c: str) -> int:
        if unicodedata.combining(c):
            return 0
        return 2 if unicodedata.east_asian_width(c) in "WF" else 1

    return sum(map(width, line))


def test_piped_it_is_plain(leaselock: Program, hold: Callable[..., None]) -> None:
    long = "n" * 200
    hold(long, "--label", "o" * 100, "--ttl", "10m")
    ended = leaselock.run("ls", CLICOLOR_FORCE="1")
    name, owner, left, waiters, holders = ended.stdout.rstrip("\n").split("\t")
    assert (name, waiters, holders) == (long, "0", "1")
    assert re.fullmatch(r"o{100}:[0-9a-f]{32}", owner)
    assert 590 < float(left) <= 600
    assert leaselock.run("ls", "no-*").stdout == ""


def test_colours_are_for_terminals_that_want_them(leaselock: Program, hold: Callable[..., None]) -> None:
    hold("job")
    assert "\x1b[" in "".join(shown_in(leaselock, "ls"))
    assert "\x1b" not in "".join(shown_in(leaselock, "ls", NO_COLOR="1"))
    assert "\x1b" not in "".join(shown_in(leaselock, "ls", TERM="dumb"))
    assert "\x1b" not in leaselock.run("ls").stdout
    assert "\x1b" not in leaselock.run("--help").stdout
    assert "\x1b" not in leaselock.run("nonsense").stderr


def test_json_has_one_object_a_line(leaselock: Program, hold: Callable[..., None]) -> None:
    hold("b", "--ttl", "10m", "--label", "two")
    hold("a", "--ttl", "10m", "--label", "one")
    leaselock.start("run", "a", "--", "true")
    wait_until(lambda: leaselock.inspect("a")["waiters"] == 1, "one waits")
    first, second = map(json.loads, leaselock.run("ls", "--json").stdout.splitlines())
    fields = ["owner", "expires_in", "waiters", "mode", "holders", "holder_count"]
    assert list(first) == ["name", *fields]
    assert (first["name"], first["waiters"], second["name"], second["waiters"]) == ("a", 1, "b", 0)
    assert 590 < first["expires_in"] <= 600
    inspected = leaselock.inspect("a")
    assert list(inspected) == ["name", "held", *fields]
    times = {"expires_in": inspected["expires_in"], "holders": inspected["holders"]}
    assert inspected == first | {"held": True} | times
    assert [holder["owner"] for holder in inspected["holders"]] == [inspected["owner"]]
    assert (inspected["mode"], inspected["holder_count"]) == ("exclusive", 1)
    assert leaselock.inspect("c") == {"name": "c", "held": False} | dict.fromkeys(fields)


def test_inspect_says_it_in_words_and_by_its_status(leaselock: Program, hold: Callable[..., None]) -> None:
    free = leaselock.run("inspect", "job")
    assert (free.returncode, free.stdout, free.stderr) == (1, "job is free\n", "")
    hold("job", "--label", "web1", "--ttl", "10m")
    held = leaselock.run("inspect", "job")
    assert (held.returncode, held.stderr) == (0, "")
    assert re.fullmatch(
        r"job is held\nowner    web1:[0-9a-f]{32}\nleft     9m5\ds\nwaiters  0\n",
        held.stdout,
    )


def test_release_by_its_owner_and_by_force(leaselock: Program, hold: Callable[..., None]) -> None:
    nothing = leaselock.run("release", "job", "--owner", "nobody")
    assert (nothing.returncode, nothing.stdout) == (1, "")
    assert nothing.stderr == "leaselock: job is free: there was nothing to release\n"
    assert leaselock.run("release", "job", "--force").returncode == 1

    hold("job")
    wrong = leaselock.run("release", "job", "--owner", "nobody")
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert wrong.stderr.startswith("leaselock: job is held by someone else, and was not released")
    as_json = leaselock.run("release", "job", "--owner", "nobody", "--json")
    assert (as_json.returncode, as_json.stderr) == (2, "")
    assert json.loads(as_json.stdout) == {"name": "job", "status": "NOT_OWNER"}

    right = leaselock.run("release", "job", "--owner", leaselock.inspect("job")["owner"])
    assert (right.returncode, right.stdout, right.stderr) == (0, "job was released\n", "")
    hold("other")
    forced = leaselock.run("release", "other", "--force", "--json")
    assert json.loads(forced.stdout) == {"name": "other", "status": "RELEASED"}
    assert json.loads(leaselock.run("release", "other", "--force", "--json").stdout)["status"] == "NOT_FOUND"


def test_release_needs_to_know_for_whom(leaselock: Program) -> None:
    for arguments in (["release", "job"], ["release", "job", "--force", "--owner", "me"]):
        ended = leaselock.run(*arguments)
        assert ended.returncode == 64
        assert "--owner <OWNER>" in ended.stderr


def test_a_foreign_owner_cannot_act_on_the_terminal(on_server: Program, redis: Connection) -> None:
    owner = "evil\x1b[2J\n\t\u202eowner\x7f"
    redis.command("SET", "lock||job", owner.encode())
    escaped = r"evil\u{1b}[2J\n\t\u{202e}owner\u{7f}"
    assert on_server.run("ls").stdout == f"job\t{escaped}\t-\t0\t1\n"
    assert f"owner    {escaped}\nleft     no end" in on_server.run("inspect", "job").stdout
    assert re.fullmatch(rf"job +{re.escape(escaped)} +- +0", plain(shown_in(on_server, "ls")[1]))
    read = json.loads(on_server.run("ls", "--json").stdout)
    assert (read["owner"], read["expires_in"]) == (owner, None)


def test_a_reader_that_has_seen_enough_is_no_error(leaselock: Program, hold: Callable[..., None]) -> None:
    hold("job")
    for command in ("ls", "inspect job", "man run", "completions bash", "--help"):
        ended = subprocess.run(
            ["bash", "-c", f"set -o pipefail; leaselock {command} | true"],
            env=leaselock.environment(),
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        assert (ended.returncode, ended.stderr) == (0, ""), command


def test_output_that_cannot_be_written_is_an_error(leaselock: Program, hold: Callable[..., None]) -> None:
    hold("job")
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(
            [leaselock.path, "ls"],
            env=leaselock.environment(),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=SECONDS,
            check=False,
        )
    assert ended.returncode == 74
    assert ended.stderr == "leaselock: cannot write the output: No space left on device (os error 28)\n"


def test_who_shares_a_lock_is_shown(leaselock: Program, hold: Callable[..., None]) -> None:
    hold("job", "--permits", "3", "--label", "one", "--ttl", "10m")
    leaselock.start("run", "job", "--permits", "3", "--label", "two", "--ttl", "20m", "--", "sleep", "60")
    wait_until(lambda: leaselock.inspect("job")["holder_count"] == 2, "two hold it")
    inspected = leaselock.inspect("job")
    assert (inspected["mode"], inspected["owner"][:4]) == ("shared", "one:")
    assert [holder["owner"][:4] for holder in inspected["holders"]] == ["one:", "two:"]
    assert re.fullmatch(
        r"job is held\nholders  2\nowner    one:\w{32}, 9m5\ds left\nowner    two:\w{32}, 19m5\ds left\n"
        r"left     19m5\ds\nwaiters  0\n",
        leaselock.run("inspect", "job").stdout,
    )
    assert leaselock.run("ls").stdout.endswith("\t0\t2\n")
    assert "(+1)" in plain(shown_in(leaselock, "ls", columns=120)[1])
    assert leaselock.run("run", "--no-wait", "job", "--", "true").returncode == 75
    assert leaselock.run("run", "--no-wait", "--permits", "2", "job", "--", "true").returncode == 75
    assert leaselock.run("run", "--no-wait", "--shared", "job", "--", "true").returncode == 0
    assert leaselock.run("run", "--shared", "--permits", "2", "job", "--", "true").returncode == 64
    assert leaselock.run("run", "--permits", "0", "job", "--", "true").returncode == 64
