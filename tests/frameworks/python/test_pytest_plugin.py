"""The plugin for pytest, in runs of pytest of their own."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import entry_points
from typing import TYPE_CHECKING

import pytest
from conftest import EXAMPLES, PATIENCE

if TYPE_CHECKING:
    from pathlib import Path

# pytest-asyncio warns of a setting of its own.
STRICT = ["-W", "error", "-W", "ignore:The configuration option"]
WITHOUT = ["-p", "no:asyncio", "-p", "no:anyio"]


def run(folder: Path, source: str, *options: str) -> str:
    """Runs a file of tests where the plugin is installed; what pytest said. All of them have to pass."""
    (folder / "test_it.py").write_text(source)
    command = [sys.executable, "-m", "pytest", "-q", *STRICT, "-p", "no:cacheprovider", *options, "test_it.py"]
    done = subprocess.run(command, cwd=folder, text=True, capture_output=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_it_is_installed() -> None:
    assert [found.value for found in entry_points(group="pytest11") if found.name == "leaselock"] == [
        "leaselock_pytest"
    ]


@pytest.mark.parametrize("options", [[], WITHOUT], ids=["with", "without"])
def test_the_example(tmp_path: Path, options: list[str]) -> None:
    """With plugins for asyncio and without."""
    assert "3 passed" in run(tmp_path, (EXAMPLES / "test_with_fixtures.py").read_text(), *options)


def test_each_test_has_a_store_of_its_own(tmp_path: Path) -> None:
    source = """
import pytest

@pytest.mark.parametrize("number", range(3))
def test_store(number, leaselock_client, leaselock_url):
    assert list(leaselock_client.locks()) == []
    # Whoever does not give it back does not hinder the next test.
    leaselock_client.acquire("kept").detach()
    assert leaselock_url.startswith("memory:")
"""
    assert "3 passed" in run(tmp_path, source)


ASYNC = """
import pytest
{mark}
async def test_both(leaselock_client, leaselock_async_client):
    async with leaselock_async_client.lock("a"):
        assert leaselock_client.try_acquire("a") is None
    assert leaselock_client.try_acquire("a").release()

{mark}
async def test_what_is_held_is_given_back(leaselock_async_client):
    (await leaselock_async_client.acquire("a")).detach()
"""


@pytest.mark.parametrize(
    ("mark", "options"),
    [
        ("@pytest.mark.asyncio", []),
        ("", ["--asyncio-mode=auto"]),
        ("@pytest.mark.anyio\n@pytest.mark.parametrize('anyio_backend', ['asyncio'])", ["-p", "no:asyncio"]),
    ],
    ids=["asyncio", "auto", "anyio"],
)
def test_with_plugins_for_coroutines(tmp_path: Path, mark: str, options: list[str]) -> None:
    assert "2 passed" in run(tmp_path, ASYNC.format(mark=mark), *options)


def test_who_does_not_ask_has_nothing_imported(tmp_path: Path) -> None:
    source = """
import sys

def test_nothing():
    assert "leaselock_pytest" in sys.modules
    assert not [name for name in sys.modules if name.split(".")[0] == "leaselock"]
"""
    assert "1 passed" in run(tmp_path, source, *WITHOUT)


def test_it_is_light() -> None:
    """All that it imports is there already, in whatever pytest."""
    code = (
        "import pytest, sys, time; before = set(sys.modules); began = time.process_time(); import leaselock_pytest; "
        "took = time.process_time() - began; print(sorted(set(sys.modules) - before)); assert took < 0.05, took"
    )
    done = subprocess.run([sys.executable, "-c", code], text=True, capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (0, "['leaselock_pytest']\n"), done.stderr


def test_the_package_imports_no_framework() -> None:
    code = (
        "import sys, leaselock; print([n for n in sys.modules if n in ('celery', 'django', 'fastapi', 'apscheduler')])"
    )
    done = subprocess.run([sys.executable, "-c", code], text=True, capture_output=True, check=True)
    assert done.stdout == "[]\n"
    code = "import sys, leaselock; print([n for n in sys.modules if n.startswith(('leaselock._excl', 'leaselock._n'))])"
    done = subprocess.run([sys.executable, "-c", code], text=True, capture_output=True, check=True)
    assert done.stdout == "['leaselock._native']\n"
