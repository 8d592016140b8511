"""The quickstarts of the pages run exactly as typed, on every store, one after the other on the same names."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from blocks import PAGES, ROOT, blocks, marked
from resp import Connection

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Program

QUICKSTARTS = sorted(
    {
        b.mark.removeprefix("examples/")
        for page in PAGES
        for b in blocks(page.read_text())
        if b.mark and b.file and b.text.split("\n")[0].lstrip('/!"# ').startswith("Quickstart: ")
    }
)
RULE = marked((ROOT / "docs" / "server.md").read_text(), "acl")


def test_every_language_has_one() -> None:
    folders = [q.split("/")[0] for q in QUICKSTARTS]
    assert sorted(folders) == ["node", "node", "python", "python", "rust", "rust"]


@pytest.mark.parametrize("name", QUICKSTARTS)
def test_runs_as_typed(name: str, url: str, program: Callable[[str], Program]) -> None:
    output = program(name).run(url)
    token = re.search(r"report under token (\d+)", output)
    assert token, output
    assert "Warning" not in output
    if "free" in output:
        assert int(re.findall(r"it was free, token (\d+)", output)[0]) > int(token[1])


@pytest.mark.parametrize("name", QUICKSTARTS)
def test_without_a_url_it_says_what_to_do(name: str, program: Callable[[str], Program]) -> None:
    process = program(name).start("")
    output, _ = process.communicate(timeout=30)
    assert process.returncode != 0
    assert "LEASELOCK_URL" in output
    assert "redis://" in output


@pytest.mark.parametrize("name", ["python/quickstart.py", "node/quickstart.mjs", "rust/src/bin/quickstart.rs"])
def test_a_server_that_is_not_there_is_said_in_words(name: str, program: Callable[[str], Program]) -> None:
    process = program(name).start("redis://:canary-7c1e@127.0.0.1:1")
    output, _ = process.communicate(timeout=30)
    assert process.returncode != 0
    assert "127.0.0.1:1" in output
    assert "canary" not in output


def test_the_security_page_has_the_same_acl_rule() -> None:
    assert RULE.strip() in (ROOT / "SECURITY.md").read_text()


@pytest.mark.parametrize("name", QUICKSTARTS)
def test_runs_under_the_acl_rule(name: str, server_url: str, program: Callable[[str], Program]) -> None:
    words = RULE.split()
    server = urlsplit(server_url)
    admin = Connection(str(server.hostname), int(server.port or 0))
    assert admin.command(*words[:3], "reset", *words[3:]) == "OK"
    try:
        admin.command("ACL", "LOG", "RESET")
        output = program(name).run(f"redis://leaselock:PASSWORD@{server.hostname}:{server.port}")
        assert "report under token" in output
        assert admin.command("ACL", "LOG") == []
    finally:
        admin.command("ACL", "DELUSER", "leaselock")
        admin.close()
