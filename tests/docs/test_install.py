"""Every line of the pages that installs something does so, in an empty folder, and what it installs works by itself.

Such a line stands under a comment: <!-- install: pip -->. Where it names a registry, what `make dist` built stands in
for that registry. Lines that compile do so in the dev profile here; a user's is the release one.
"""

from __future__ import annotations

import importlib
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
from typing import TYPE_CHECKING

import pytest
from conftest import EXAMPLES, ROOT, Program

if TYPE_CHECKING:
    from pathlib import Path

DIST = ROOT / "dist"
MARKED = re.compile(r"^<!-- install: (\S+) -->\n```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
LINES: set[tuple[str, str]] = {
    (kind, line.strip()) for page in PAGES for kind, line in MARKED.findall(page.read_text())
}

pytestmark = pytest.mark.timeout(900)  # some compile


@pytest.fixture
def url(tmp_path: Path) -> str:
    """Where the locks are: what is installed is the question here, not the store."""
    return f"file:{tmp_path / 'locks.db'}"


def line_of(kind: str) -> str:
    """The one line by which the pages install so."""
    (line,) = {line for found, line in LINES if found == kind}
    return line


def built(pattern: str, part: str) -> list[Path]:
    """Artefacts in dist/, which the line is to find instead of those in a registry."""
    found = sorted(DIST.glob(pattern))
    if not found:
        missing = f"dist/ has no {pattern}: make dist ONLY={part}"
        if os.environ.get("CI") == "true":
            pytest.fail(missing)
        pytest.skip(missing)
    return found


def typed(line: str, folder: Path, **variables: str) -> None:
    """Types a line in a shell in `folder`."""
    # It computes, and must not delay the tests beside it.
    done = subprocess.run(
        ["nice", "-n", "10", "sh", "-c", line],
        cwd=folder,
        env={**os.environ, **variables},
        text=True,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"


def test_the_pages_install_in_these_ways() -> None:
    kinds = {kind for kind, _ in LINES}
    tested = {name.removeprefix("test_").replace("_", "-") for name in globals() if name.startswith("test_")}
    assert {"pip", "npm", "cargo", "clone"} <= kinds
    assert kinds <= tested, "how are these tested?"


def test_pip(url: str, tmp_path: Path) -> None:
    built("leaselock-*.whl", "wheel")
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "venv")], check=True)
    scripts = tmp_path / "venv" / "bin"
    typed(line_of("pip"), tmp_path, PATH=f"{scripts}:{os.environ['PATH']}", PIP_NO_INDEX="1", PIP_FIND_LINKS=str(DIST))
    quickstart = Program([str(scripts / "python"), str(EXAMPLES / "python" / "quickstart.py")])
    assert "writing the report" in quickstart.run(url)
    assert Program([str(scripts / "leaselock"), "--version"]).run(url).startswith("leaselock ")


def test_npm(url: str, tmp_path: Path) -> None:
    built("leaselock-*.tgz", "npm")
    sys.path.insert(0, str(ROOT / "scripts" / "dist"))
    with importlib.import_module("registry").registry() as registry:
        typed(line_of("npm"), tmp_path, NPM_CONFIG_REGISTRY=registry, NPM_CONFIG_CACHE=str(tmp_path / "cache"))
    node_quickstart(tmp_path, url)


def test_npm_path(url: str, tmp_path: Path) -> None:
    """The addon was built by `make setup`, as `npm install` in the clone does."""
    line = line_of("npm-path").replace("PATH-TO-THE-CLONE", str(ROOT))
    typed(line, tmp_path, NPM_CONFIG_OFFLINE="true", NPM_CONFIG_IGNORE_SCRIPTS="true")
    node_quickstart(tmp_path, url)


def node_quickstart(folder: Path, url: str) -> None:
    """The quickstart works in a project, and so does the command."""
    shutil.copy(EXAMPLES / "node" / "quickstart.mjs", folder)
    assert "writing the report" in Program(["node", "quickstart.mjs"], folder).run(url)
    assert Program(["npx", "--no-install", "leaselock", "--version"], folder).run(url).startswith("leaselock ")


def test_cargo(tmp_path: Path) -> None:
    """What is added is the crate as cargo packs it. It is compiled, and runs the quickstart, in `make dist-test`."""
    packed = tmp_path / "packed"
    command = ["cargo", "package", "--package=leaselock", "--no-verify", "--allow-dirty", "--locked", "--offline"]
    subprocess.run([*command, f"--target-dir={packed}"], cwd=ROOT, check=True, capture_output=True)
    (crate,) = packed.glob("package/leaselock-*.crate")
    with tarfile.open(crate) as archive:
        archive.extractall(packed, filter="data")
    project = tmp_path / "project"
    typed(f"cargo init --vcs=none {project}", tmp_path)
    shutil.copy(packed / crate.stem / "Cargo.lock", project)
    # Where there is a registry that has it, nothing is to be added to the line.
    typed(f"{line_of('cargo')} --path {packed / crate.stem}", project, CARGO_NET_OFFLINE="true")
    typed("cargo tree --invert leaselock", project, CARGO_NET_OFFLINE="true")


def test_cargo_cli(url: str, tmp_path: Path) -> None:
    typed(f"{line_of('cargo-cli')} --debug --locked --offline", ROOT, CARGO_INSTALL_ROOT=str(tmp_path))
    command = ["run", "first", "--", "sh", "-c", "echo token $LEASELOCK_TOKEN"]
    assert re.fullmatch(r"token \d+\n", Program([str(tmp_path / "bin" / "leaselock"), *command]).run(url))


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which the package was installed from a clone."""
    folder = tmp_path_factory.mktemp("installed")
    scripts = sysconfig.get_path("scripts")  # where pip and maturin are
    typed(
        line_of("clone"),
        ROOT,
        PATH=f"{scripts}:{os.environ['PATH']}",
        MATURIN_PEP517_ARGS="--profile=dev",
        PIP_NO_DEPS="1",
        PIP_TARGET=str(folder),
        # pip's own way of saying that the builder is here already.
        PIP_NO_BUILD_ISOLATION="0",
    )
    return folder


def test_clone(url: str, installed: Path) -> None:
    package = installed / "leaselock"
    assert (package / "py.typed").exists()
    assert (package / "_native.pyi").exists()
    assert list(installed.glob("leaselock-*.dist-info/licenses/LICENSE"))

    where = "import leaselock; print(leaselock.__file__, leaselock.__version__)"
    assert Program([sys.executable, "-c", where]).run(url, PYTHONPATH=str(installed)).startswith(str(package))
    quickstart = Program([sys.executable, str(EXAMPLES / "python" / "quickstart.py")])
    assert "writing the report" in quickstart.run(url, PYTHONPATH=str(installed))
