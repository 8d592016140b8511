"""docs/topologies.md promises nothing without a test that shows it, or a limit that is named."""

from __future__ import annotations

import re

import pytest
from conftest import ROOT

PAGE = (ROOT / "docs" / "topologies.md").read_text()
TABLE = PAGE.split("\n| fault |", 1)[1].split("\n\n", 1)[0]
CELLS = [cell.strip() for row in TABLE.splitlines()[2:] for cell in row.split("|")[2:-1]]
NAMED = dict(re.findall(r"^- \[(\w+)\] ((?:.|\n  )+)", PAGE, re.MULTILINE))
TESTS = re.findall(r"`([\w./-]+\.rs)::(\w+)`", PAGE)


def test_there_is_something_to_check() -> None:
    assert len(CELLS) > 40
    assert len(TESTS) > 20


@pytest.mark.parametrize("cell", CELLS)
def test_each_cell_has_a_test_or_a_limit(cell: str) -> None:
    references = re.findall(r"\[(\w+)\]", cell)
    assert references or cell in {"n/a", "as without"}
    for reference in references:
        assert reference.isdigit() or "::" in NAMED[reference]
        assert reference in NAMED


def test_nothing_is_named_for_nobody() -> None:
    used = {reference for cell in CELLS for reference in re.findall(r"\[(\w+)\]", cell)}
    assert used == set(NAMED)


@pytest.mark.parametrize(("path", "name"), TESTS)
def test_named_tests_exist(path: str, name: str) -> None:
    assert re.search(rf"\bfn {name}\b", (ROOT / path).read_text()), f"{path} has no test {name}"


def test_the_rule_for_one_server_is_the_documented_one() -> None:
    rule = re.search(r"ACL SETUSER leaselock on .*", (ROOT / "SECURITY.md").read_text())
    assert rule
    assert rule[0] in PAGE.splitlines()
