"""`pip install .` gives a package that works by itself. Built in the dev profile here; a user's is the release one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from conftest import EXAMPLES, ROOT, Program


def test_pip_install(url: str, tmp_path: Path) -> None:
    scripts = Path(sys.executable).parent  # where maturin is
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation"]
    done = subprocess.run(
        [*command, "--target", str(tmp_path), str(ROOT)],
        env={**os.environ, "MATURIN_PEP517_ARGS": "--profile=dev", "PATH": f"{scripts}:{os.environ['PATH']}"},
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    package = tmp_path / "leaselock"
    assert (package / "py.typed").exists()
    assert (package / "_native.pyi").exists()
    assert list(tmp_path.glob("leaselock-*.dist-info/licenses/LICENSE"))

    where = "import leaselock; print(leaselock.__file__, leaselock.__version__)"
    assert Program([sys.executable, "-c", where]).run(url, PYTHONPATH=str(tmp_path)).startswith(str(package))
    quickstart = Program([sys.executable, str(EXAMPLES / "python" / "quickstart.py")])
    assert "writing the report" in quickstart.run(url, PYTHONPATH=str(tmp_path))
