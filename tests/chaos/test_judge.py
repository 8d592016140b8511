"""The judge of chaos sees what is wrong in a history."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests/mixed")]

from churn_log import NS, Event
from judge import Facts, judge

MS = 1_000_000
# Two turns, one after the other, and nothing wrong with them: who, kind, time and deadline in ms, token.
GOOD = [
    ("one.0/0", "wants", 0, 0, 0),
    ("one.0/0", "holds", 10, 1_010, 7),
    ("two.0/0", "wants", 20, 0, 0),
    ("one.0/0", "holds", 600, 1_600, 7),
    ("one.0/0", "ends", 610, 0, 7),
    ("one.0/0", "released", 620, 0, 7),
    ("two.0/0", "holds", 630, 1_630, 8),
    ("two.0/0", "ends", 640, 0, 8),
    ("two.0/0", "released", 650, 0, 8),
]


def history(*lines: tuple[str, str, int, int, int], more: str = "") -> list[Event]:
    return [Event(at * MS, who, kind, "a", token, until * MS, more) for who, kind, at, until, token in lines]


def facts(**changes: object) -> Facts:
    return Facts(**{"ttl": NS, "healed": 0, "end": 5 * NS, "within": 1.0, **changes})  # type: ignore[arg-type]


def test_a_good_history_is_good() -> None:
    verdict = judge(history(*GOOD), facts(kept=True, ttl=NS // 2))
    assert verdict.wrong == []
    assert (verdict.operations, verdict.counts["acquired"], verdict.violations) == (len(GOOD), 2, 0)


@pytest.mark.parametrize(
    ("what", "change", "asked"),
    [
        # The later lease was asked for when the earlier one was held, and has no larger token.
        ("is not newer", lambda h: [e._replace(token=6) if e.token == 8 else e for e in h], {}),
        ("have one token", lambda h: [e._replace(token=7) if e.token == 8 else e for e in h], {}),
        ("both held", lambda h: [*h[:4], *h[6:], *(e._replace(time=700 * MS) for e in h[4:6])], {}),
        ("never said what came of", lambda h: h[:-1], {}),
        ("had no holder", lambda h: [*h[:6], *(e._replace(time=e.time + 2 * NS) for e in h[6:])], {}),
        ("after its last renewal", lambda h: h, {"silent": [(-600 * MS, 5 * NS, "one.0")]}),
        ("after the store forgot it", lambda h: h, {"forgotten": [(11 * MS, -200 * MS)]}),
        (
            "was lost",
            lambda h: [*h[:4], h[4]._replace(kind="lost"), h[4]._replace(kind="late"), *h[6:]],
            {"kept": True},
        ),
        ("had to be renewed", lambda h: h, {"kept": True}),
        ("nobody was told: why", lambda h: h, {"words": ("why",)}),
        # All that comes after a failure is one wait.
        (
            "had no holder",
            lambda h: [
                *h[:2],
                *h[3:6],
                h[2]._replace(time=700 * MS),
                h[2]._replace(time=800 * MS, kind="failed", more="STORE_UNAVAILABLE: no"),
            ],
            {"errors": frozenset({"STORE_UNAVAILABLE"})},
        ),
        ("had no holder", lambda h: [*h[:6], h[2]._replace(time=2 * NS, kind="timeout")], {}),
        (
            "was told of STORE_REFUSED",
            lambda h: [*h[:5], h[5]._replace(kind="failed", more="STORE_REFUSED: no"), *h[6:]],
            {},
        ),
    ],
)
def test_what_is_wrong_is_seen(what: str, change, asked: dict[str, object]) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
    moved = {"silent": [(-600 * MS, 5 * NS, "one.0")]}
    events = change(history(*GOOD))
    if asked == moved:
        # Asked for and held before the silence began.
        events = [e._replace(time=e.time - 700 * MS) if e.who == "one.0/0" and e.time < 20 * MS else e for e in events]
    wrong = judge(events, facts(**asked)).wrong
    assert any(what in text for text in wrong), wrong


def test_whoever_was_killed_owes_no_outcome_and_limits_are_no_faults() -> None:
    assert judge(history(*GOOD[:-1]), facts(killed={"two.0"})).wrong == []
    good = history(*GOOD)
    overlapping = [*good[:4], *good[6:], *(event._replace(time=700 * MS) for event in good[4:6])]
    verdict = judge(overlapping, facts(overlap=True))
    assert (verdict.wrong, verdict.overlaps) == ([], 1)
