"""`leaselock.django` in gunicorn and uvicorn, and by `manage.py`."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from beats import never_two, runs
from conftest import PATIENCE, process, wait_until
from servers import free_port

if TYPE_CHECKING:
    from pathlib import Path

    from leaselock import Client

PORT = "PORT"
SERVERS = {
    "gunicorn": [
        *("gunicorn", "django.core.wsgi:get_wsgi_application()", "--bind", f"127.0.0.1:{PORT}", "--preload"),
        *("--workers", "2", "--worker-class", "gthread", "--threads", "8", "--no-control-socket"),
    ],
    "uvicorn": ["uvicorn", "--factory", "django.core.asgi:get_asgi_application", "--port", PORT],
    "runserver": ["django", "runserver", "--noreload", PORT],
}


@pytest.fixture
def site(environment: dict[str, str], tmp_path: Path, url: str, app_id: str) -> dict[str, str]:
    """The environment of the site, which has the locks of `client`."""
    setting = json.dumps({"url": url, "app_id": app_id})
    nowhere = {"LEASELOCK_URL": "redis://127.0.0.1:1"}
    own = {"DJANGO_SETTINGS_MODULE": "django_site", "FOLDER": str(tmp_path), "SETTING": setting}
    return {**environment, **nowhere, **own}


@pytest.mark.parametrize("server", SERVERS)
def test_never_two_at_one_order(tmp_path: Path, site: dict[str, str], server: str) -> None:
    """Plain views and coroutines, with a block and with the decorator."""
    port = str(free_port())
    words = [sys.executable, "-m", *(word.replace(PORT, port) for word in SERVERS[server])]

    def ask(view: str) -> dict[str, Any]:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/{view}/7", timeout=PATIENCE) as answer:
            return dict(json.loads(answer.read()))

    with process(words, tmp_path, site) as running:

        def answers() -> bool:
            assert running.popen.poll() is None, running.said
            try:
                return bool(ask("plain"))
            except (urllib.error.URLError, ConnectionError):
                return False

        wait_until(answers, "it listens", PATIENCE)
        views = ["plain", "coroutine", "decorated", "decorated-coroutine"] * 5
        with ThreadPoolExecutor(len(views)) as pool:
            said = list(pool.map(ask, views))
    tokens = [answer["token"] for answer in said if "token" in answer]
    assert len(set(tokens)) == 10
    done = never_two(str(tmp_path / "orders"))
    assert len(done) > len(views)
    processes = len({run.pid for run in done})
    # One client of each kind in each process.
    clients = {answer["client"] for answer in said if "client" in answer}
    assert len(clients) <= 2 * processes
    assert len(runs(str(tmp_path / "orders"))) == len(done)


@dataclass
class Manage:
    """`manage.py`."""

    folder: Path
    environment: dict[str, str]

    def __call__(self, *words: str, **variables: str) -> tuple[int, str, str]:
        """Runs a command: status, output, errors."""
        command = [sys.executable, "-m", "django", *words]
        environment = self.environment | variables
        done = subprocess.run(
            command, cwd=self.folder, env=environment, text=True, capture_output=True, timeout=PATIENCE, check=False
        )
        return done.returncode, done.stdout, done.stderr


@pytest.fixture
def manage(tmp_path: Path, site: dict[str, str]) -> Manage:
    return Manage(tmp_path, site)


def test_manage_py_locks(manage: Manage, client: Client) -> None:
    assert manage("locks") == (0, "", "no locks are held\n")
    with client.lock("order:7", label="ann"), client.lock("report", ttl=60):
        status, said, errors = manage("locks")
        assert (status, errors) == (0, "")
        title, order, report = said.splitlines()
        assert title.split() == ["NAME", "OWNER", "EXPIRES", "IN", "WAITING"]
        assert re.fullmatch(r"order:7  ann:\w+ +[\d.]+ s +0", order)
        assert re.fullmatch(r"report   \w+ +[\d.]+ s +0", report)
        assert "report" not in manage("locks", "order:*")[1]
        assert manage("locks", "nothing*") == (0, "", "no locks are held that match\n")


def test_manage_py_locks_release(manage: Manage, client: Client) -> None:
    lease = client.acquire("order:7")
    status, said, _ = manage("locks", "--release", "order:7")
    assert status == 0
    assert said.startswith("order:7 was released, whoever held it. Its holder learns of it")
    assert lease.wait_lost(PATIENCE)
    status, said, errors = manage("locks", "--release", "order:7")
    assert (status, said) == (1, "")
    assert "order:7 is free: there was nothing to release" in errors
    status, _, errors = manage("locks", SETTING='{"url": "redis://127.0.0.1:1"}')
    assert status == 1
    assert "127.0.0.1:1" in errors
    assert "Traceback" not in errors


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ('{"url": "ftp://host"}', "scheme"),
        ('{"url": "redis://localhost", "colour": "red"}', "colour"),
        ('{"url": "redis://localhost", "replicas": -1}', "replicas"),
        ('"redis://localhost"', "LEASELOCK is a str; it must be a dict"),
        ('{"url": 7}', "url"),
    ],
)
def test_a_bad_setting_is_refused_at_the_start(manage: Manage, setting: str, words: str) -> None:
    status, _, errors = manage("check", SETTING=setting)
    assert status == 1
    assert "leaselock.E001" in errors
    assert words in errors
    assert "Traceback" not in errors


def test_without_the_setting_the_environment_says_where(manage: Manage, url: str) -> None:
    del manage.environment["SETTING"]
    assert manage("check", LEASELOCK_URL=url)[0] == 0
    del manage.environment["LEASELOCK_URL"]
    status, _, errors = manage("check")
    assert status == 1
    assert "LEASELOCK_URL" in errors


TESTS = """
from django.test import SimpleTestCase, override_settings
from leaselock.django import aclient, client, exclusive

@exclusive("{a}", on_busy="skip")
def work(a):
    return client.inspect(a).name

@exclusive("{a}", on_busy="skip")
async def async_work(a):
    return (await aclient.inspect(a)).name

class Tests(SimpleTestCase):
    def test_each_has_its_store(self):
        first = client.id
        for name in "one", "two":
            with override_settings(LEASELOCK={"url": f"memory:{name}"}):
                assert client.id != first
                assert client.acquire("kept")
                assert work("a") == "a"
                with client.lock("a"):
                    assert work("a") is None
        with self.assertRaisesMessage(Exception, "scheme"), override_settings(LEASELOCK={"url": "ftp://x"}):
            client.id

    @override_settings(LEASELOCK={"url": "memory:three"})
    async def test_coroutines(self):
        assert await async_work("a") == "a"
        async with aclient.lock("a"):
            assert await async_work("a") is None
"""


def test_tests_may_override_the_setting(manage: Manage) -> None:
    (manage.folder / "test_site.py").write_text(TESTS)
    status, said, errors = manage("test", "--pythonpath", str(manage.folder))
    assert status == 0, said + errors
    assert "Ran 2 tests" in errors
