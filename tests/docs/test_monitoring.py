"""Metrics and traces by the examples; the dashboard and the alerts, by Grafana's and Prometheus' own programs."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import typing
import urllib.parse
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from conftest import EXAMPLES, ROOT
from prometheus_client import CollectorRegistry

import leaselock.prometheus

if TYPE_CHECKING:
    from collections.abc import Iterator

MONITORING = EXAMPLES / "monitoring"
DASHBOARD = MONITORING / "dashboard.json"
# Where Debian's package is unpacked that is not installed.
UNPACKED = ROOT / "target" / "prometheus"

PROGRAM = """
import sys, threading, time
from leaselock import Client, LockTimeoutError, prometheus
from prometheus_client import start_http_server
prometheus.instrument()
start_http_server(int(sys.argv[1]), "127.0.0.1")
client = Client("memory:x", app_id="shop")

def crew(n):
    while True:
        try:
            with client.lock(f"order:{n % 2}", wait=0.05):
                time.sleep(0.04)
        except LockTimeoutError:
            pass
        client.acquire(f"short:{n}", ttl=0.1, renew=False).wait_lost(1)
        with client.lock(f"long:{n}", ttl=0.3):
            time.sleep(0.3)

for n in range(6):
    threading.Thread(target=crew, args=(n,), daemon=True).start()
time.sleep(600)
"""


def program(name: str) -> Path:
    """`prometheus` or `promtool`: from PATH, or out of Debian's package, which needs no rights."""
    if found := shutil.which(name):
        return Path(found)
    unpacked = UNPACKED / "usr" / "bin" / name
    if not unpacked.exists():
        download()
    return unpacked


def download() -> None:
    """Unpacks Debian's package; several may do so at a time."""
    if not shutil.which("apt-get") or not shutil.which("dpkg"):
        pytest.skip("prometheus is not in PATH, and there is no apt-get to download Debian's package")
    UNPACKED.parent.mkdir(exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=UNPACKED.parent))
    fetch = ["apt-get", "download", "prometheus"]
    fetched = subprocess.run(fetch, cwd=folder, capture_output=True, text=True, check=False)
    packages = sorted(folder.glob("prometheus_*.deb"))
    if not packages:
        folder.rmdir()
        pytest.skip(f"prometheus is not in PATH, and apt-get cannot download it: {fetched.stderr.strip()}")
    subprocess.run(["dpkg", "-x", packages[-1].name, "."], cwd=folder, check=True)
    packages[-1].unlink()
    with contextlib.suppress(OSError):
        folder.rename(UNPACKED)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.mark.parametrize(
    "command", [[sys.executable, "python/metrics.py"], ["node", "node/metrics.mjs"]], ids=["python", "node"]
)
def test_an_example_is_scraped(command: list[str]) -> None:
    port = free_port()
    with subprocess.Popen([*command, str(port)], cwd=EXAMPLES) as server:
        try:
            give_up_at = time.monotonic() + 20
            text = ""
            while 'leaselock_hold_seconds_count{app_id="shop",lock="order:*"}' not in text:
                assert time.monotonic() < give_up_at, text
                time.sleep(0.1)
                with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
                    text = answer.read().decode()
        finally:
            server.kill()


def test_the_example_in_node_is_traced() -> None:
    done = subprocess.run(["node", "node/tracing.mjs"], cwd=EXAMPLES, check=True, stdout=subprocess.PIPE, text=True)
    assert sorted(done.stdout.splitlines()) == [
        "POST /orders/42",
        "acquire order:*",
        "lease order:*",
        "the order is shipped",
    ]


def test_the_page_has_every_metric() -> None:
    page = (ROOT / "docs" / "observability.md").read_text()
    registry = CollectorRegistry()
    stop = leaselock.prometheus.instrument(registry)
    for metric in registry.collect():
        name = metric.name + ("_total" if metric.type == "counter" else "")
        assert f"| `{name}` | {metric.type} |" in page
    stop()
    for kind in typing.get_args(leaselock.LockEventKind):
        (literal,) = typing.get_args(kind)
        assert f"| `{literal}` |" in page


def test_the_alerts_page_has_every_alert() -> None:
    page = (ROOT / "docs" / "alerts.md").read_text()
    headings = " ".join(line for line in page.splitlines() if line.startswith("## "))
    for alert in re.findall(r"alert: (\w+)", (MONITORING / "alerts.yml").read_text()):
        assert alert in headings


def test_the_alerts_are_rules_and_fire_when_they_should() -> None:
    promtool = program("promtool")
    subprocess.run([promtool, "check", "rules", "alerts.yml"], cwd=MONITORING, check=True)
    subprocess.run([promtool, "test", "rules", "alerts_test.yml"], cwd=MONITORING, check=True)


def test_the_dashboard_is_what_grafana_takes(tmp_path: Path) -> None:
    if shutil.which("go") is None:
        pytest.skip("Grafana's SDK is compiled by Go, which is not in PATH")
    check = ["go", "run", "-C", str(ROOT / "tests/docs/grafana"), "."]
    subprocess.run([*check, str(DASHBOARD)], check=True)
    # It is no check if it takes everything.
    bad = tmp_path / "bad.json"
    bad.write_text(DASHBOARD.read_text().replace('"type": "timeseries"', '"type": 5', 1))
    assert subprocess.run([*check, str(bad)], check=False, capture_output=True).returncode == 1


def asked(port: int, expression: str) -> list[Any]:
    query = urllib.parse.urlencode({"query": expression})
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/query?{query}") as answer:
        found: list[Any] = json.load(answer)["data"]["result"]
        return found


@pytest.fixture
def prometheus(tmp_path: Path) -> Iterator[int]:
    """A Prometheus that has scraped a program with all kinds of locks for some seconds: its port."""
    server = program("prometheus")
    exporter, port = free_port(), free_port()
    config = tmp_path / "prometheus.yml"
    targets = json.dumps([{"targets": [f"127.0.0.1:{exporter}"]}])
    config.write_text(
        "global: {scrape_interval: 1s, evaluation_interval: 1s}\n"
        f"rule_files: [{json.dumps(str(MONITORING / 'alerts.yml'))}]\n"
        f"scrape_configs: [{{job_name: shop, static_configs: {targets}}}]\n"
    )
    data = tmp_path / "data"
    options = [f"--config.file={config}", f"--storage.tsdb.path={data}", f"--web.listen-address=127.0.0.1:{port}"]
    quiet = {**os.environ, "PYTHONWARNINGS": "ignore"}
    with (
        subprocess.Popen([sys.executable, "-c", PROGRAM, str(exporter)], stderr=subprocess.DEVNULL, env=quiet) as crew,
        subprocess.Popen([server, *options], stderr=subprocess.DEVNULL) as prometheus,
    ):
        try:
            give_up_at = time.monotonic() + 60
            while True:
                with contextlib.suppress(OSError):
                    if asked(port, "count_over_time(leaselock_held[1m]) > 6"):
                        break
                assert time.monotonic() < give_up_at
                time.sleep(0.5)
            yield port
        finally:
            crew.kill()
            prometheus.kill()


def test_each_panel_of_the_dashboard_shows_something(prometheus: int) -> None:
    dashboard = json.loads(DASHBOARD.read_text())
    values = {"$app_id": "shop", "$lock": ".*", "$__rate_interval": "5s", "[15m]": "[5s]", "[1h]": "[5s]"}
    empty = []
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            expression = target["expr"]
            for placeholder, value in values.items():
                expression = expression.replace(placeholder, value)
            assert "$" not in expression
            found = asked(prometheus, expression)
            if not found or all(sample["value"][1] == "NaN" for sample in found):
                empty.append((panel["title"], expression))
    assert empty == []
    # Its variables, too.
    for label in ("app_id", "lock"):
        assert asked(prometheus, f"count by ({label}) (leaselock_held)")


def test_the_alerts_see_what_a_program_does(prometheus: int) -> None:
    give_up_at = time.monotonic() + 30
    while not asked(prometheus, 'ALERTS{alertname="LeaselockLeaseLost", lock="short:*", alertstate="firing"}'):
        assert time.monotonic() < give_up_at
        time.sleep(0.5)
