"""What the two Python programs of the churn share: their orders, the log, and what a holder says of its lease."""

from __future__ import annotations

import ctypes
import json
import logging
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import leaselock

if TYPE_CHECKING:
    from collections.abc import Iterator

NS = 1_000_000_000
# Whoever failed tries something else a moment later.
AFTER_FAILURE = 0.02
# Losses are what this is about, and come by the hundred.
logging.getLogger("leaselock").setLevel(logging.ERROR)


@dataclass(frozen=True)
class Turn:
    """One turn of a task, in seconds; `cancel` None is a turn that nobody cancels."""

    name: str
    ttl: float
    renew: bool
    wait: float
    cancel: float | None
    pauses: list[float]
    extend: float | None
    leave: bool
    block: float | None = None


class Orders:
    """What the program was told to do: `tag` is its name in the log, `tasks` how many take turns until `end`.

    They do so by `clients` clients, made with `options`, and stop earlier when there is a file `until`.
    """

    def __init__(self, text: str) -> None:
        orders: dict[str, Any] = json.loads(text)
        self.tag: str = orders["tag"]
        self.tasks: int = orders["tasks"]
        self.clients: int = orders["clients"]
        self._end: int = orders["end"]
        self._until = Path(orders["until"]) if orders.get("until") else None
        self.options: dict[str, Any] = {}
        if timeout := orders.get("command_timeout"):
            self.options["command_timeout"] = timeout / 1000
        if address_map := orders.get("address_map"):
            self.options["address_map"] = dict(address_map)
        self._first: int = orders["first"]
        self._turns = [_turn(json.loads(line)) for line in Path(orders["turns"]).read_text().splitlines()]
        self.log = os.open(orders["log"], os.O_WRONLY | os.O_APPEND)

    def turns(self, task: int) -> Iterator[Turn]:
        """The turns of a task, one after the other until the end."""
        at = self._first + task * 61
        while time.monotonic_ns() < self._end and not (self._until and self._until.exists()):
            yield self._turns[at % len(self._turns)]
            at += 1

    def close(self) -> None:
        os.close(self.log)


def _turn(plan: dict[str, Any]) -> Turn:
    return Turn(
        plan["name"],
        plan["ttl"] / 1000,
        plan["renew"],
        plan["wait"] / 1000,
        None if plan["cancel"] is None else plan["cancel"] / 1000,
        [pause / 1000 for pause in plan["pauses"]],
        None if plan["extend"] is None else plan["extend"] / 1000,
        plan["leave"],
        plan["block"] / 1000 if plan.get("block") else None,
    )


def block(seconds: float) -> None:
    """Keeps the whole interpreter from running: the GIL is held in a call of C."""
    ctypes.PyDLL(None).usleep(int(seconds * 1_000_000))


class Diary:
    """The lines of one task in the log, a write each."""

    def __init__(self, orders: Orders, task: int) -> None:
        self.who = f"{orders.tag}/{task}"
        self._log = orders.log

    def note(self, event: str, name: str, token: int = 0, until: int = 0, more: str = "", *, at: int = 0) -> None:
        line = f"{at or time.monotonic_ns()} {self.who} {event} {name} {token} {until} {more}".rstrip()
        os.write(self._log, f"{line}\n".encode())

    def wants(self, turn: Turn) -> None:
        """It begins to wait, for so many milliseconds."""
        self.note("wants", turn.name, more=str(round(turn.wait * 1000)))

    def writes(self, lease: leaselock.Lease | leaselock.AsyncLease) -> bool:
        """A write to the resource if the lease is held; else one that comes too late, and False."""
        at = time.monotonic_ns()
        until = at + int(lease.expires_in * NS)
        try:
            lease.check()
        except leaselock.LeaseLostError as lost:
            self.note("lost", lease.name, lease.token, more=lost.reason)
            self.note("late", lease.name, lease.token)
            return False
        self.note("holds", lease.name, lease.token, until, at=at)
        return True


def counters(*clients: leaselock.Client | leaselock.AsyncClient) -> str:
    """What is held and waiting by now, as a line of JSON."""
    stats = [client.stats() for client in clients]
    return json.dumps({"held": sum(each.held for each in stats), "waiting": sum(each.waiting for each in stats)})
