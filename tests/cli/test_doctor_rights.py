"""`leaselock doctor` under users that may do less than all."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

import pytest
from conftest import ROOT, Program
from doctor_report import Report, login, run_on
from programs import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from servers import Server

pytest_plugins = ["doctoring"]


PERMITTED = ["resetkeys", "resetchannels", "-@all"]
RULE = re.compile(r"ACL SETUSER leaselock on >PASSWORD (.*)")


def documented(file: str) -> str:
    rule = RULE.search((ROOT / file).read_text())
    assert rule, f"{file} gives the rule"
    return rule[1]


def test_the_documents_and_the_doctor_give_the_same_rule(
    start: Callable[..., Server], doctor: Callable[..., Report]
) -> None:
    url = login(start(), "joe", *PERMITTED)
    report = doctor(url)
    (command,) = report["rights"]["commands"]
    rule = documented("SECURITY.md").replace("-@all ", "")
    assert command == f"ACL SETUSER joe {rule}"
    assert command in report.text, "in one line, to be copied"
    assert documented("docs/server.md") == documented("SECURITY.md")


def test_under_the_documented_rule_nothing_is_missing_and_the_rest_is_not_shown(
    start: Callable[..., Server], doctor: Callable[..., Report]
) -> None:
    report = doctor(login(start(), "joe", *documented("SECURITY.md").split()))
    assert report.status == 0
    assert report.bad == set()
    assert report.level("rights") == "ok"
    assert report.unknown == {"eviction", "memory", "persistence", "replicas", "connections", "slow commands"}
    assert "could not look: INFO is refused (NOPERM" in " ".join(report.text.split())
    for check in ("version", "mode", "role", "clock", "round trip"):
        assert report.level(check) == "ok", "what needs no right is seen all the same"


@pytest.mark.parametrize("name", ["catalogue", "with {braces"])
def test_under_the_documented_rule_names_are_shared_looked_at_and_broken(
    start: Callable[..., Server], path: str, name: str
) -> None:
    server = start()
    program = Program(path, login(server, "joe", *documented("SECURITY.md").split()))
    kind = ["--permits", "2", "--ttl", "1s"]
    try:
        for count in (1, 2):
            program.start("run", name, *kind, "--", "sleep", "60")
            wait_until(lambda count=count: program.inspect(name)["holder_count"] == count, "it is in")  # type: ignore[misc]
        program.start("run", name, *kind, "--", "sleep", "60")
        wait_until(lambda: program.inspect(name)["waiters"] == 1, "one waits")
        assert program.run("run", "--no-wait", "--shared", name, "--", "true").returncode == 75
        time.sleep(1.2)  # they were renewed, or would have run out
        assert program.inspect(name)["holder_count"] == 2
        assert program.run("ls", name).stdout.endswith("\t1\t2\n")
        holders = program.inspect(name)["holders"]
        assert program.run("extend", name, holders[0]["owner"], "--ttl", "5s").returncode == 0
        assert program.run("release", name, "--owner", holders[0]["owner"]).returncode == 0
        wait_until(lambda: program.inspect(name)["waiters"] == 0, "the place is passed on")
        assert program.run("release", name, "--force").returncode == 0
    finally:
        program.end()
    log: list[list[str]] = server.command("ACL", "LOG")  # type: ignore[assignment]
    assert log == [], "nothing was denied"


@pytest.mark.parametrize(
    ("change", "missing"),
    [
        (["-@all"], "+multi"),
        (["-incr", "-zpopmin"], "+incr +zpopmin"),
        (["-evalsha"], "+evalsha"),
        (["-exec"], "+exec"),
        (["resetkeys", "~{lock||*"], "~lock||*"),
        (["resetkeys", "~lock||*"], "~{lock||*"),
        (["resetchannels"], "&lock||*"),
    ],
)
def test_a_missing_right_is_named_and_the_printed_rule_grants_it(
    change: list[str], missing: str, start: Callable[..., Server], doctor: Callable[..., Report]
) -> None:
    server = start()
    url = login(server, "joe", *documented("SECURITY.md").split(), *change)
    report = doctor(url)
    assert report.status == 1
    assert report.level("rights") == "problem"
    assert f'user "joe" lacks {missing}' in report["rights"]["seen"]
    for command in report["rights"]["commands"]:
        run_on(server, command)
    report = doctor(url)
    assert (report.status, report.level("rights")) == (0, "ok")
    assert server.command("DBSIZE") == 0, "asking for a right changes nothing"


@pytest.mark.parametrize(
    ("change", "without"),
    [
        (["-client|tracking"], "+client|tracking"),
        (["-client|caching"], "+client|caching"),
        (["-client"], "+client|tracking +client|caching"),
    ],
)
def test_a_right_that_is_of_use_and_not_needed_is_named_with_what_is_lost(
    change: list[str], without: str, start: Callable[..., Server], doctor: Callable[..., Report]
) -> None:
    server = start()
    url = login(server, "joe", *documented("SECURITY.md").split(), *change)
    report = doctor(url)
    assert (report.status, report.level("rights")) == (0, "warning")
    assert report["rights"]["seen"].endswith(f"and not {without}")
    assert "released by hand" in report["rights"]["means"]
    (command,) = report["rights"]["commands"]
    assert command == f"ACL SETUSER joe {without}"
    run_on(server, command)
    assert doctor(url).level("rights") == "ok"


def test_who_waits_for_replicas_needs_one_right_more(
    start: Callable[..., Server], doctor: Callable[..., Report]
) -> None:
    server = start()
    url = login(server, "joe", *documented("SECURITY.md").split())
    assert doctor(url).level("rights") == "ok"
    report = doctor(f"{url}?replicas=1")
    assert report.level("rights") == "problem"
    assert 'user "joe" lacks +wait' in report["rights"]["seen"]
    for command in report["rights"]["commands"]:
        run_on(server, command)
    assert doctor(f"{url}?replicas=1").level("rights") == "ok"


def test_a_narrower_rule_is_enough_for_its_app_id(start: Callable[..., Server], doctor: Callable[..., Report]) -> None:
    rule = documented("SECURITY.md").replace("~lock||*", "~lock||shop||*").replace("~{lock||*", "~{lock||shop||*")
    url = login(start(), "joe", *rule.split())
    assert doctor(url, "--app-id", "shop").level("rights") == "ok"
    assert doctor(url, "--app-id", "bar").level("rights") == "problem"


def test_a_database_needs_one_right_more(start: Callable[..., Server], doctor: Callable[..., Report]) -> None:
    server = start()
    url = f"{login(server, 'joe', *documented('SECURITY.md').split())}/3"
    report = doctor(url)
    assert (report.status, report.level("connection")) == (1, "problem")
    login(server, "joe", *documented("SECURITY.md").split(), "+select")
    assert doctor(url).level("rights") == "ok"


def test_what_an_administrator_denies_is_left_out(start: Callable[..., Server], doctor: Callable[..., Report]) -> None:
    server = start(keep_data=True)
    report = doctor(login(server, "joe", "~*", "&*", "+@all", "-config"))
    assert (report.status, report.bad) == (0, set())
    assert report.level("replicas") == "ok"
    report = doctor(login(server, "joe", "~*", "&*", "+@all", "-info"))
    assert (report.status, report.bad) == (0, set())
    assert report.level("eviction") == "ok", "CONFIG GET tells it, too"
    assert report.unknown == {"memory", "replicas", "connections"}


def test_commands_that_a_host_has_disabled(start: Callable[..., Server], doctor: Callable[..., Report]) -> None:
    disabled = [word for name in ("CONFIG", "SLOWLOG", "ZPOPMIN") for word in ("--rename-command", name, "")]
    report = doctor(start(*disabled).url)
    assert report.status == 1
    assert "does not know ZPOPMIN" in report["rights"]["seen"]
    assert report.unknown == {"slow commands"}
    assert report.level("persistence") == "warning"
