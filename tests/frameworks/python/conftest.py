"""What the tests of the modules for frameworks share: a server, names of their own, and programs beside them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import uuid
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

ROOT = Path(__file__).resolve().parents[3]
EXAMPLES = ROOT / "examples" / "python"
HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(ROOT / "tests"))

from programs import wait_until

from leaselock import Client

if TYPE_CHECKING:
    from collections.abc import Iterator

SERVERS: list[dict[str, Any]] = json.loads(os.environ.get("LEASELOCK_TEST_SERVERS", "[]"))
NO_SERVER = "no server: run the tests by `make test` or `python3 tests/servers.py -- pytest tests/frameworks/python`"
# A worker that hangs is no good answer; a machine that is busy is.
PATIENCE = 60

__all__ = ["EXAMPLES", "HERE", "PATIENCE", "ROOT", "Process", "process", "wait_until"]


@pytest.fixture
def url() -> str:
    """A server: what kind it is makes no difference here."""
    if not SERVERS:
        if os.environ.get("CI") == "true":
            pytest.fail(NO_SERVER)
        pytest.skip(NO_SERVER)
    return str(SERVERS[0]["url"])


@pytest.fixture
def app_id() -> str:
    """An app id that no other test uses."""
    return f"app-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def client(url: str, app_id: str) -> Iterator[Client]:
    """Somebody else who has the same locks."""
    with Client(url, app_id=app_id) as client:
        yield client


@pytest.fixture
def environment(url: str, app_id: str) -> dict[str, str]:
    """Where programs find the locks."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LEASELOCK_")}
    path = os.pathsep.join(filter(None, [str(HERE), os.environ.get("PYTHONPATH")]))
    return {**kept, "LEASELOCK_URL": url, "LEASELOCK_APP_ID": app_id, "PYTHONUNBUFFERED": "1", "PYTHONPATH": path}


@dataclass
class Process:
    """A program that runs, and where what it prints goes."""

    popen: subprocess.Popen[bytes]
    log: Path

    @property
    def said(self) -> str:
        """What it has printed until now."""
        return self.log.read_text()

    def ends(self) -> int:
        """Tells it to end; its status."""
        self.popen.send_signal(signal.SIGTERM)
        return self.popen.wait(PATIENCE)


@contextmanager
def process(words: list[str], folder: Path, environment: dict[str, str]) -> Iterator[Process]:
    """Runs a program in a folder, with all that it starts until the block is left."""
    path = folder / f"log-{uuid.uuid4().hex[:8]}"
    with path.open("wb") as log:
        started = subprocess.Popen(words, cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True)
    try:
        yield Process(started, path)
    except BaseException as error:
        if sys.version_info >= (3, 11):
            error.add_note(path.read_text())
        raise
    finally:
        with suppress(ProcessLookupError):
            os.killpg(started.pid, signal.SIGKILL)
        started.wait()
