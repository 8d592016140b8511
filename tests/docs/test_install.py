"""`pip install .` gives a package that works by itself. Built in the dev profile here; a user's is the release one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import EXAMPLES, ROOT, Program


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the package in it."""
    folder = tmp_path_factory.mktemp("installed")
    scripts = Path(sys.executable).parent  # where maturin is
    # It computes, and must not delay the tests beside it.
    command = [
        "nice",
        "-n",
        "10",
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
    ]
    done = subprocess.run(
        [*command, "--target", str(folder), str(ROOT)],
        env={**os.environ, "MATURIN_PEP517_ARGS": "--profile=dev", "PATH": f"{scripts}:{os.environ['PATH']}"},
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.timeout(600)  # it compiles
def test_pip_install(url: str, installed: Path) -> None:
    package = installed / "leaselock"
    assert (package / "py.typed").exists()
    assert (package / "_native.pyi").exists()
    assert list(installed.glob("leaselock-*.dist-info/licenses/LICENSE"))

    where = "import leaselock; print(leaselock.__file__, leaselock.__version__)"
    assert Program([sys.executable, "-c", where]).run(url, PYTHONPATH=str(installed)).startswith(str(package))
    quickstart = Program([sys.executable, str(EXAMPLES / "python" / "quickstart.py")])
    assert "writing the report" in quickstart.run(url, PYTHONPATH=str(installed))
