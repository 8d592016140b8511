"""The page on logs: it lists every event with its fields, and its programs print them."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest
from blocks import ROOT, filled

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from conftest import Program

PAGE = ROOT / "docs" / "logs.md"
PROGRAMS = ["python/log_json.py", "node/log_json.mjs"]
CALL = re.compile(r"tracing::(?P<level>error|warn|info)!\((?P<arguments>.*?)\n?\s*\);", re.DOTALL)
# What stands before a comma: `event = "lost"`, `client = %id`, `%name`, `this_process = true`.
FIELD = re.compile(r"^\s*%?(?P<name>\w+)(?:\s*=\s*.*)?$")


def rows(heading: str) -> list[list[str]]:
    """The cells of the table under a heading."""
    section = PAGE.read_text().split(f"\n## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")][2:]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def code(cell: str) -> set[str]:
    return set(re.findall(r"`(\w+)`", cell))


def events() -> Iterator[tuple[str, str, set[str]]]:
    """Every event of the core that users see: its name, level and fields."""
    for path in (ROOT / "core" / "src").rglob("*.rs"):
        for call in CALL.finditer(path.read_text()):
            text = re.sub(r"\s*\\\n\s*", " ", call["arguments"])
            name = re.search(r'event = "(\w+)"', text)
            assert name, f"{path}: each is to say which event it is: {text}"
            without_texts = re.sub(r'"(?:[^"\\]|\\.)*"', '""', text.replace("target:", ""))
            parts = re.split(r",(?![^(]*\))", without_texts)
            found = {field["name"] for part in parts if (field := FIELD.match(part.strip()))}
            yield name[1], call["level"], found - {"event"}


def test_every_event_is_listed_with_its_fields() -> None:
    listed = {next(iter(code(row[0]))): row for row in rows("Events")}
    fields = {next(iter(code(row[0]))) for row in rows("Fields")}
    of_core: dict[str, set[str]] = {}
    for name, level, found in events():
        assert {"warn": "warning"}.get(level, level) in listed[name][1], name
        of_core.setdefault(name, set()).update(found)
    assert len(of_core) > 5
    for name, found in of_core.items():
        said = code(listed[name][3]) | ({"client"} if "has no `client`" not in listed[name][3] else set())
        assert said - ({"client"} if name == "hook_failed" else set()) == found, name
        assert found <= fields
    types = (ROOT / "bindings-node/src-ts/types.ts").read_text()
    of_node = {
        name for line in re.findall(r"^  event: (.*);$", types, re.MULTILINE) for name in re.findall(r"\w+", line)
    }
    assert of_node == of_core.keys() - {"hook_failed"} | {"collected", "observers_behind"}
    package = (ROOT / "bindings-python" / "python" / "leaselock").rglob("*.py")
    of_python = {name for path in package for name in re.findall(r'"event": "(\w+)"', path.read_text())}
    assert len(of_python) > 1
    assert listed.keys() == of_core.keys() | {"collected", "observers_behind"} | of_python


def test_the_page_shows_the_programs_as_they_are() -> None:
    text = PAGE.read_text()
    assert filled(text) == text
    assert all(f"<!-- examples/{name} -->" in text for name in PROGRAMS)


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_formatter_of_json_sees_the_same_fields(name: str, program: Callable[[str], Program]) -> None:
    line = next(line for line in program(name).run("").splitlines() if line.startswith("{"))
    record = json.loads(line)
    lock = record.pop("lock" if name.startswith("python") else "name")
    record.pop("level" if name.startswith("python") else "message")
    assert lock == "nightly-report"
    assert record.keys() == {"logger", "event", "client", "app_id", "owner", "token", "reason"}
    assert (record["event"], record["app_id"], record["reason"]) == ("lost", "shop", "expired")
    assert isinstance(record["token"], int)
