"""`leaselock doctor` on real servers: each with one thing wrong, and one with nothing."""

from __future__ import annotations

import json
import re
import subprocess
from typing import TYPE_CHECKING

import pytest
from conftest import Program
from doctor_report import BINARIES, Report, login, run_on
from programs import wait_until
from servers import Server, free_port

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytest_plugins = ["doctoring"]


# ---- a healthy server


def test_a_healthy_server_gets_a_short_calm_report(start: Callable[..., Server], doctor: Callable[..., Report]) -> None:
    server = start(keep_data=True)
    report = doctor(server.url)
    assert report.status == 0
    assert report.bad == report.unknown == set()
    title, before, *checks, after, summary = report.text.splitlines()
    assert title.lower().startswith(server.name)
    assert f"127.0.0.1:{server.port}" in title
    assert len(checks) <= 20
    assert all(line.startswith(("ok ", "   ")) for line in checks)
    assert (before, after, summary) == ("", "", "no problems, no warnings")
    assert server.command("DBSIZE") == 0, "nothing was changed"
    assert server.command("PUBSUB", "CHANNELS") == []


def test_it_leaves_locks_alone(start: Callable[..., Server], doctor: Callable[..., Report]) -> None:
    server = start()
    for words in (["SET", "lock||app||job", "me"], ["SET", "lock||app||||fence", "1700000000000000"]):
        server.command(*words)
    assert doctor(server.url, "--app-id", "app").status == 0
    assert server.command("GET", "lock||app||job") == "me"
    assert server.command("GET", "lock||app||||fence") == "1700000000000000"
    assert server.command("DBSIZE") == 2


# ---- data


@pytest.mark.parametrize("policy", ["allkeys-lru", "volatile-ttl"])
def test_eviction_is_a_problem(policy: str, start: Callable[..., Server], doctor: Callable[..., Report]) -> None:
    server = start("--maxmemory", "100mb", "--maxmemory-policy", policy)
    report = doctor(server.url)
    assert report.status == 1
    assert report.level("eviction") == "problem"
    assert policy in report["eviction"]["seen"]
    assert report.text.index("problem") < report.text.index("warning"), "the worst comes first"
    for command in report["eviction"]["commands"]:
        run_on(server, command)
    assert doctor(server.url).level("eviction") == "ok"


def test_a_policy_without_a_limit_evicts_nothing(start: Callable[..., Server], doctor: Callable[..., Report]) -> None:
    assert doctor(start("--maxmemory-policy", "allkeys-lru").url).level("eviction") == "ok"


def test_memory_that_runs_short_is_a_warning_and_then_a_problem(
    start: Callable[..., Server], doctor: Callable[..., Report]
) -> None:
    server = start()
    server.command("SET", "big", "x" * 20_000_000)
    used = re.search(r"used_memory:(\d+)", str(server.command("INFO", "memory")))
    assert used
    server.command("CONFIG", "SET", "maxmemory", int(used[1]) * 105 // 100)
    report = doctor(server.url)
    assert (report.status, report.level("memory")) == (0, "warning")

    server.command("CONFIG", "SET", "maxmemory", 2_000_000)
    report = doctor(server.url)
    assert report.status == 1
    assert "OOM" in report["writes"]["seen"]


def test_persistence(start: Callable[..., Server], doctor: Callable[..., Report]) -> None:
    server = start()
    report = doctor(server.url)
    assert (report.status, report.level("persistence")) == (0, "warning")
    assert "nothing is written" in report["persistence"]["seen"]

    server.command("CONFIG", "SET", "save", "3600 1")
    assert "snapshots only" in doctor(server.url)["persistence"]["seen"]

    for command in report["persistence"]["commands"]:
        run_on(server, command)
    assert doctor(server.url).level("persistence") == "ok"

    server.command("CONFIG", "SET", "appendfsync", "no")
    assert doctor(server.url).level("persistence") == "warning"


def test_a_disk_that_cannot_be_written_is_a_problem(
    start: Callable[..., Server], doctor: Callable[..., Report]
) -> None:
    server = start()
    # A folder in the way of the file.
    (server.folder / "dump.rdb" / "x").mkdir(parents=True)
    server.command("CONFIG", "SET", "save", "3600 1")
    server.command("SET", "key", "value")
    server.command("BGSAVE")
    wait_until(lambda: "rdb_last_bgsave_status:err" in str(server.command("INFO", "persistence")), "the save fails")
    report = doctor(server.url)
    assert report.status == 1
    assert report.level("persistence") == "problem"
    assert "MISCONF" in report["writes"]["seen"]


# ---- replicas


def test_replicas_that_need_not_follow_are_a_warning(
    start: Callable[..., Server], doctor: Callable[..., Report]
) -> None:
    primary, replica = start(), start()
    assert doctor(primary.url).level("replicas") == "ok"

    replica.command("REPLICAOF", "127.0.0.1", primary.port)
    wait_until(lambda: "master_link_status:up" in str(replica.command("INFO", "replication")), "the replica follows")
    wait_until(lambda: "state=online" in str(primary.command("INFO", "replication")), "the primary knows")
    report = doctor(primary.url)
    assert (report.status, report.level("replicas")) == (0, "warning")
    for command in report["replicas"]["commands"]:
        run_on(primary, command)
    wait_until(lambda: "min_slaves_good_slaves:1" in str(primary.command("INFO", "replication")), "it counts")
    assert doctor(primary.url).level("replicas") == "ok"

    report = doctor(replica.url)
    assert (report.status, report.level("role")) == (1, "problem")
    # A user that sees nothing else still sees that.
    url = login(replica, "user", "-@all", "+multi", "+exec", "+set", "~*")
    assert doctor(url).level("role") == "problem"

    replica.kill()
    wait_until(lambda: "connected_slaves:0" in str(primary.command("INFO", "replication")), "it has gone")
    report = doctor(primary.url)
    assert (report.status, report.level("replicas")) == (1, "problem")
    report = doctor(login(primary, "user", "-@all", "+multi", "+exec", "+set", "~*"))
    assert "NOREPLICAS" in report["writes"]["seen"]


def test_replicas_that_have_to_confirm_and_are_not_there(
    start: Callable[..., Server], doctor: Callable[..., Report]
) -> None:
    primary, replica = start(), start()
    report = doctor(f"{primary.url}?replicas=1")
    assert (report.status, report.level("confirming")) == (1, "problem")
    replica.command("REPLICAOF", "127.0.0.1", primary.port)
    wait_until(lambda: "state=online" in str(primary.command("INFO", "replication")), "the primary knows")
    assert doctor(f"{primary.url}?replicas=1").level("confirming") == "ok"
    assert doctor(primary.url).level("confirming") is None


def test_a_cluster_is_a_problem(start: Callable[..., Server], doctor: Callable[..., Report]) -> None:
    report = doctor(start("--cluster-enabled", "yes", "--cluster-port", str(free_port())).url)
    assert (report.status, report.level("mode")) == (1, "problem")
    assert "redis+cluster://" in report["mode"]["todo"]


def test_a_sentinel_is_a_problem(tmp_path: Path, doctor: Callable[..., Report]) -> None:
    port, config = free_port(), tmp_path / "sentinel.conf"
    config.write_text(f"port {port}\nbind 127.0.0.1\ndir {tmp_path}\n")
    server = next(iter(BINARIES.values()))
    with subprocess.Popen([server, str(config), "--sentinel"], stdout=subprocess.DEVNULL) as sentinel:
        try:
            wait_until(lambda: doctor(f"redis://127.0.0.1:{port}").level("connection") is None, "it answers")
            report = doctor(f"redis://127.0.0.1:{port}")
            assert (report.status, report.level("mode")) == (1, "problem")
            assert "redis+sentinel://" in report["mode"]["todo"]
        finally:
            sentinel.kill()


# ---- no server at all


def test_a_server_that_cannot_be_reached(doctor: Callable[..., Report]) -> None:
    report = doctor(f"redis://:canary-secret@127.0.0.1:{free_port()}")
    assert (report.status, report.level("connection")) == (1, "problem")
    assert "canary-secret" not in report.text + json.dumps(report.data)


def test_a_wrong_password(start: Callable[..., Server], doctor: Callable[..., Report]) -> None:
    server = start(password="right")
    report = doctor(f"redis://:canary-secret@127.0.0.1:{server.port}")
    assert (report.status, report.level("connection")) == (1, "problem")
    assert "canary-secret" not in report.text + json.dumps(report.data)


@pytest.mark.parametrize("args", [["--url", "nonsense"], ["--url", "redis://h", "--ttl", "1 fortnight"], ["--no"]])
def test_a_command_line_that_makes_no_sense(path: str, args: list[str]) -> None:
    done = Program(path, "").run("doctor", *args)
    assert done.returncode == 64
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
