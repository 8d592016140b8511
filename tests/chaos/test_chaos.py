"""The whole matrix once: a test for each fault on each topology, and what is asked of all together."""

from __future__ import annotations

import os
import sys
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests/mixed")]

from programs import rust_programs
from rows import COVERED, ROWS
from run import Outcome, matrix, run_all, summary
from servers import binaries

pytestmark = pytest.mark.timeout(900)
# Programs mostly wait: for the fault, and for each other.
AT_ONCE = 6
LEAST = 100_000
EVERY = [(row.name, topology) for row in ROWS for topology in row.topologies]


@pytest.fixture(scope="module")
def outcomes() -> dict[tuple[str, str], Outcome]:
    missing = [server for server, path in binaries().items() if not path]
    if missing and os.environ.get("CI") == "true":
        pytest.fail(f"not installed: {missing}")
    wanted = [(row, topology) for row, topology in matrix() if topology.partition("-")[2] not in missing]
    return {(each.row.name, each.topology): each for each in run_all(wanted, rust_programs(), AT_ONCE)}


@pytest.mark.parametrize(("fault", "topology"), EVERY)
def test_a_fault(outcomes: dict[tuple[str, str], Outcome], fault: str, topology: str) -> None:
    if (fault, topology) not in outcomes:
        pytest.skip("no such server here, or no network namespaces")
    outcome = outcomes[fault, topology]
    # In one line, which the summary of `make test` has, too.
    assert not outcome.wrong, "; ".join(outcome.wrong).replace("\n", " | ")
    assert len(outcome.verdicts) == 4


def test_all_together(outcomes: dict[tuple[str, str], Outcome]) -> None:
    print(summary(list(outcomes.values()), sum(outcome.seconds for outcome in outcomes.values())))
    verdicts = [verdict for outcome in outcomes.values() for verdict in outcome.verdicts.values()]
    total = Counter[str]()
    for verdict in verdicts:
        total.update(violations=verdict.violations, undecided=verdict.undecided, operations=verdict.operations)
        # The late writes that are to be refused were there.
        total["refused"] += verdict.counts["refused"]
    assert (total["violations"], total["undecided"]) == (0, 0)
    assert total["refused"] > 0
    if len({topology for _, topology in outcomes}) >= 7:
        assert total["operations"] >= LEAST


@pytest.mark.parametrize(
    ("file", "test"), [named for each in COVERED for named in each.tests.values()], ids=lambda text: text
)
def test_what_is_covered_elsewhere_is_there(file: str, test: str) -> None:
    assert test in (ROOT / file).read_text()
