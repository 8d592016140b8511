"""The recipes do what they say: jobs of cron, a deployment in turn, workers that do a table of jobs in order."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import sqlite3
import subprocess
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from conftest import EXAMPLES, Program
from programs import SECONDS, rust_programs, wait_until

import leaselock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

LOST, WAIT_RAN_OUT = 79, 75
HASTE = {"DEPLOY_WAIT": "200ms"}


@dataclass
class Host:
    """A host with programs of its own, and `leaselock` in its PATH."""

    home: Path
    url: str
    started: list[subprocess.Popen[str]] = field(default_factory=list)

    @property
    def bin(self) -> Path:
        """Where its programs are."""
        return self.home / "bin"

    def has(self, path: Path, script: str) -> None:
        """Installs a program: a shell script."""
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def starts(self, command: list[str], **variables: str) -> subprocess.Popen[str]:
        """Starts a command in its home, with nothing in the environment but what is said here."""
        environment = {"HOME": str(self.home), "PATH": f"{self.bin}:/usr/bin:/bin", "LEASELOCK_URL": self.url}
        process = subprocess.Popen(
            command,
            cwd=self.home,
            env=environment | variables,
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self.started.append(process)
        return process

    def runs(self, command: list[str], **variables: str) -> tuple[int, str]:
        """Runs a command to its end: its status, and what it printed."""
        output, _ = (process := self.starts(command, **variables)).communicate(timeout=SECONDS)
        return process.returncode, output

    def ends(self, process: subprocess.Popen[str]) -> None:
        """Tells it and what it started to end; `leaselock run` passes that on to its command."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        process.communicate(timeout=SECONDS)


@pytest.fixture
def host(url: str, tmp_path: Path) -> Iterator[Host]:
    made = Host(tmp_path / "home", url)
    made.bin.mkdir(parents=True)
    (made.bin / "leaselock").symlink_to(rust_programs()["leaselock"])
    yield made
    for process in made.started:
        made.ends(process)


def cron_lines() -> tuple[dict[str, str], dict[str, list[str]]]:
    """The crontab as cron reads it: its variables, and of each job (by its lock) what is run."""
    variables, jobs = {}, {}
    for line in (EXAMPLES / "shell" / "crontab").read_text().splitlines():
        if not line or line.startswith("#"):
            continue
        if assignment := re.fullmatch(r"(\w+)=(\S+)", line):
            variables[assignment[1]] = assignment[2]
            continue
        *schedule, command = line.split(maxsplit=5)
        assert all(re.fullmatch(r"\*|\*/\d+|\d+", column) for column in schedule), line
        assert "%" not in command  # cron takes it for the end of a line
        jobs[command.split()[2]] = ["/bin/sh", "-c", command]
    return variables, jobs


def words_after(key: str, text: str) -> list[str]:
    """A list of words in a manifest, written as JSON has it."""
    found = re.search(rf"^\s*{key}: (\[.*\])$", text, re.MULTILINE)
    assert found, key
    words: list[str] = json.loads(found[1])
    return words


def test_the_probe_of_a_pod_says_whether_it_leads(host: Host) -> None:
    manifest = (EXAMPLES / "kubernetes" / "leader.yaml").read_text()
    container, probe = manifest.split("readinessProbe:")
    command, look = words_after("command", container), words_after("command", probe)
    host.has(host.home / "scheduler", "exec sleep 60")
    pods = ["scheduler-6d4-abc12", "scheduler-6d4-abc1"]
    running = {}
    for pod in pods:
        # What Kubernetes puts in.
        running[pod] = host.starts([word.replace("$(POD_NAME)", pod) for word in command], POD_NAME=pod)
        wait_until(lambda: host.runs(look, POD_NAME=pods[0])[0] == 0, "the first one leads")
    assert host.runs(look, POD_NAME=pods[1]) == (1, "")
    host.ends(running[pods[0]])
    wait_until(lambda: host.runs(look, POD_NAME=pods[1])[0] == 0, "the second one leads")
    assert host.runs(look, POD_NAME=pods[0]) == (1, "")


def test_cron_jobs_find_their_programs_and_their_store() -> None:
    variables, jobs = cron_lines()
    assert list(jobs) == ["sync", "report"]
    assert variables.keys() == {"PATH", "LEASELOCK_URL"}
    assert variables["PATH"].endswith("/usr/bin:/bin")


def test_cron_leaves_out_a_run_while_one_is_still_at_it(host: Host) -> None:
    job, log = cron_lines()[1]["sync"], host.home / "sync.log"
    host.has(host.bin / "sync-orders", "echo begins; while [ ! -e stop ]; do sleep 0.05; done; echo ends")
    first = host.starts(job)
    wait_until(lambda: log.exists() and "begins" in log.read_text(), "the first run works")
    assert host.runs(job) == (WAIT_RAN_OUT, "")
    (host.home / "stop").touch()
    assert first.wait(SECONDS) == 0
    assert host.runs(job) == (0, "")
    left_out = r"leaselock: .*sync.*\n"
    assert re.fullmatch(rf"begins\n{left_out}ends\nbegins\nends\n", log.read_text())


def test_cron_runs_the_nightly_job_on_one_host_alone(host: Host) -> None:
    job, log = cron_lines()[1]["report"], host.home / "report.log"
    host.has(host.bin / "make-report", "echo made >>made")
    assert host.runs(job) == (0, "")
    assert host.runs(job) == (WAIT_RAN_OUT, "")
    assert (host.home / "made").read_text() == "made\n"
    assert "leaselock: " in log.read_text()
    with leaselock.Client(host.url) as client:
        held = client.inspect("report")
        client.force_release("report")
    assert held is not None
    assert held.expires_in is not None
    assert 50 < held.expires_in <= 60


def test_cron_leaves_a_nightly_job_that_failed_to_the_next_host(host: Host) -> None:
    job = cron_lines()[1]["report"]
    host.has(host.bin / "make-report", "exit 3")
    assert host.runs(job) == (3, "")
    assert host.runs(job) == (3, "")


DEPLOY = [str(EXAMPLES / "shell" / "deploy-in-turn.sh")]


@pytest.mark.parametrize("status", [0, 3])
def test_a_deployment_has_its_arguments_token_and_status(host: Host, status: int) -> None:
    host.has(host.home / "deploy.sh", f'echo "$* under token $LEASELOCK_TOKEN"; exit {status}')
    done, output = host.runs([*DEPLOY, "--to", "all hosts"])
    assert done == status
    assert re.fullmatch(r"--to all hosts under token \d+\n", output)


def test_deployments_go_in_turn(host: Host) -> None:
    host.has(host.home / "deploy.sh", "echo begins >>log; sleep 0.2; echo ends >>log")
    deployments = [host.starts(DEPLOY) for _ in range(3)]
    outputs = [deployment.communicate(timeout=SECONDS)[0] for deployment in deployments]
    assert [deployment.returncode for deployment in deployments] == [0, 0, 0], outputs
    assert (host.home / "log").read_text() == "begins\nends\n" * 3


def test_a_deployment_that_waited_in_vain_says_for_whom(host: Host) -> None:
    host.has(host.home / "deploy.sh", "echo deployed")
    with leaselock.Client(host.url) as client, client.lock("deploy:prod", label="ann"):
        status, output = host.runs(DEPLOY, **HASTE)
    assert status == WAIT_RAN_OUT
    assert "deployed\n" not in output
    assert "Not deployed: another deployment did not end within 200ms:" in output
    assert "ann:" in output.split("within 200ms:")[1]
    assert host.runs(DEPLOY, **HASTE) == (0, "deployed\n")


@pytest.mark.parametrize("url", ["file"], indirect=True)  # it takes 20 s
def test_a_deployment_that_loses_the_lock_is_stopped(host: Host) -> None:
    host.has(host.home / "deploy.sh", "trap 'echo told to end; exit 1' TERM; touch begun; while :; do sleep 0.05; done")
    deployment = host.starts(DEPLOY)
    wait_until((host.home / "begun").exists, "it works")
    with leaselock.Client(host.url) as client:
        client.force_release("deploy:prod")
        # Its next renewal finds out, at a third of the TTL of 60 s.
        output, _ = deployment.communicate(timeout=SECONDS + 20)
    assert deployment.returncode == LOST
    assert "told to end" in output
    assert "Stopped half-way: the lock was lost." in output


def jobs(path: Path) -> list[tuple[str, str | None, int | None]]:
    """Input, output and token of every job, in order."""
    with sqlite3.connect(path, timeout=10) as database:
        rows = database.execute("SELECT input, output, token FROM jobs ORDER BY id").fetchall()
    database.close()
    return rows


def all_are_done_in_order(path: Path) -> None:
    rows = jobs(path)
    assert len(rows) == 10
    assert [output for _, output, _ in rows] == [text.upper() for text, _, _ in rows]
    tokens = [token for _, _, token in rows]
    assert all(older < newer for older, newer in pairwise(tokens) if older is not None and newer is not None)
    assert None not in tokens


@pytest.fixture
def worker(program: Callable[[str], Program], tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts a worker; those who still run at the end are killed."""
    started = []

    def start(url: str, *arguments: str) -> subprocess.Popen[str]:
        started.append(program("python/jobs.py").start(url, str(tmp_path / "jobs.db"), *arguments))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_workers_do_the_jobs_in_order_though_one_is_killed(
    worker: Callable[..., subprocess.Popen[str]], url: str, tmp_path: Path
) -> None:
    victim, *others = (worker(url) for _ in range(3))
    assert victim.stdout is not None
    assert "begins job" in victim.stdout.readline()
    victim.kill()
    outputs = [process.communicate(timeout=SECONDS)[0] for process in others]
    assert [process.returncode for process in others] == [0, 0]
    assert "too late" not in "".join(outputs)
    all_are_done_in_order(tmp_path / "jobs.db")


def test_a_worker_that_was_stopped_for_too_long_is_refused(
    worker: Callable[..., subprocess.Popen[str]], url: str, tmp_path: Path
) -> None:
    late = worker(url, "1")
    assert late.stdout is not None
    assert "begins job 1," in late.stdout.readline()
    late.send_signal(signal.SIGSTOP)
    heir = worker(url, "0.01")
    output, _ = heir.communicate(timeout=SECONDS)
    assert heir.returncode == 0
    assert "has done job 1\n" in output
    before = jobs(tmp_path / "jobs.db")
    late.send_signal(signal.SIGCONT)
    output, _ = late.communicate(timeout=SECONDS)
    assert late.returncode == 0
    assert f"{late.pid} was too late: another worker has the job" in output
    assert jobs(tmp_path / "jobs.db") == before
    all_are_done_in_order(tmp_path / "jobs.db")
