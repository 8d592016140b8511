"""The program, and the commands of the Python and the Node package: one and the same."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from conftest import ROOT, Program
from programs import SECONDS

if TYPE_CHECKING:
    from pathlib import Path

PACKAGE = json.loads((ROOT / "package.json").read_text())
PACKAGES = {
    "python": [sys.executable, "-m", "leaselock"],
    "node": ["node", str(ROOT / PACKAGE["bin"]["leaselock"])],
}


@pytest.mark.parametrize("package", PACKAGES)
@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        ("--help", 0),
        ("--version", 0),
        ("run --help", 0),
        ("doctor -h", 0),
        ("completions zsh", 0),
        ("man run", 0),
        ("", 64),
        ("run", 64),
        ("ls --url nonsense", 64),
        ("inspect job", 1),
        ("inspect job --json", 1),
        ("release job --force", 1),
        ("doctor --json", 0),
        ("ls", 0),
        ("run job -- sh -c 'echo $LEASELOCK_NAME; exit 9'", 9),
        ("run job -- sh -c 'kill -USR2 $$'", 140),
        ("run job -- no-such-command-at-all", 127),
        ("run job -- /", 126),
        ("ls --url redis://127.0.0.1:1", 69),
    ],
)
def test_every_package_brings_the_same_command(
    package: str, arguments: str, status: int, path: str, tmp_path: Path
) -> None:
    environment = Program(path, f"file:{tmp_path}/locks.db").environment()
    ends = [
        subprocess.run(
            ["sh", "-c", f'exec "$@" {arguments}', "sh", *command],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=SECONDS,
            check=False,
        )
        for command in ([path], PACKAGES[package])
    ]
    program, packaged = ((end.returncode, end.stdout, end.stderr) for end in ends)
    assert program[0] == status, program[2]
    if arguments.startswith("doctor --json"):  # what is measured differs
        assert packaged[0] == status
        assert [c["check"] for c in json.loads(packaged[1])["checks"]] == [
            c["check"] for c in json.loads(program[1])["checks"]
        ]
    else:
        assert packaged == program
