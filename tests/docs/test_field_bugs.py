"""docs/field-bugs.md names a test for every failure, or says why it cannot arise; the named tests exist."""

from __future__ import annotations

import json
import re

import pytest
from conftest import ROOT

PAGE = (ROOT / "docs" / "field-bugs.md").read_text()
ROWS = {int(n): here for n, here in re.findall(r"^\| (\d+) \|[^|]*\| (.*) \|$", PAGE, re.MULTILINE)}
REFERENCES = re.findall(r"`([\w./-]+)::([^`]+)`", PAGE)
NUMBERS = [*range(1, 70)]


def test_every_number_has_a_row() -> None:
    assert sorted(ROWS) == NUMBERS


@pytest.mark.parametrize("number", NUMBERS)
def test_every_row_has_an_answer(number: int) -> None:
    assert re.search(r"`[\w./-]+::[^`]+`", ROWS[number]) or ROWS[number].startswith("Cannot arise: ")


@pytest.mark.parametrize(("path", "name"), REFERENCES)
def test_named_tests_exist(path: str, name: str) -> None:
    text = (ROOT / path).read_text()
    if path.endswith(".json"):
        assert name in [scenario["id"] for scenario in json.loads(text)["scenarios"]]
    elif path.endswith((".rs", ".py")):
        assert re.search(rf"\b(fn|def) {re.escape(name)}\b", text), f"{path} has no test {name}"
    else:
        assert re.search(rf"""\b\w+\(\s*["'`]{re.escape(name)}""", text), f"{path} has no test {name}"
