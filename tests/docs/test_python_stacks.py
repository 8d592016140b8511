"""The examples of the pages on Python's frameworks and of the recipes run as they stand there."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import urllib.error
import urllib.request
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from conftest import EXAMPLES, ROOT, Program
from programs import SECONDS, rust_programs, wait_until
from servers import free_port

import leaselock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

PYTHON = EXAMPLES / "python"
# What is worked on in the examples for so long, and started by programs that take their time.
PATIENCE = 60


@contextmanager
def running(program: Program, url: str, **variables: str) -> Iterator[subprocess.Popen[str]]:
    """A server or a worker, in a session of its own."""
    process = program.start(url, **variables)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.communicate(timeout=PATIENCE)
        finally:
            process.kill()
            process.wait()


def ask(port: int, path: str, method: str) -> tuple[int, str]:
    """One request: status and answer; 0 where nobody listens yet."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", method=method)
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except (urllib.error.URLError, ConnectionError):
        return 0, ""


def test_celery_tasks(server_url: str) -> None:
    from celery import Celery  # noqa: PLC0415

    queue, broker = f"queue-{uuid.uuid4().hex[:8]}", f"{server_url}/1"
    words = [sys.executable, "-m", "celery", "--app", "celery_tasks", "worker", "--concurrency", "4"]
    words += ["--queues", queue, "--loglevel", "INFO"]
    app = Celery(broker=broker, backend=broker)

    def send(task: str, *arguments: int) -> Any:
        return app.send_task(f"celery_tasks.{task}", arguments, queue=queue)

    with running(Program(words, PYTHON), server_url, BROKER_URL=broker):
        assert send("write_report").get(timeout=PATIENCE) == "the report is written"
        imports = [send("import_contacts", user) for user in (1, 1, 1, 2)]
        ships = [send("ship", 7) for _ in range(2)]
        nights = [send("nightly").get(timeout=PATIENCE) for _ in range(2)]
        first = sorted(str(found.get(timeout=PATIENCE)) for found in imports[:3])
        assert first == ["None", "None", "imported the contacts of user 1"]
        assert imports[3].get(timeout=PATIENCE) == "imported the contacts of user 2"
        shipped = sorted(found.get(timeout=PATIENCE) for found in ships)
        assert shipped[0] == "order 7 is shipped, after 0 retries"
        assert re.fullmatch(r"order 7 is shipped, after [1-9] retries", shipped[1])
        assert nights == ["done", None]
    with leaselock.Client(server_url, app_id="shop") as client:
        client.force_release("nightly")


def test_django_views(server_url: str) -> None:
    """The views, `settings`, `urls` and `manage.py`."""
    port, folder = free_port(), EXAMPLES / "django"
    words = [sys.executable, "manage.py", "runserver", "--noreload", str(port)]
    with (
        running(Program(words, folder), server_url),
        leaselock.Client(server_url, app_id="shop") as client,
    ):
        wait_until(lambda: ask(port, "/report", "GET")[0] == 200, "it listens", PATIENCE)
        assert re.fullmatch(r"order 7 is paid, token \d+", ask(port, "/orders/7/pay", "GET")[1])
        assert ask(port, "/orders/7/ship", "GET")[1] == "order 7 is shipped"
        assert ask(port, "/report", "GET")[1] == "the report is written"
        with client.lock("order:7"), client.lock("report"):
            assert ask(port, "/orders/7/pay", "GET") == (423, "this order is being worked on, try again")
            assert ask(port, "/report", "GET")[1] == "the report is being written"
            listed = Program([sys.executable, "manage.py", "locks", "order:*"], folder).run(server_url)
            assert listed.splitlines()[1].startswith("order:7")
    assert "no issues" in Program([sys.executable, "manage.py", "check"], folder).run(server_url)


def test_fastapi_app(server_url: str) -> None:
    port = free_port()
    words = [sys.executable, "-m", "uvicorn", "fastapi_app:app", "--port", str(port), "--workers", "2"]
    with running(Program(words, PYTHON), server_url), ThreadPoolExecutor(4) as pool:
        wait_until(lambda: ask(port, "/orders/7", "GET") == (200, '{"busy":false}'), "it listens", PATIENCE)
        paid = list(pool.map(lambda _: ask(port, "/orders/7/pay", "POST"), range(4)))
        # Half a second each, and a second to wait: the last of four, at least, is told that it is busy.
        assert {status for status, _ in paid} == {200, 423}
        tokens = [json.loads(said)["token"] for status, said in paid if status == 200]
        assert len(tokens) == len(set(tokens))
        assert '{"detail":"order:7 is busy"}' in [said for _, said in paid]
        assert ask(port, "/orders/7/ship", "POST") == (200, '{"shipped":7}')


def test_apscheduler_jobs(server_url: str, tmp_path: Path) -> None:
    """Two copies: each run is done by one of them."""
    words = [sys.executable, str(PYTHON / "apscheduler_jobs.py")]
    copies = [Program([*words, str(tmp_path / f"{name}.db")]).start(server_url) for name in "ab"]
    try:
        with pytest.raises(subprocess.TimeoutExpired):
            copies[0].wait(10)
    finally:
        for copy in copies:
            copy.send_signal(signal.SIGKILL)
    said = "".join(copy.communicate()[0] for copy in copies)
    written = re.findall(r"^(\d+) writes the report of Norway$", said, re.MULTILINE)
    assert 2 <= len(written) <= 4, said


def test_with_fixtures() -> None:
    words = [sys.executable, "-m", "pytest", "-q", str(PYTHON / "test_with_fixtures.py")]
    assert "3 passed" in Program(words).run("", timeout=PATIENCE)


def test_sqlalchemy_fence(url: str, program: Callable[[str], Program], tmp_path: Path) -> None:
    said = program("python/sqlalchemy_fence.py").run(url, f"sqlite:///{tmp_path / 'orders.db'}")
    assert said.splitlines() == ["order 7 is paid", "and its many rows are written", "too late: refused"]


SERVICE = EXAMPLES / "systemd" / "report.service"


def test_systemd_units_are_units() -> None:
    """`report.service` and `report.timer`, by systemd itself."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("there is no systemd-analyze")
    units = [str(SERVICE), str(SERVICE.with_suffix(".timer"))]
    done = subprocess.run(["systemd-analyze", "verify", *units], text=True, capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def host(tmp_path: Path, **programs: str) -> str:
    """A PATH with `leaselock` and these programs: shell scripts."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "leaselock").symlink_to(rust_programs()["leaselock"])
    for name, script in programs.items():
        (folder / name.replace("_", "-")).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name.replace("_", "-")).chmod(0o755)
    return f"{folder}:/usr/bin:/bin"


def test_the_service_does_the_report_on_one_host(url: str, tmp_path: Path) -> None:
    """Its command, as systemd splits it: the first host does it, and the second's status is no failure."""
    text = SERVICE.read_text()
    (line,) = re.findall(r"^ExecStart=(.*)$", text, re.MULTILINE)
    words = line.split()
    path = host(tmp_path, make_report="echo made >>made")
    (allowed,) = re.findall(r"^SuccessExitStatus=(\d+)$", text, re.MULTILINE)
    for status in (0, int(allowed)):
        run = Program(words, tmp_path).start(url, PATH=path)
        run.communicate(timeout=SECONDS)
        assert run.returncode == status
    assert (tmp_path / "made").read_text() == "made\n"
    with leaselock.Client(url) as client:
        client.force_release("report")


def test_the_workflow_deploys_in_turn(url: str, tmp_path: Path) -> None:
    """The command of `deploy.yml`, as the runner's shell has it."""
    (line,) = re.findall(
        r"^ +run: (exec leaselock .*)$", (EXAMPLES / "github" / "deploy.yml").read_text(), re.MULTILINE
    )
    (tmp_path / "deploy.sh").write_text("#!/bin/sh\necho begins >>log; sleep 0.2; echo ends >>log\n")
    (tmp_path / "deploy.sh").chmod(0o755)
    variables = {"PATH": host(tmp_path), "GITHUB_REPOSITORY": "shop/site", "GITHUB_RUN_ID": "7"}
    runs = [Program(["bash", "-e", "-c", line], tmp_path).start(url, **variables) for _ in range(3)]
    outputs = [run.communicate(timeout=SECONDS)[0] for run in runs]
    assert [run.returncode for run in runs] == [0, 0, 0], outputs
    assert (tmp_path / "log").read_text() == "begins\nends\n" * 3


def test_the_workflow_in_steps_keeps_the_lock_between_them(url: str, tmp_path: Path) -> None:
    """The commands of `deploy-in-steps.yml`, each in a shell of its own, as the runner has them."""
    workflow = yaml.safe_load((EXAMPLES / "github" / "deploy-in-steps.yml").read_text())
    steps = [step["run"] for step in workflow["jobs"]["deploy"]["steps"] if "run" in step]
    assert steps[0] == "pip install leaselock"
    for script in ("migrate.sh", "deploy.sh"):
        (tmp_path / script).write_text(
            '#!/bin/sh\nleaselock inspect deploy:prod --json | grep -F "$LOCK_OWNER" >>log\n'
        )
        (tmp_path / script).chmod(0o755)
    kept = tmp_path / "environment"
    kept.touch()
    variables = {
        "PATH": host(tmp_path),
        "GITHUB_REPOSITORY": "shop/site",
        "GITHUB_RUN_ID": "7",
        "GITHUB_ENV": str(kept),
    }
    for step in steps[1:]:
        run = Program(["bash", "-e", "-c", step], tmp_path).start(url, **variables)
        output = run.communicate(timeout=SECONDS)[0]
        assert run.returncode == 0, (step, output)
        variables |= dict(line.split("=", 1) for line in kept.read_text().splitlines())
    assert variables["LOCK_OWNER"].startswith("shop/site#7:")
    lines = (tmp_path / "log").read_text().splitlines()
    assert len(lines) == 2
    assert all('"held":true' in line for line in lines)
    with leaselock.Client(url) as client:
        assert client.inspect("deploy:prod") is None


TERRAFORM = [str(EXAMPLES / "shell" / "terraform-in-turn.sh"), "network"]


def test_terraform_in_turn(url: str, tmp_path: Path) -> None:
    """Nobody comes between a plan and its application."""
    (tmp_path / "network").mkdir()
    path = host(tmp_path, terraform='echo "$1" >>../log; [ "$1" = apply ] || touch plan.tfplan; sleep 0.2')
    runs = [Program(TERRAFORM, tmp_path).start(url, PATH=path) for _ in range(3)]
    outputs = [run.communicate(timeout=SECONDS)[0] for run in runs]
    assert [run.returncode for run in runs] == [0, 0, 0], outputs
    assert (tmp_path / "log").read_text() == "plan\napply\n" * 3
    assert list((tmp_path / "network").iterdir()) == []
    (tmp_path / "log").unlink()
    with leaselock.Client(url) as client, client.lock("terraform:network"):
        late = Program(TERRAFORM, tmp_path).start(url, PATH=path, TERRAFORM_WAIT="200ms")
        late.communicate(timeout=SECONDS)
        assert late.returncode == 75
    assert not (tmp_path / "log").exists()


def test_the_examples_stand_where_they_are_said_to() -> None:
    assert os.access(ROOT / TERRAFORM[0], os.X_OK)
