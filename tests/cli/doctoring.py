"""What the tests of `leaselock doctor` share: a plugin of pytest with two fixtures."""

from __future__ import annotations

import json
import tempfile
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest
from conftest import Program
from doctor_report import BINARIES, Report
from servers import Server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture
def doctor(path: str) -> Callable[..., Report]:
    """Runs it on a store, in both forms."""

    def run(url: str, *args: str, **variables: str) -> Report:
        program = Program(path, url)
        text, data = (program.run("doctor", *args, *more, seconds=60, **variables) for more in ([], ["--json"]))
        assert text.returncode == data.returncode, "the form changes nothing"
        assert text.stderr == data.stderr == ""
        for line in text.stdout.splitlines():
            whole = "ACL SETUSER" in line or tempfile.gettempdir() in line  # commands and paths
            assert len(line) <= 80 or whole, line
        return Report(text.returncode, text.stdout, json.loads(data.stdout))

    return run


@pytest.fixture(params=BINARIES)
def start(request: pytest.FixtureRequest) -> Iterator[Callable[..., Server]]:
    """Starts servers of one kind; stops them in the end."""
    name = request.param
    with ExitStack() as servers:
        yield lambda *args, **options: servers.enter_context(Server(BINARIES[name], *args, name=name, **options))
