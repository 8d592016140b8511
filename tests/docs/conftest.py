"""What the tests of the docs share: a store for each test, and ways to run the examples as a user would."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
sys.path.insert(0, str(ROOT / "tests"))

from programs import rust_programs

SERVERS: list[dict[str, str] | None] = json.loads(os.environ.get("LEASELOCK_TEST_SERVERS", "[]"))
NO_SERVER = "no server: run the tests by `make test` or `python3 tests/servers.py -- pytest tests/docs`"


def url_of(server: dict[str, str] | None) -> str:
    """The URL of a server; where there is none the test is skipped."""
    if server is None:
        if os.environ.get("CI") == "true":
            pytest.fail(NO_SERVER)
        pytest.skip(NO_SERVER)
    return server["url"]


def name_of(store: dict[str, str] | str | None) -> str:
    """What a test on this store is called."""
    return store["name"] if isinstance(store, dict) else store or "none"


@pytest.fixture(params=SERVERS or [None], ids=name_of)
def server_url(request: pytest.FixtureRequest) -> str:
    """The URL of a server; the test runs once on each."""
    return url_of(request.param)


@pytest.fixture(params=[*(SERVERS or [None]), "file"], ids=name_of)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a store; the test runs once on each server, and on a file."""
    return f"file:{tmp_path / 'locks.db'}" if request.param == "file" else url_of(request.param)


@dataclass(frozen=True)
class Program:
    """A program as a user starts it, in a shell where LEASELOCK_URL is `url`, or is not set where that is empty."""

    command: list[str]
    folder: Path | None = None
    """Where it is started; None: where the tests are."""

    def start(self, url: str, *arguments: str, **variables: str) -> subprocess.Popen[str]:
        """Starts it; its output and its errors come on one pipe."""
        environment = {k: v for k, v in os.environ.items() if not k.startswith("LEASELOCK_")}
        environment |= {"PYTHONUNBUFFERED": "1", **variables}
        if url:
            environment["LEASELOCK_URL"] = url
        return subprocess.Popen(
            [*self.command, *arguments],
            cwd=self.folder,
            env=environment,
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def run(self, url: str, *arguments: str, timeout: float = 100, **variables: str) -> str:
        """Runs it to a good end and returns all that it printed."""
        process = self.start(url, *arguments, **variables)
        try:
            output, _ = process.communicate(timeout=timeout)
        finally:
            process.kill()
            process.wait()
        assert process.returncode == 0, f"{self.command} ended with {process.returncode}:\n{output}"
        return output


@pytest.fixture
def program() -> Callable[[str], Program]:
    """Finds the program of a file in examples/, built where that is needed."""

    def find(name: str) -> Program:
        path = EXAMPLES / name
        assert path.exists(), f"there is no example {name}"
        match path.suffix:
            case ".py":
                return Program([sys.executable, str(path)])
            case ".mjs":
                return Program(["node", str(path)])
            case ".mts":
                return Program(["node", str(compiled(path))])
            case ".rs":
                return Program([rust_programs()[path.stem]])
        raise AssertionError(f"how is {name} run?")

    return find


@functools.cache
def compiled(path: Path) -> Path:
    """A TypeScript file as JavaScript, inside the project, so that `import "leaselock"` finds the package."""
    folder = ROOT / "target" / "docs"
    options = [
        "--ignoreConfig",
        "--target",
        "es2022",
        "--lib",
        "esnext,dom",
        "--module",
        "nodenext",
        "--strict",
        "--types",
        "node",
    ]
    options += ["--rootDir", str(path.parent), "--outDir", str(folder)]
    tsc = ROOT / "node_modules" / ".bin" / "tsc"
    done = subprocess.run([str(tsc), *options, str(path)], cwd=ROOT, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout
    return folder / path.with_suffix(".mjs").name
