"""Servers and workers as people run them: uWSGI, gunicorn and Celery, with a client made before they fork.

FIELD-BUGS 58, 59.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from conftest import PARAMS, running
from servers import free_port

from leaselock import Client

if TYPE_CHECKING:
    from collections.abc import Iterator

# Not imported here: eventlet would have its say in every fork of this process.
for module in ("gevent", "eventlet", "celery", "gunicorn", "pyuwsgi"):
    if find_spec(module) is None:
        pytest.skip(f"{module} is not installed", allow_module_level=True)

# Loaded once, in the process that forks: its client is in use by then, and a lease of its own is held and renewed.
APP = """
import os, time
from leaselock import Client

client = Client()
for _ in range(3): client.acquire("loading").release()
loaded_in, leader = os.getpid(), client.acquire(f"leader-{os.getpid()}", ttl=1)

def count():
    with client.lock("count", wait=30) as lease:
        with open("counted") as file: counted = int(file.read())
        time.sleep(0.01)
        with open("counted", "w") as file: file.write(str(counted + 1))
        lease.check()
    assert client.try_acquire("held elsewhere") is None
    assert leader.held is (os.getpid() == loaded_in)

def app(environ, start_response):
    count()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(os.getpid()).encode()]
"""
HOOK = """
import uwsgi
def after_fork():
    count()
uwsgi.post_fork_hook = after_fork
"""
REQUESTS = 24
PROCESSES = 3
# A worker that hangs is no good answer; a machine that is busy is.
PATIENCE = 60

UWSGI = [str(Path(sys.executable).parent / "uwsgi"), "--master", "--need-app", "--die-on-term", "--wsgi-file"]
UWSGI += ["app.py", "--callable", "app", "--processes", str(PROCESSES), "--http-socket"]
# A worker that is told to end while it starts does not hear it.
GUNICORN = [sys.executable, "-m", "gunicorn", "app:app", "--graceful-timeout", "3", "--no-control-socket"]
GUNICORN += ["--workers", str(PROCESSES), "--bind"]
# What follows is the address.
SERVERS = {
    "uwsgi": (UWSGI, []),
    "uwsgi-threads": (UWSGI, ["--enable-threads", "--threads", "2"]),
    "uwsgi-lazy-apps": (UWSGI, ["--lazy-apps"]),
    "uwsgi-hooks": (UWSGI, ["--enable-threads", "--py-call-osafterfork"]),
    "gunicorn": (GUNICORN, ["--preload"]),
    "gunicorn-threads": (GUNICORN, ["--preload", "--worker-class", "gthread", "--threads", "4"]),
    "gunicorn-gevent": (GUNICORN, ["--worker-class", "gevent"]),
    "gunicorn-gevent-preload": (GUNICORN, ["--worker-class", "gevent", "--preload"]),
}


@contextmanager
def process(words: list[str], folder: Path, environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """A program in its folder, which ends when it is asked to, and with the test."""
    with (folder / "log").open("wb") as log:
        started = subprocess.Popen(words, cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True)
        try:
            yield started
            started.send_signal(signal.SIGTERM)
            started.wait(PATIENCE)
        except BaseException as error:
            if sys.version_info >= (3, 11):
                error.add_note((folder / "log").read_text())
            raise
        finally:
            if started.poll() is None:
                os.killpg(started.pid, signal.SIGKILL)
                started.wait()


@pytest.fixture
def url() -> str:
    """Of one server: what kind it is makes no difference here."""
    return str(running(PARAMS[0])["url"])


def environment(url: str, app_id: str, **variables: str) -> dict[str, str]:
    return {**os.environ, "LEASELOCK_URL": url, "LEASELOCK_APP_ID": app_id, "PYTHONWARNINGS": "ignore", **variables}


def ask(address: str) -> int:
    """One request; who answered. Until the server is there, it is asked again."""
    until = time.monotonic() + PATIENCE
    while True:
        try:
            with urllib.request.urlopen(f"http://{address}/", timeout=PATIENCE) as answer:
                return int(answer.read())
        except ConnectionError:
            pass
        except urllib.error.URLError as error:
            if not isinstance(error.reason, ConnectionError):
                raise
        assert time.monotonic() < until, "the server does not come up"
        time.sleep(0.1)


@pytest.mark.skipif(sys.platform == "darwin", reason="fork is not what servers do there")
@pytest.mark.parametrize("server_type", SERVERS)
def test_field_bug_59_servers_that_fork(url: str, app_id: str, tmp_path: Path, server_type: str) -> None:
    (tmp_path / "app.py").write_text(APP + (HOOK if server_type == "uwsgi-hooks" else ""))
    (tmp_path / "counted").write_text("0")
    words, options = SERVERS[server_type]
    address = f"127.0.0.1:{free_port()}"
    with Client(url, app_id=app_id) as client, client.lock("held elsewhere"):
        with process([*words, address, *options], tmp_path, environment(url, app_id)):
            answered = [ask(address)]
            threads = [threading.Thread(target=lambda: answered.append(ask(address))) for _ in range(REQUESTS)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            # Whoever is first takes a connection; in the end more than one has.
            until = time.monotonic() + PATIENCE
            while len(set(answered)) < 2:
                assert time.monotonic() < until
                answered.append(ask(address))
        hooks = PROCESSES if server_type == "uwsgi-hooks" else 0
        assert (tmp_path / "counted").read_text() == str(len(answered) + hooks)
        assert len(answered) > REQUESTS


CELERY = """
from celery import Celery
import app as counting
app = Celery("tasks", broker=os.environ["BROKER"], backend=os.environ["BROKER"])
app.conf.task_default_queue = app.conf.result_backend_transport_options["global_keyprefix"] = os.environ["QUEUE"]

@app.task
def count():
    counting.count()
    return os.getpid()
"""


@pytest.mark.parametrize("pool", ["gevent", "eventlet", "prefork", "threads"])
def test_field_bug_58_celery(url: str, app_id: str, name: str, tmp_path: Path, pool: str) -> None:
    (tmp_path / "app.py").write_text(APP)
    (tmp_path / "counted").write_text("0")
    (tmp_path / "tasks.py").write_text("import os\n" + CELERY)
    (tmp_path / "ask.py").write_text(
        f"import tasks\nresults = [tasks.count.delay() for _ in range({REQUESTS})]\n"
        f"print(len({{result.get(timeout={PATIENCE}) for result in results}}))\n"
    )
    worker = [sys.executable, "-m", "celery", "--app", "tasks", "worker", "--pool", pool, "--concurrency", "4"]
    worker += ["--without-mingle", "--without-gossip", "--without-heartbeat", "--loglevel", "WARNING"]
    variables = environment(url, app_id, BROKER=f"{url}/1", QUEUE=name)
    with Client(url, app_id=app_id) as client, client.lock("held elsewhere"):
        with process(worker, tmp_path, variables):
            asked = subprocess.run(
                [sys.executable, "ask.py"],
                cwd=tmp_path,
                env=variables,
                stdout=subprocess.PIPE,
                text=True,
                timeout=2 * PATIENCE,
                check=True,
            )
        assert (tmp_path / "counted").read_text() == str(REQUESTS)
        assert int(asked.stdout) == (4 if pool == "prefork" else 1)
