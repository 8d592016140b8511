"""`leaselock doctor` on stores without a server."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from conftest import Program
from programs import SECONDS, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from doctor_report import Report

pytest_plugins = ["doctoring"]


def test_a_file_that_is_not_there_is_not_made(tmp_path: Path, doctor: Callable[..., Report]) -> None:
    report = doctor(f"file:{tmp_path}/locks.db")
    assert (report.status, report.bad, report.unknown) == (0, set(), set())
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_use_is_well(tmp_path: Path, path: str, doctor: Callable[..., Report]) -> None:
    url = f"file:{tmp_path}/locks.db"
    held = Program(path, url).run("run", "job", "--", path, "doctor", "--json")
    assert held.returncode == 0, held.stderr
    report = doctor(url)
    assert (report.status, report.bad, report.unknown) == (0, set(), set())
    assert "sound" in report["file"]["seen"]


def test_a_file_that_everybody_may_write(tmp_path: Path, path: str, doctor: Callable[..., Report]) -> None:
    url, file = f"file:{tmp_path}/locks.db", tmp_path / "locks.db"
    assert Program(path, url).run("run", "job", "true").returncode == 64, "-- is missing"
    assert Program(path, url).run("run", "job", "--", "true").returncode == 0
    assert report_of_mode(doctor, url, file, 0o660) == "ok"
    assert report_of_mode(doctor, url, file, 0o666) == "warning"
    file.chmod(0o600)
    assert report_of_mode(doctor, url, tmp_path, 0o777) == "warning"
    assert report_of_mode(doctor, url, tmp_path, 0o1777) == "ok"


def report_of_mode(doctor: Callable[..., Report], url: str, path: Path, mode: int) -> str | None:
    path.chmod(mode)
    return doctor(url).level("permissions")


def test_a_damaged_file_is_a_problem(tmp_path: Path, path: str, doctor: Callable[..., Report]) -> None:
    url, file = f"file:{tmp_path}/locks.db", tmp_path / "locks.db"
    assert Program(path, url).run("run", "job", "--", "true").returncode == 0
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2] + b"\xff" * (len(whole) - len(whole) // 2))
    report = doctor(url)
    assert report.status == 1
    assert {report.level("file"), report.level("connection")} & {"problem"}


def test_what_is_no_store(tmp_path: Path, doctor: Callable[..., Report]) -> None:
    (tmp_path / "letter.txt").write_text("Dear reader,")
    for url in (f"file:{tmp_path}/letter.txt", f"file:{tmp_path}/missing/locks.db", f"file:{tmp_path}"):
        report = doctor(url)
        assert (report.status, report.level("connection")) == (1, "problem"), url
    assert (tmp_path / "letter.txt").read_text() == "Dear reader,"


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="Linux has a file system in memory there")
def test_a_file_in_memory(doctor: Callable[..., Report]) -> None:
    assert "in memory" in doctor("file:/dev/shm/leaselock-doctor-test.db")["file system"]["seen"]


def test_the_memory_of_one_process(doctor: Callable[..., Report]) -> None:
    report = doctor("memory:tests")
    assert (report.status, report.level("memory")) == (0, "warning")


def test_field_bug_68_a_process_stopped_in_a_transaction_is_named(
    tmp_path: Path, path: str, doctor: Callable[..., Report]
) -> None:
    url, file = f"file:{tmp_path}/locks.db", tmp_path / "locks.db"
    assert Program(path, url).run("run", "job", "--", "true").returncode == 0
    assert doctor(url).level("transactions") == "ok"
    # As a process that works with the store is stopped by a debugger, Ctrl-Z or `docker pause`.
    code = (
        "import os, signal, sqlite3, sys\n"
        "store = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "store.execute('BEGIN IMMEDIATE')\n"
        "os.kill(os.getpid(), signal.SIGSTOP)\n"
        "store.execute('ROLLBACK')\n"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(file)]) as stopped:
        try:
            wait_until(lambda: state_of(stopped.pid) == "T", "it is stopped")
            report = doctor(url)
            assert (report.status, report.level("transactions")) == (1, "problem")
            assert f"process {stopped.pid} " in report["transactions"]["seen"]
            assert "is stopped" in report["transactions"]["seen"]
            assert f"kill -CONT {stopped.pid}" in report["transactions"]["todo"]
        finally:
            stopped.send_signal(signal.SIGCONT)
        assert stopped.wait(SECONDS) == 0
    report = doctor(url)
    assert (report.status, report.level("transactions"), report.level("file")) == (0, "ok", "ok")


def state_of(process: int) -> str:
    return Path(f"/proc/{process}/stat").read_text().rsplit(") ", 1)[1][0]


def test_field_bug_68_another_time_namespace_is_named(tmp_path: Path, path: str) -> None:
    apart = ["unshare", "--time", "--boottime", "100000"]
    if subprocess.run([*apart, "true"], check=False, capture_output=True).returncode != 0:
        pytest.skip("no time namespace may be made here")
    program = Program(path, f"file:{tmp_path}/locks.db")
    assert program.run("run", "job", "--", "true").returncode == 0
    report = subprocess.run(
        [*apart, path, "doctor", "--json"],
        env=program.environment(),
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert report.returncode == 1
    assert "time namespace" in report.stdout
