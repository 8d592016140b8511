"""The pages say what is there: quoted files, commands, links, names and error codes."""

from __future__ import annotations

import json
import re
import subprocess
from typing import TYPE_CHECKING

import pytest
from blocks import README, ROOT, blocks, filled

import leaselock

if TYPE_CHECKING:
    from pathlib import Path

TEXT = README.read_text()
PAGES = sorted(
    ROOT / name
    for name in subprocess.run(
        ["git", "ls-files", "*.md"], cwd=ROOT, text=True, capture_output=True, check=True
    ).stdout.split()
)


def rows(heading: str) -> list[list[str]]:
    """The cells of the first table under a heading, without its first two lines."""
    section = TEXT.split(f"\n{heading}\n", 1)[1]
    table = re.search(r"(?:^\|.*\n)+", section, re.MULTILINE)
    assert table
    return [[c.strip() for c in re.split(r"(?<!\\)\|", line)[1:-1]] for line in table[0].splitlines()[2:]]


def test_quoted_files_are_the_files() -> None:
    assert filled(TEXT) == TEXT, "run: .venv/bin/python tests/docs/blocks.py"


def test_every_piece_of_code_is_a_tested_file() -> None:
    for block in blocks(TEXT):
        if block.language in ("sh", "text"):
            continue
        assert block.file, f"this block quotes no file, so nothing runs it:\n{block.text}"


def test_commands_are_there() -> None:
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for block in blocks(TEXT):
        if block.language == "sh":
            for line in block.text.splitlines():
                assert re.match(r"export LEASELOCK_URL=(redis://|file:)", line) or line.removeprefix("make ") in targets


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = page.parent / path if path else page
        assert file.exists(), f"{page.name} links to {target}"
        if anchor:
            headings = re.findall(r"^#+ (.*)$", file.read_text(), re.MULTILINE)
            slugs = [re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings]
            assert anchor in slugs, f"{page.name} links to {target}"


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_files_that_are_named_exist(page: Path) -> None:
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, text=True, capture_output=True, check=True).stdout.split()
    for name in re.findall(r"`([\w./-]+\.(?:rs|py|pyi|lua|ts|mts|json|md|sh))(?:::[^`]*)?`", page.read_text()):
        assert any(f"/{path}".endswith(f"/{name}") for path in tracked), f"{page.name} names {name}, which is not there"


def test_python_names_of_the_api_table() -> None:
    named = " ".join(cells[2] for cells in rows("## The API"))
    for word in re.findall(r"client\.(\w+)", named.replace("aclose", "close")):
        assert hasattr(leaselock.Client, word), word
        assert hasattr(leaselock.AsyncClient, "aclose" if word == "close" else word), word
    (properties,) = [cells[2].strip("`").split() for cells in rows("## The API") if cells[0] == "the lease"]
    for word in [*properties, *re.findall(r"lease\.(\w+)", named)]:
        assert hasattr(leaselock.Lease, word), word
        assert hasattr(leaselock.AsyncLease, word), word


def test_node_names_of_the_api_table() -> None:
    named = " ".join(cells[3] for cells in rows("## The API"))
    (properties,) = [cells[3].strip("`").split() for cells in rows("## The API") if cells[0] == "the lease"]
    wanted = {
        "Client": re.findall(r"client\.(\w+)", named),
        "Lease": [*properties, *re.findall(r"lease\.(\w+)", named)],
    }
    code = (
        "import * as all from 'leaselock';"
        "const missing = Object.entries(JSON.parse(process.argv[1])).flatMap(([type, names]) =>"
        "  names.filter((name) => !(name in all[type].prototype)).map((name) => `${type}.${name}`));"
        "console.log(missing.join());"
    )
    done = subprocess.run(
        ["node", "--input-type=module", "-e", code, json.dumps(wanted)],
        cwd=ROOT,
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == ""


def test_rust_names_of_the_api_table() -> None:
    sources = "\n".join(p.read_text() for p in (ROOT / "core" / "src").rglob("*.rs"))
    named = " ".join(cells[1] for cells in rows("## The API"))
    words = set(re.findall(r"(?:[\w)]\.|::|\b)([a-z_]+)\(", named))
    assert len(words) > 15
    for word in words:
        assert re.search(rf"pub (async |const )*fn {word}\b", sources), word


def test_error_table() -> None:
    table = rows("### Errors")
    for name, code, also, _ in ([c.strip("`") for c in cells] for cells in table):
        error = getattr(leaselock, name)
        assert issubclass(error, leaselock.LeaselockError)
        if also:
            assert also in [base.__name__ for base in error.__mro__]
        assert code == re.sub(r"(?<!^)(?=[A-Z])", "_", name.removesuffix("Error")).upper()
    public = {n for n in dir(leaselock) if n.endswith("Error")} - {"LeaselockError"}
    assert {cells[0].strip("`") for cells in table} == public
