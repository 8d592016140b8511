"""`leaselock doctor` on clusters and on what sentinels watch: each with one thing wrong, and with nothing."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import certs
import pytest
from conftest import ROOT
from doctor_report import BINARIES, Report, run_on
from programs import wait_until
from servers import Server, free_port
from topologies import SERVICE, cluster, sentinel

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytest_plugins = ["doctoring"]

each_server = pytest.mark.parametrize("name", BINARIES)
# What the servers of these tests have never been told.
UNCARED_FOR = {"persistence", "replicas"}


def documented(part: str) -> str:
    rules = re.findall(r"ACL SETUSER leaselock on >PASSWORD (.*)", (ROOT / "docs" / "topologies.md").read_text())
    (rule,) = (rule for rule in rules if part in rule)
    return str(rule.replace("-@all ", ""))


@each_server
def test_a_cluster(name: str, doctor: Callable[..., Report]) -> None:
    with cluster(name) as it:
        primary, *others = it.nodes[:3]
        address = f"127.0.0.1:{primary.port}"

        report = doctor(it.url)
        assert (report.status, report.bad, report.unknown) == (0, UNCARED_FOR, set())
        assert "3 primaries and 3 replicas" in report["addresses"]["seen"]
        assert sorted(report["cluster"]["at"]) == sorted(f"127.0.0.1:{node.port}" for node in it.nodes[:3])
        assert "2 s after" in report["failover"]["seen"]
        assert "coverage is yes" in report["coverage"]["seen"]
        for node in it.nodes[:3]:
            assert node.command("DBSIZE") == 0, "nothing was changed"

        # A user that lacks some rights, and then has all and no more.
        for node in it.nodes:
            node.command(
                "ACL", "SETUSER", "joe", "reset", "on", ">secret", "~lock||*", "+@all", "-ssubscribe", "-asking"
            )
        url = it.url.replace("://", "://joe:secret@")
        report = doctor(url)
        assert (report.status, report.level("rights")) == (1, "problem")
        assert "lacks ~{lock||* &lock||* +ssubscribe +asking" in report["rights"]["seen"]
        (command,) = report["rights"]["commands"]
        assert command == f"ACL SETUSER joe {documented('+ssubscribe')}"
        assert "replicas too" in report["rights"]["todo"]
        for node in it.nodes:
            node.command("ACL", "SETUSER", "joe", "resetkeys", "resetchannels", "-@all")
        report = doctor(url)
        assert (report.status, report.level("slots")) == (1, "unknown"), "it may not even ask who has which slot"
        for node in it.nodes:
            run_on(node, command)
        report = doctor(url)
        assert (report.status, report.level("rights"), report.level("slots")) == (0, "ok", "ok")
        assert report.level("cluster") == "unknown"
        assert report.level("addresses") == "ok"

        # One of the primaries differs.
        primary.command("CONFIG", "SET", "maxmemory", "100mb", "maxmemory-policy", "allkeys-lru")
        primary.command("CONFIG", "SET", "cluster-node-timeout", 30_000)
        report = doctor(it.url)
        assert (report.status, report.bad) == (1, {*UNCARED_FOR, "eviction", "failover"})
        assert report["eviction"]["at"] == report["failover"]["at"] == [address]
        assert f"eviction at {address}: maxmemory-policy is allkeys-lru" in " ".join(report.text.split())
        primary.command("CONFIG", "SET", "maxmemory", 0, "cluster-node-timeout", 2000)

        # An address that is announced and does not lead there.
        closed = free_port()
        primary.command("CONFIG", "SET", "cluster-announce-port", closed)
        url = f"redis+cluster://{address}"
        report = doctor(url)
        assert (report.status, report.level("addresses")) == (1, "problem")
        assert f"127.0.0.1:{closed} cannot be reached" in report["addresses"]["seen"]
        assert "address_map" in report["addresses"]["todo"]
        assert "cluster-announce-ip" in report["addresses"]["todo"]
        report = doctor(url, "--address-map", f"127.0.0.1:{closed}={address}")
        assert (report.status, report.level("addresses")) == (0, "ok")
        primary.command("CONFIG", "SET", "cluster-announce-port", 0)

        # Slots that nobody has, which stops all of them.
        for node in it.nodes:
            node.command("CLUSTER", "DELSLOTS", 5, 6)
        wait_until(lambda: "cluster_state:fail" in str(others[0].command("CLUSTER", "INFO")), "they notice")
        report = doctor(it.url)
        assert report.status == 1
        assert "2 have no owner: 5-6" in report["slots"]["seen"]
        assert report.level("cluster") == "problem"
        assert "CLUSTERDOWN" in report["writes"]["seen"]


@each_server
def test_sentinels(name: str, doctor: Callable[..., Report]) -> None:
    with sentinel(name) as it:
        first = it.sentinels[0]
        address = f"127.0.0.1:{first.port}"

        report = doctor(it.url)
        assert (report.status, report.bad, report.unknown) == (0, UNCARED_FOR, set())
        assert "2 replicas and 3 sentinels" in report["addresses"]["seen"]
        assert f"127.0.0.1:{it.master().port}" in report["agreement"]["seen"]
        assert "failover-timeout is 10 s" in report["failover"]["seen"]
        assert report["sentinels"]["seen"].startswith("3, of which 2")
        for command in report["replicas"]["commands"]:
            for node in it.nodes:
                run_on(node, command)
        wait_until(lambda: "good_slaves:2" in str(it.master().command("INFO", "replication")), "they count")
        assert doctor(it.url).level("replicas") == "ok"
        report = doctor(it.url.replace(SERVICE, "other"))
        assert (report.status, report.level("service")) == (1, "problem")

        # A user of the sentinels that lacks some rights, and then has all and no more.
        for server in it.sentinels:
            few = ["+sentinel|get-master-addr-by-name", "+subscribe", "resetchannels", "&+switch-master"]
            server.command("ACL", "SETUSER", "watch", "reset", "on", ">secret", *few)
        url = f"{it.url}?sentinel_username=watch&sentinel_password=secret"
        report = doctor(url)
        assert (report.status, report.level("sentinel rights")) == (1, "problem")
        seen = 'user "watch" lacks +sentinel|master +sentinel|sentinels &+promoted-slave'
        assert report["sentinel rights"]["seen"] == seen
        (command,) = report["sentinel rights"]["commands"]
        assert command == f"ACL SETUSER watch {documented('+sentinel|master')}"
        for server in it.sentinels:
            run_on(server, command)
        report = doctor(url)
        assert (report.status, report.level("sentinel rights")) == (0, "ok")

        # One of the sentinels differs.
        first.command("SENTINEL", "SET", SERVICE, "down-after-milliseconds", 30_000)
        report = doctor(it.url)
        assert (report.status, report["failover"]["level"], report["failover"]["at"]) == (0, "warning", [address])
        first.command("SENTINEL", "REMOVE", SERVICE)
        report = doctor(it.url)
        assert (report.status, report.level("agreement")) == (0, "warning")
        assert f"no such service by {address}" in report["agreement"]["seen"]

        first.kill()
        report = doctor(it.url)
        assert (report.status, report.level("addresses")) == (0, "warning")
        assert f"the sentinel {address} cannot be reached" in report["addresses"]["seen"]
        for server in it.sentinels:
            server.kill()
        report = doctor(it.url)
        assert (report.status, report.bad) == (1, {"connection"})


def test_a_certificate_that_runs_out(tmp_path: Path, doctor: Callable[..., Report]) -> None:
    certs.make(tmp_path)
    authority = f"tls_ca={tmp_path / 'ca.crt'}"
    levels = {}
    for cert, option in [("lasting", authority), ("good", authority), ("expired", "tls_insecure_skip_verify=true")]:
        with Server(BINARIES["redis"], tls=tmp_path, cert=cert) as server:
            report = doctor(f"{server.url}?{option}")
            levels[cert] = (report.status, report.level("certificate"), report.level("network"))
            if cert == "lasting":
                assert re.fullmatch(r"good for (90|89\.9) days", report["certificate"]["seen"])
    assert levels == {"lasting": (0, "ok", "ok"), "good": (0, "warning", "ok"), "expired": (1, "problem", "warning")}
