"""The judge of the bad network finds what it is there for: each of these logs has one thing wrong, one has nothing."""

from __future__ import annotations

import random

import pytest
from bad_network import LONG_TTLS, PATIENT, SHORT_TTLS, judge, turns
from churn_log import Event

MS = 1_000_000


def event(ms: int, who: str, kind: str, token: int = 0, until: int = 0, more: str = "") -> Event:
    return Event(ms * MS, who, kind, "a", token, until * MS, more)


GOOD = [
    event(0, "p/1", "wants", more="4000"),
    event(5, "q/1", "wants", more="300"),
    event(6, "r/1", "wants", more="500"),
    event(10, "p/1", "holds", 101, 2_010),
    event(305, "q/1", "timeout"),
    event(520, "r/1", "failed", more="STORE_UNAVAILABLE: no answer"),
    event(900, "p/1", "holds", 101, 2_890),
    event(1_000, "p/1", "ends", 101),
    event(1_100, "p/1", "released", 101),
]


def test_nothing_is_wrong_with_a_good_log() -> None:
    assert judge(GOOD).wrong == []


@pytest.mark.parametrize(
    ("more", "found"),
    [
        ([event(2_895, "p/1", "lost", 101, more="expired")], "p/1 lost its lease 101 (expired)"),
        ([event(3_100, "p/1", "gone", 101)], "p/1 gave 101 back and found it gone"),
        (
            [event(2_000, "q/1", "wants", more="5000"), event(6_900, "q/1", "failed", more="STORE_UNAVAILABLE: x")],
            "q/1 gave up after 4900 of 5000 ms: failed STORE_UNAVAILABLE: x",
        ),
        (
            [event(2_000, "q/1", "wants", more="5000"), event(6_900, "q/1", "timeout")],
            "q/1 gave up after 4900 of 5000 ms: timeout",
        ),
        ([event(2_000, "p/1", "failed", more="STORE_UNAVAILABLE: x")], "p/1 held it and failed: STORE_UNAVAILABLE: x"),
        ([event(990, "q/2", "holds", 102, 3_000)], "for 10.0 ms by both"),
        ([event(3_000, "q/2", "holds", 99, 5_000)], "the smaller token"),
        ([event(1_100, "q/2", "wants", more="120000"), event(17_000, "q/2", "holds", 102, 19_000)], "free and wanted"),
    ],
)
def test_one_thing_that_is_wrong_is_found(more: list[Event], found: str) -> None:
    wrong = judge([*GOOD, *more]).wrong
    assert any(found in each for each in wrong), wrong


def test_a_release_that_was_tried_for_its_whole_time_may_fail() -> None:
    ended = [event(2_000, "q/1", "holds", 102, 8_000), event(2_010, "q/1", "ends", 102)]
    for late, told in ((7_050, 1), (6_950, 0)):
        verdict = judge([*GOOD, *ended, event(late, "q/1", "failed", more="STORE_UNAVAILABLE: x")])
        assert verdict.counts["released in the background"] == told
        assert len(verdict.wrong) == 1 - told, verdict.wrong


def test_a_loss_while_the_machine_stood_still_is_not_the_clients() -> None:
    lost = event(2_895, "p/1", "lost", 101, more="expired")
    beats = [event(ms, "crew", "beat") for ms in (2_000, 2_050, 2_400, 2_450)]
    assert judge([*GOOD, *beats[2:], lost]).wrong != []
    verdict = judge([*GOOD, *beats, lost])
    assert (verdict.wrong, verdict.counts["blamed on the machine"]) == ([], 1)


def test_turns_are_leases_that_live_by_being_renewed() -> None:
    dice = random.Random(1)
    for ttls in (SHORT_TTLS, LONG_TTLS):
        drawn = [turns(ttls, 20_000)(dice, ["a"]) for _ in range(500)]
        assert all(ttls[0] <= turn["ttl"] <= ttls[1] for turn in drawn)
        assert all(sum(turn["pauses"]) <= 20_000 for turn in drawn)
        outlived = [turn for turn in drawn if sum(turn["pauses"]) > turn["ttl"]]
        assert len(outlived) > len(drawn) / 10
        assert any(turn["wait"] == PATIENT for turn in drawn)
        assert any(turn["wait"] < PATIENT for turn in drawn)
