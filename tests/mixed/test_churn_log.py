"""The judge of the churn finds what it is there for: each of these logs has one thing wrong, and one has nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from churn_log import NS, Event, Limits, judge, read

if TYPE_CHECKING:
    from pathlib import Path

MS = 1_000_000
LIMITS = Limits(disturbed=3.0, calm=1.5, calm_from=10 * NS)


def event(ms: int, who: str, kind: str, token: int = 0, until: int = 0, more: str = "") -> Event:
    return Event(ms * MS, who, kind, "a", token, until * MS, more)


GOOD = [
    event(0, "p/1", "wants"),
    event(5, "p/2", "wants"),
    event(6, "q/9", "wants"),
    event(10, "p/1", "holds", 101, 510),
    event(60, "q/9", "timeout"),
    event(300, "p/1", "holds", 101, 800),
    event(400, "p/1", "ends", 101),
    event(401, "p/2", "holds", 102, 901),
    event(402, "p/1", "released", 101),
    # Killed, and followed when its TTL has run out; stopped meanwhile: its write is refused, and it looks and knows.
    event(500, "q/1", "wants"),
    event(1_000, "q/1", "holds", 103, 1_500),
    event(1_200, "p/3", "wants"),
    event(1_520, "p/3", "holds", 104, 2_500),
    event(1_499, "q/1", "holds", 103, 1_500),
    event(1_530, "q/1", "lost", 103, more="expired"),
    event(1_540, "q/1", "late", 103),
    # Stopped before it first looked.
    event(1_550, "p/4", "lost", 100, more="expired"),
    event(1_551, "p/4", "late", 100),
    event(1_600, "p/3", "extends", 104),
    event(1_700, "p/3", "holds", 104, 1_900),
    event(1_800, "p/3", "left", 104),
    event(1_801, "r/1", "wants"),
    event(1_950, "r/1", "holds", 105, 2_900),
]


def test_nothing_is_wrong_with_a_good_log() -> None:
    verdict = judge(GOOD, LIMITS)
    assert verdict.wrong == []
    assert verdict.counts["acquired"] == 5
    assert verdict.counts["refused"] == 3
    assert verdict.counts["accepted"] == 7
    assert verdict.longest_wait == pytest.approx(0.077)


def test_each_log_line_says_what_its_event_was(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("17 p.1/3 holds a 102 901\n18 p.1/3 lost a 102 0 expired\n")
    assert read(log) == [Event(17, "p.1/3", "holds", "a", 102, 901), Event(18, "p.1/3", "lost", "a", 102, 0, "expired")]


def wrong(*more: Event, without: int = 0) -> list[str]:
    return judge([*GOOD[: len(GOOD) - without], *more], LIMITS).wrong


def test_two_holders_at_one_time() -> None:
    (found,) = wrong(event(2_899, "x/1", "holds", 106, 3_000))
    assert "by both" in found
    assert "r/1" in found
    assert "x/1" in found


def test_two_holders_at_one_time_where_the_second_has_ended_first() -> None:
    found = wrong(
        event(2_000, "x/1", "holds", 106, 3_000),
        event(2_010, "x/1", "ends", 106),
        event(2_800, "y/1", "holds", 107, 3_000),
    )
    assert len(found) == 2
    assert all("r/1" in each for each in found)


def test_a_holder_refused_within_its_deadline() -> None:
    found = wrong(
        event(2_910, "x/1", "holds", 106, 3_500),
        event(2_000, "r/1", "holds", 105, 2_900),
        event(2_005, "r/1", "ends", 105),
    )
    assert ["refused under 105 within its deadline" in each for each in found] == [True]


def test_a_token_that_goes_back() -> None:
    found = wrong(event(2_910, "x/1", "holds", 99, 3_500), event(2_920, "x/1", "ends", 99))
    assert any("refused under 99" in each for each in found)
    assert any("the smaller token" in each for each in found)


def test_one_token_for_two() -> None:
    assert any("the same token 105" in each for each in wrong(event(2_910, "x/1", "holds", 105, 3_500)))


def test_a_lease_lost_before_its_deadline() -> None:
    (found,) = wrong(event(2_700, "r/1", "lost", 105, more="taken"))
    assert "r/1's was lost (taken) 200.0 ms before its deadline" in found


def test_a_release_that_found_the_name_gone() -> None:
    (found,) = wrong(event(2_700, "r/1", "ends", 105), event(2_701, "r/1", "gone", 105))
    assert "r/1's was gone () 199.0 ms before its deadline" in found
    assert wrong(event(2_910, "r/1", "ends", 105), event(2_911, "r/1", "gone", 105)) == []


def test_a_free_name_that_nobody_gets() -> None:
    free = event(2_000, "r/1", "ends", 105)
    (found,) = wrong(free, event(1_000, "x/1", "wants"), event(5_100, "x/1", "timeout"))
    assert "free and wanted for 3.10 s" in found
    # Two who wait one after the other are as good as one; with a pause between them nobody waited so long.
    turns = [event(2_000, "x/1", "wants"), event(4_000, "x/1", "timeout"), event(6_000, "y/1", "timeout")]
    assert len(wrong(free, event(3_900, "y/1", "wants"), *turns)) == 1
    assert wrong(free, event(4_100, "y/1", "wants"), *turns) == []
    # When nobody is killed or stopped any more, it is to be faster.
    late = [event(9_000, "r/1", "wants"), event(10_001, "r/1", "holds", 106, 11_000), event(10_100, "r/1", "ends", 106)]
    (found,) = wrong(*late, event(10_000, "x/1", "wants"), event(11_700, "x/1", "timeout"))
    assert "free and wanted for 1.60 s" in found
    # And who was killed while waiting is not held up by anyone.
    assert wrong(free, event(2_000, "x/1", "wants")) == []


def test_a_machine_that_stood_still_is_not_the_clients_fault() -> None:
    waits = [event(10_100, "x/1", "wants"), event(11_700, "x/1", "timeout")]
    ended = [event(9_000, "r/1", "wants"), event(9_010, "r/1", "holds", 106, 11_000), event(9_100, "r/1", "ends", 106)]
    beats = [event(ms, "crew", "beat") for ms in (9_900, 9_950, 10_100, 10_400, 10_460)]
    assert any("for 1.60 s" in each for each in wrong(*ended, *waits))
    assert any("for 1.60 s" in each for each in wrong(*ended, *waits, *beats[:3]))
    # It stood still for 0.3 s of these.
    assert wrong(*ended, *waits, *beats) == []
    assert judge([*GOOD, *ended, *beats], LIMITS).stalls.longest() == pytest.approx(0.3)


def test_a_name_that_is_never_acquired() -> None:
    waits = [event(0, "x/1", "wants"), event(100, "x/1", "timeout")]
    assert wrong(*(each._replace(name="b") for each in waits)) == ["b was wanted and never acquired"]
