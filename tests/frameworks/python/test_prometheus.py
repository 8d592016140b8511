"""Metrics for Prometheus, as a scrape shows them."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
import urllib.request
import uuid
from typing import TYPE_CHECKING
from wsgiref.simple_server import WSGIRequestHandler, make_server

import pytest
from prometheus_client import CollectorRegistry, generate_latest, make_wsgi_app
from prometheus_client.parser import text_string_to_metric_families

from leaselock import Client, LockTimeoutError, _labels, prometheus
from leaselock._native import flush_observed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def registry() -> Iterator[CollectorRegistry]:
    registry = CollectorRegistry()
    stop = prometheus.instrument(registry)
    yield registry
    stop()
    assert generate_latest(registry) == b""


@pytest.fixture
def app_id() -> str:
    """Observers hear of all clients of the process, so each test looks at its own."""
    return uuid.uuid4().hex


class Quiet(WSGIRequestHandler):
    def log_message(self, *_: object) -> None:
        """Says nothing."""


def scraped(text: str, app_id: str) -> dict[str, float]:
    """Samples of one app id, by name and labels."""
    return {
        ",".join([sample.name, *(f"{k}={v}" for k, v in sorted(sample.labels.items()) if k != "app_id")]): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.labels.get("app_id") == app_id and not sample.name.endswith("_created")
    }


def test_the_figures_of_a_scrape(registry: CollectorRegistry, app_id: str) -> None:
    url = f"memory:{app_id}"
    server = make_server("127.0.0.1", 0, make_wsgi_app(registry), handler_class=Quiet)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()

    def scrape() -> dict[str, float]:
        flush_observed()
        with urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}/metrics") as answer:
            return scraped(answer.read().decode(), app_id)

    with Client(url, app_id=app_id) as client:
        held = client.acquire("order:1")
        for _ in range(3):
            assert client.try_acquire("order:1") is None
        with pytest.raises(LockTimeoutError):
            client.acquire("order:1", wait=0.2)
        waiter = threading.Thread(target=lambda: client.acquire("order:1").release())
        waiter.start()
        while client.stats().waiting == 0:
            time.sleep(0.01)
        now = scrape()
        assert now["leaselock_held,lock=order:*"] == 1
        assert now["leaselock_waiting,lock=order:*"] == 1
        held.release()
        waiter.join()
        lost = client.acquire("order:2", ttl=0.1, renew=False)
        time.sleep(0.2)
        assert not lost.held
        with client.lock("order:3", ttl=0.3):
            time.sleep(0.25)
    end = scrape()
    server.shutdown()
    server.server_close()
    thread.join()
    acquire, lock = "leaselock_acquire_seconds", "lock=order:*"
    assert end[f"{acquire}_count,{lock},outcome=acquired"] == 4
    assert end[f"{acquire}_count,{lock},outcome=busy"] == 3
    assert end[f"{acquire}_count,{lock},outcome=timed_out"] == 1
    assert 0.2 <= end[f"{acquire}_sum,{lock},outcome=timed_out"] < 2
    assert end[f"{acquire}_bucket,le=0.1,{lock},outcome=timed_out"] == 0
    assert end[f"{acquire}_bucket,le=+Inf,{lock},outcome=timed_out"] == 1
    assert end[f"leaselock_hold_seconds_count,{lock}"] == 4
    assert end[f"leaselock_hold_seconds_sum,{lock}"] >= 0.45
    assert end[f"leaselock_contended_total,{lock}"] == 1
    assert end[f"leaselock_lost_total,{lock},reason=expired"] == 1
    assert end[f"leaselock_renewed_total,{lock}"] >= 1
    assert end[f"leaselock_held,{lock}"] == end[f"leaselock_waiting,{lock}"] == 0
    assert end[f"leaselock_unsure,{lock}"] == 0
    assert end[f"leaselock_lost_total,{lock},reason=taken"] == 0
    assert {key.split(",")[1] for key in end} - {"le=+Inf"} <= {lock, *(f"le={b}" for b in BUCKETS)}


BUCKETS = {*prometheus.ACQUIRE_BUCKETS, *prometheus.HOLD_BUCKETS}


def test_labels_are_few_however_many_names_there_are(app_id: str) -> None:
    registry = CollectorRegistry()
    stop = prometheus.instrument(registry, label=lambda name: name)
    with Client(f"memory:{app_id}", app_id=app_id) as client:
        for n in range(500):
            client.acquire(f"name-{n}").release()
    found = scraped(generate_latest(registry).decode(), app_id)
    stop()
    counts = {key: value for key, value in found.items() if key.startswith("leaselock_hold_seconds_count")}
    assert len(counts) <= _labels.MOST + 1
    assert sum(counts.values()) == 500
    assert counts["leaselock_hold_seconds_count,lock=other"] >= 400


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("order:42", "order:*"),
        ("nightly-report", "nightly-report"),
        ("job-7", "job-*"),
        ("a/b/c", "a/*"),
        ("repo#12", "repo#*"),
        ("2024-01", "*"),
        ("naïve:x", "naïve:*"),
        ("x٣", "x*"),
        ("job-cebf19a2-77aa", "job-*"),
        ("deadbeef", "*"),
    ],
)
def test_what_names_of_one_kind_have_in_common(name: str, label: str) -> None:
    assert prometheus.family(name) == label


def test_several_processes_are_one_scrape(tmp_path: Path, app_id: str) -> None:
    """As under gunicorn: prometheus_client's files of several processes, of which one holds a lease."""
    program = f"""
import os, sys, time
from leaselock import Client, prometheus
prometheus.instrument()
children = []
for n in range(2):
    if (child := os.fork()) == 0:
        with Client("memory:x", app_id={app_id!r}) as client:
            client.acquire("n").release()
            lease = client.acquire("held")
            time.sleep(0.3)
            if n == 0:
                lease.release()
            time.sleep(0.3)
            os.write(1, b"ready\\n")
            sys.stdin.readline()
            os._exit(0)
    children.append(child)
for child in children:
    os.waitpid(child, 0)
"""
    env = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    with subprocess.Popen(
        [sys.executable, "-c", program], env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as crew:
        assert crew.stdout
        assert [crew.stdout.readline() for _ in range(2)] == ["ready\n"] * 2
        collect = """
from prometheus_client import CollectorRegistry, generate_latest, multiprocess
registry = CollectorRegistry()
multiprocess.MultiProcessCollector(registry)
print(generate_latest(registry).decode())
"""
        text = subprocess.run(
            [sys.executable, "-c", collect], env=env, check=True, capture_output=True, text=True
        ).stdout
        crew.communicate("go\ngo\n", timeout=30)
    found = scraped(text, app_id)
    assert found["leaselock_hold_seconds_count,lock=n"] == 2
    assert found["leaselock_held,lock=held"] == 1
    assert found["leaselock_held,lock=n"] == 0
