"""`leaselock doctor` on what lies between: time, the network, how busy a server is."""

from __future__ import annotations

import ctypes
import json
import re
import subprocess
from typing import TYPE_CHECKING, Any

import certs
from conftest import ROOT
from doctor_report import BINARIES, Report
from proxy import Proxy
from servers import Server

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pytest

pytest_plugins = ["doctoring"]


def test_a_clock_that_is_ahead_is_a_warning(
    tmp_path: Path, doctor: Callable[..., Report], monkeypatch: pytest.MonkeyPatch
) -> None:
    library, shift = tmp_path / "clock_shift.so", tmp_path / "shift"
    source = ROOT / "core" / "tests" / "common" / "clock_shift.c"
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", library, source], check=True)
    shift.write_bytes(bytes(ctypes.c_int64(300_000)))
    # Debian's server is linked dynamically; the other one is not, so nothing can be put in front of its clock.
    server = Server(BINARIES["redis"], keep_data=True)
    with monkeypatch.context() as patch:
        patch.setenv("LD_PRELOAD", str(library))
        patch.setenv("CLOCK_SHIFT", str(shift))
        server.start()
    with server:
        report = doctor(server.url)
        assert (report.status, report.bad) == (0, {"clock"})
        assert re.search(r"is 5(\.\d)? minutes ahead of", report["clock"]["seen"])


def test_a_slow_network_is_judged_by_the_ttl(start: Callable[..., Server], doctor: Callable[..., Report]) -> None:
    server = start(keep_data=True)
    with Proxy(server.port) as proxy:
        proxy.to_client.delay = 0.06
        levels = {ttl: doctor(proxy.url, "--ttl", ttl) for ttl in ("300ms", "900ms", "1m")}
    assert [report.level("round trip") for report in levels.values()] == ["problem", "warning", "ok"]
    assert [report.status for report in levels.values()] == [1, 0, 0]
    assert levels["1m"].data["ttl"] == 60


def test_a_command_that_kept_the_server_busy(start: Callable[..., Server], doctor: Callable[..., Report]) -> None:
    server = start("--enable-debug-command", "yes", keep_data=True)
    server.command("DEBUG", "SLEEP", "0.5")
    log: Any = server.command("SLOWLOG", "GET", -1)
    micros = max(entry[2] for entry in log)
    ttls = [f"{int(micros * part / 1000)}ms" for part in (1.2, 3, 7)]
    levels = [doctor(server.url, "--ttl", ttl).level("slow commands") for ttl in ttls]
    assert levels == ["problem", "warning", "ok"]
    seen = doctor(server.url)["slow commands"]["seen"]
    assert "DEBUG" in seen
    assert "SLEEP" not in seen, "arguments may be secrets"


def test_connections_that_run_out(start: Callable[..., Server], doctor: Callable[..., Report]) -> None:
    server = start(keep_data=True)
    with server.connect() as connection:
        connection.command("CONFIG", "SET", "maxclients", 2)
        assert doctor(server.url).level("connections") == "warning"


def test_a_password_in_plain_text(start: Callable[..., Server], doctor: Callable[..., Report]) -> None:
    server = start(keep_data=True, password="canary-secret")
    assert doctor(server.url).level("network") == "ok"
    # The name of a host that is not called local, and is.
    report = doctor(f"redis://:canary-secret@127.1:{server.port}")
    assert (report.status, report.level("network")) == (0, "warning")
    assert "password too" in report["network"]["seen"]
    assert "canary-secret" not in report.text + json.dumps(report.data)


def test_tls_is_what_it_takes(tmp_path: Path, doctor: Callable[..., Report], monkeypatch: pytest.MonkeyPatch) -> None:
    certs.make(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.crt"))
    with Server(BINARIES["redis"], tls=tmp_path, password="secret") as server:
        report = doctor(server.url, SSL_CERT_FILE=str(tmp_path / "ca.crt"))
        assert "TLS" in report["network"]["seen"]


def test_a_slow_log_that_is_off_says_nothing(start: Callable[..., Server], doctor: Callable[..., Report]) -> None:
    server = start("--slowlog-log-slower-than", "-1")
    assert doctor(server.url).level("slow commands") == "unknown"
