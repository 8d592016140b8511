"""The judge of the election finds what it is there for: each of these logs has one thing wrong, and one has nothing."""

from __future__ import annotations

import pytest
from churn_log import Event
from election_log import judge

MS = 1_000_000
TTL = 2.0


def event(ms: int, who: str, kind: str, token: int, until: int = 0, more: str = "") -> Event:
    return Event(ms * MS, who, kind, "leader", token, until * MS, more)


def fault(ms: int, token: int, kind: str) -> Event:
    return event(ms, "crew", "fault", token, more=kind)


KILLED = [
    event(0, "rust.0", "holds", 101, 1_980),
    event(700, "rust.0", "holds", 101, 2_650),
    fault(710, 101, "killed"),
    event(2_720, "node.0", "holds", 102, 4_700),
]
STOPPED = [
    event(3_000, "node.0", "holds", 102, 4_900),
    fault(3_010, 102, "stopped"),
    event(4_960, "python.0", "holds", 103, 6_900),
    event(5_000, "crew", "runs", 102),
    event(5_010, "node.0", "lost", 102, more="expired"),
    event(5_011, "node.0", "late", 102),
    event(5_020, "node.0", "stopped", 102),
]
CUT = [
    event(5_900, "python.0", "holds", 103, 7_800),
    fault(5_910, 103, "cut"),
    event(7_801, "python.0", "stopped", 103),
    event(7_850, "asyncio.0", "holds", 104, 9_800),
]
RAISED = [
    fault(8_000, 104, "raised"),
    event(8_010, "asyncio.0", "ends", 104),
    event(8_020, "rust.4", "holds", 105, 10_000),
]
GOOD = [*KILLED, *STOPPED, *CUT, *RAISED]


def test_nothing_is_wrong_with_a_good_log() -> None:
    verdict = judge(GOOD, TTL)
    assert verdict.wrong == []
    assert verdict.faults == dict.fromkeys(("killed", "stopped", "cut", "raised"), 1)
    assert verdict.longest == pytest.approx({"killed": 2.01, "stopped": 1.95, "cut": 1.94, "raised": 0.02})
    assert verdict.longest_stop == pytest.approx(0.02)
    assert (verdict.overlaps, verdict.refused) == (0, 1)
    assert verdict.leaders == {"rust": 2, "node": 1, "python": 1, "asyncio": 1}


@pytest.mark.parametrize(
    ("log", "found"),
    [
        # The next one begins before the last one's deadline, whose process runs.
        ([*KILLED, event(2_725, "asyncio.0", "holds", 103, 4_700)], "by both"),
        ([*GOOD, event(9_000, "node.0", "holds", 104, 9_500)], "have the same token 104"),
        ([*GOOD, event(10_050, "node.0", "holds", 99, 12_000)], "the smaller token"),
        ([*KILLED[:3], event(3_215, "node.0", "holds", 102, 5_000)], "nobody led for 2.50 s"),
        (KILLED[:3], "nobody leads after"),
        ([*KILLED, *STOPPED[:-1]], "the work was not stopped"),
        ([*KILLED, *STOPPED[:-1], event(5_600, "node.0", "stopped", 102)], "stopped 0.60 s late"),
        ([*KILLED, *STOPPED, CUT[0], CUT[1], CUT[3]], "the work was not stopped"),
        ([*KILLED, *STOPPED, *CUT[:2], CUT[3], event(8_420, "python.0", "stopped", 103)], "stopped 2.51 s late"),
        ([*GOOD[:-1], event(8_510, "rust.4", "holds", 105, 10_000)], "nobody led for 0.51 s"),
    ],
)
def test_one_thing_that_is_wrong_is_found(log: list[Event], found: str) -> None:
    wrong = judge(log, TTL).wrong
    assert any(found in each for each in wrong), wrong


def test_a_machine_that_stood_still_is_not_the_clients_fault() -> None:
    late = [*KILLED[:3], event(3_515, "node.0", "holds", 102, 5_000)]
    beats = [event(ms, "crew", "beat", 0) for ms in (2_000, 2_020, 2_420, 2_440)]
    assert judge(late, TTL).wrong != []
    assert judge([*late, *beats], TTL).wrong == []


def test_leaders_who_do_not_exclude_each_other_are_seen() -> None:
    """As of a lock that is no lock: everybody leads at once."""
    log = [event(ms, f"node.{who}", "holds", 101 + who, ms + 2_000) for ms in range(0, 300, 25) for who in range(2)]
    verdict = judge(log, TTL)
    assert verdict.overlaps > 0
