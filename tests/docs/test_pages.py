"""The pages say what is there: quoted files, commands, links, names and error codes."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
from typing import TYPE_CHECKING

import pytest
from blocks import PAGES, ROOT, blocks, filled
from conftest import Program
from programs import SECONDS, rust_programs
from test_quickstarts import QUICKSTARTS

import leaselock

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

API = (ROOT / "docs" / "api.md").read_text()
ALL = sorted(
    ROOT / name
    for name in subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"],
        cwd=ROOT,
        text=True,
        capture_output=True,
        check=True,
    ).stdout.split()
    if (ROOT / name).exists()
)
TARGETS = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
OUTPUTS = [
    (program, block.text)
    for page in PAGES
    for block in blocks(page.read_text())
    for program in block.said("output").split()
]
LINES = [
    line
    for page in PAGES
    for block in blocks(page.read_text())
    if block.language == "sh" and not block.mark
    for line in block.text.splitlines()
]


def called(page: Path) -> str:
    """What a test of a page is called."""
    return str(page.relative_to(ROOT))


def rows(heading: str) -> list[list[str]]:
    """The cells of the first table under a heading of the page on the API, without its first two lines."""
    section = API.split(f"\n{heading}\n", 1)[1]
    table = re.search(r"(?:^\|.*\n)+", section, re.MULTILINE)
    assert table
    return [[c.strip() for c in re.split(r"(?<!\\)\|", line)[1:-1]] for line in table[0].splitlines()[2:]]


@pytest.mark.parametrize("page", PAGES, ids=called)
def test_quoted_files_are_the_files(page: Path) -> None:
    text = page.read_text()
    assert filled(text) == text, "run: .venv/bin/python tests/docs/blocks.py"


@pytest.mark.parametrize("page", PAGES, ids=called)
def test_every_piece_of_code_is_run_or_says_why_not(page: Path) -> None:
    for block in blocks(page.read_text()):
        if block.language in ("sh", "text") or block.said("not run") or block.said("install"):
            continue
        assert block.file, f"this block quotes no file, so nothing runs it:\n{block.text}"


def test_every_quoted_program_is_run_by_a_test() -> None:
    files = [
        *(ROOT / "tests" / "docs").glob("test_*.py"),
        *(ROOT / "tests" / "node" / "src").glob("*.test.mts"),
        *(ROOT / "tests" / "frameworks" / "node").glob("*.mjs"),
    ]
    tests = "\n".join(path.read_text() for path in files)
    for page in PAGES:
        for block in blocks(page.read_text()):
            if block.file is None:
                continue
            name = str(block.mark).removeprefix("examples/")
            tested = name in QUICKSTARTS or any(block.mark == program for program, _ in OUTPUTS)
            assert tested or re.search(rf"\b{re.escape(block.file.stem)}\b", tests), f"nothing runs {block.mark}"


@pytest.mark.parametrize(("name", "text"), OUTPUTS, ids=[name for name, _ in OUTPUTS])
def test_programs_print_what_the_page_says(name: str, text: str, url: str, program: Callable[[str], Program]) -> None:
    def plain(printed: str) -> str:
        # Python shows on stderr what is logged, too.
        lines = [line for line in printed.splitlines() if ", event=" not in line]
        return re.sub(r"\d+(\.\d+)?", "N", "\n".join(lines))

    assert plain(program(name.removeprefix("examples/")).run(url)) == plain(text)


@pytest.mark.parametrize("line", LINES)
def test_lines_of_shell_run(line: str, tmp_path: Path) -> None:
    """Those of `make` name a target; those of `leaselock` run, with a program that does nothing where one is named."""
    words = shlex.split(line, comments=True)
    if not words or re.match(r"export LEASELOCK_URL=(redis://|file:)", line):
        return
    if words[0] == "make":
        assert words[1] in TARGETS
        return
    assert words[0] == "leaselock", f"nothing runs this line: {line}"
    if "--" in words:
        stub = tmp_path / words[words.index("--") + 1]
        stub.write_text("#!/bin/sh\n")
        stub.chmod(0o755)
    command = [rust_programs()["leaselock"], *words[1:]]
    path = f"{tmp_path}:{os.environ['PATH']}"
    Program(command, folder=tmp_path).run(f"file:{tmp_path}/locks.db", timeout=SECONDS, PATH=path)


@pytest.mark.parametrize("page", ALL, ids=called)
def test_links_lead_somewhere(page: Path) -> None:
    own = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    for target in [*re.findall(r"\]\(([^)\s]+)\)", own), *re.findall(r'\bsrc="([^"]+)"', own)]:
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = page.parent / path if path else page
        assert file.exists(), f"{page.name} links to {target}"
        if anchor:
            text = file.read_text()
            headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
            slugs = [re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings]
            assert anchor in [*slugs, *re.findall(r'<a id="([^"]+)">', text)], f"{page.name} links to {target}"


@pytest.mark.parametrize("page", ALL, ids=called)
def test_files_that_are_named_exist(page: Path) -> None:
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, text=True, capture_output=True, check=True).stdout.split()
    for name in re.findall(r"`([\w./-]+\.(?:rs|py|pyi|lua|ts|mts|json|md|sh))(?:::[^`]*)?`", page.read_text()):
        assert any(f"/{path}".endswith(f"/{name}") for path in tracked), f"{page.name} names {name}, which is not there"


def test_python_names_of_the_api_table() -> None:
    named = " ".join(cells[2] for cells in rows("## Calls"))
    for word in re.findall(r"client\.(\w+)", named.replace("aclose", "close")):
        assert hasattr(leaselock.Client, word), word
        assert hasattr(leaselock.AsyncClient, "aclose" if word == "close" else word), word
    (properties,) = [cells[2].strip("`").split() for cells in rows("## Calls") if cells[0] == "the lease"]
    for word in [*properties, *re.findall(r"lease\.(\w+)", named)]:
        assert hasattr(leaselock.Lease, word), word
        assert hasattr(leaselock.AsyncLease, word), word


def test_node_names_of_the_api_table() -> None:
    named = " ".join(cells[3] for cells in rows("## Calls"))
    (properties,) = [cells[3].strip("`").split() for cells in rows("## Calls") if cells[0] == "the lease"]
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
    named = " ".join(cells[1] for cells in rows("## Calls"))
    words = set(re.findall(r"(?:[\w)]\.|::|\b)([a-z_]+)\(", named))
    assert len(words) > 15
    for word in words:
        assert re.search(rf"pub (async |const )*fn {word}\b", sources), word


def test_error_table() -> None:
    table = rows("## Errors")
    for name, code, also, _ in ([c.strip("`") for c in cells] for cells in table):
        error = getattr(leaselock, name)
        assert issubclass(error, leaselock.LeaselockError)
        if also:
            assert also in [base.__name__ for base in error.__mro__]
        assert code == re.sub(r"(?<!^)(?=[A-Z])", "_", name.removesuffix("Error")).upper()
    public = {n for n in dir(leaselock) if n.endswith("Error")} - {"LeaselockError"}
    assert {cells[0].strip("`") for cells in table} == public


def texts_of_errors() -> list[str]:
    """The texts in the first column of the tables of errors."""
    page = (ROOT / "docs" / "troubleshooting.md").read_text()
    lines = re.findall(r"^\| (.*?) \| .*? \|$", page.split("\n## ClientClosedError", 1)[0], re.MULTILINE)
    texts = [text for cell in lines for text in re.findall(r"`([^`]+)`", cell) if len(text) > 20]
    return list(dict.fromkeys(texts))


@pytest.mark.parametrize("text", texts_of_errors())
def test_texts_of_errors_are_those_of_the_code(text: str) -> None:
    """Piece by piece: between them stand names, numbers, and the words of a server or of the system."""
    sources = "\n".join(path.read_text() for path in (ROOT / "core" / "src").rglob("*.rs"))
    said = re.sub(r"\\\n\s*", "", sources).replace('\\"', '"')
    for piece in re.split(r"…|[\d.]+ s\b|\b\d+ of \d+\b|\d+ms|[\"']|: [A-Z][A-Za-z ]+$|: [A-Z]+ ", text):
        assert piece.strip(" ;:(),") in said, f"no error says {piece!r}"


def test_exit_statuses_are_all_on_the_page() -> None:
    code = (ROOT / "cli" / "src" / "exit.rs").read_text()
    page = (ROOT / "docs" / "troubleshooting.md").read_text().split("\n## Exit statuses\n", 1)[1]
    first = re.findall(r"^\| ([^|]*?) \|", page, re.MULTILINE)
    listed = {int(number) for cell in first if "N" not in cell for number in re.findall(r"\d+", cell)}
    assert listed == {int(number) for number in re.findall(r"Self = Self::new\((\d+)\)", code)}


@pytest.mark.parametrize("page", PAGES, ids=called)
def test_calls_that_are_named_exist(page: Path) -> None:
    """Of a client or a lease, in any of the languages."""
    files = [*(ROOT / "core" / "src").rglob("*.rs"), *(ROOT / "bindings-node" / "src-ts").glob("*.ts")]
    sources = "\n".join(path.read_text() for path in files)
    code = " ".join(
        re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL))
    )
    for kind, word in set(re.findall(r"(?<![\w.])(client|lease)\.(\w+)(?![\w.])", code)):
        classes = {
            "client": (leaselock.Client, leaselock.AsyncClient),
            "lease": (leaselock.Lease, leaselock.AsyncLease),
        }[kind]
        in_python = any(hasattr(one, word) for one in classes)
        assert in_python or re.search(rf"(\bfn|\basync|\bget|^ ) ?{word}\b", sources, re.MULTILINE), (
            f"no {kind} has {word}"
        )
