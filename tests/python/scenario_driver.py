"""Runs the steps of a scenario through a client, sync or asyncio. The format: tests/scenarios/README.md."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import inspect
import json
import random
import re
import string
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from resp import RedisError
from scenario_reports import OBSERVATIONS, REPORTS

from leaselock import (
    AsyncClient,
    AsyncLease,
    AsyncLeaseGroup,
    Client,
    Lease,
    LeaseGroup,
    LeaselockError,
    LeaseLostError,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from plain import Plain
    from resp import Connection

    from leaselock import LockInfo

    AnyClient = Client | AsyncClient
    AnyLease = Lease | AsyncLease

SCENARIOS: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[1] / "scenarios" / "scenarios.json").read_text(encoding="utf-8")
)["scenarios"]

JOIN_SECONDS = 15.0
WAITERS_SECONDS = 5.0
POLL_SECONDS = 0.01


class StepError(AssertionError):
    """A step did not come out as the scenario says."""


@dataclass
class Outcome:
    """What came of a step: a result or an error, and how long it took in milliseconds."""

    result: Any = None
    error: dict[str, Any] | None = None
    took: float = 0.0

    def judge(self, step: dict[str, Any]) -> None:
        """Compares it with what the step expects."""
        if "error" in step:
            if self.error is None:
                raise StepError(f"ended with {self.result!r} instead of the error {step['error']}")
            if not matches(step["error"], self.error):
                raise StepError(f"failed with {self.error} instead of {step['error']}")
        elif self.error is not None:
            raise StepError(f"failed with {self.error}")
        elif "expect" in step and not matches(step["expect"], self.result):
            raise StepError(f"ended with {self.result!r} instead of {step['expect']}")
        if "took" in step and not step["took"][0] <= self.took <= step["took"][1]:
            raise StepError(f"took {self.took:.0f} ms, not {step['took']}")


def matches(expected: Any, value: Any) -> bool:
    """Whether a value is as expected."""
    if isinstance(expected, dict):
        if expected.keys() == {"between"}:
            least, most = expected["between"]
            return isinstance(value, (int, float)) and not isinstance(value, bool) and least <= value <= most
        if expected.keys() == {"prefix"}:
            return isinstance(value, str) and value.startswith(expected["prefix"])
        if expected.keys() == {"not"}:
            return not matches(expected["not"], value)
        return isinstance(value, dict) and all(k in value and matches(e, value[k]) for k, e in expected.items())
    if isinstance(expected, list):
        return isinstance(value, list) and len(value) == len(expected) and all(map(matches, expected, value))
    if isinstance(expected, bool) or isinstance(value, bool) or expected is None:
        return expected is value
    return bool(expected == value)


class WorkError(Exception):
    """What a leader's work fails with."""


class Led:
    """The terms of one leader."""

    def __init__(self, works: list[str]) -> None:
        self._works = works
        self._tokens: list[int] = []

    def begin(self, lease: AnyLease) -> str:
        """What the work is to do under this lease."""
        self._tokens.append(lease.token)
        return self._works[len(self._tokens) - 1]

    def end(self, work: str) -> dict[str, Any]:
        """What the work gives."""
        if work == "raise":
            raise WorkError
        return {"led": len(self._tokens), "newer": sorted(set(self._tokens)) == self._tokens}


class SyncFace:
    """Calls of `Client`, each in a thread of a pool, since they block."""

    make = Client

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(64)

    async def call(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """A call that may block."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, functools.partial(function, *args, **kwargs))

    def work(self, works: list[str]) -> Callable[[Lease], dict[str, Any]]:
        """What leads, in a thread that waits for the loss."""
        led = Led(works)

        def work(lease: Lease) -> dict[str, Any]:
            what = led.begin(lease)
            if what == "stay":
                while lease.held:
                    lease.wait_lost()
                lease.check()
            return led.end(what)

        return work

    async def locks(self, client: Client, pattern: str) -> list[LockInfo]:
        """All locks of a pattern."""
        listed: list[LockInfo] = await self.call(lambda: list(client.locks(pattern)))
        return listed

    async def close(self, client: Client) -> None:
        """Closes a client."""
        await self.call(client.close)

    def shut(self) -> None:
        """Ends the pool."""
        self._threads.shutdown()


class AsyncFace:
    """Calls of `AsyncClient`, awaited."""

    make = AsyncClient

    async def call(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """A call that may be awaited."""
        result = function(*args, **kwargs)
        return await result if inspect.isawaitable(result) else result

    def work(self, works: list[str]) -> Callable[[AsyncLease], Awaitable[dict[str, Any]]]:
        """What leads, until it is cancelled."""
        led = Led(works)

        async def work(lease: AsyncLease) -> dict[str, Any]:
            what = led.begin(lease)
            if what == "stay":
                await asyncio.Event().wait()
            return led.end(what)

        return work

    async def locks(self, client: AsyncClient, pattern: str) -> list[LockInfo]:
        """All locks of a pattern."""
        return [info async for info in client.locks(pattern)]

    async def close(self, client: AsyncClient) -> None:
        """Closes a client."""
        await client.aclose()

    def shut(self) -> None:
        """Nothing to end."""


@dataclass
class Task:
    """A step in the background."""

    step: dict[str, Any]
    outcome: asyncio.Task[Outcome]
    joined: bool = False


@dataclass
class Run:
    """One run of a scenario on one store."""

    url: str
    face: Any
    # Makes a plain connection to where it runs; there is none where there is no server.
    connect: Callable[[], Plain | Connection] | None = None
    clients: dict[str, Any] = field(default_factory=dict)
    leases: dict[str, Any] = field(default_factory=dict)
    tasks: dict[str, Task] = field(default_factory=dict)
    kept: list[Any] = field(default_factory=list)
    redis: Plain | Connection | None = None
    # Only names have to differ; nothing secret comes of it.
    text: str = field(default_factory=lambda: "".join(random.choices(string.ascii_lowercase + string.digits, k=12)))

    async def scenario(self, scenario: dict[str, Any]) -> None:
        """Runs all steps, and closes everything."""
        try:
            for number, step in enumerate(scenario["steps"], 1):
                if step["op"].endswith("redis") and self.connect is None:
                    continue
                try:
                    (await self.outcome(step)).judge(self.filled(step))
                except AssertionError as failure:
                    raise StepError(f"step {number}, {json.dumps(step)}: {failure}") from failure
            if forgotten := [name for name, task in self.tasks.items() if not task.joined]:
                raise StepError(f"the scenario joins no {forgotten}")
        finally:
            for client in self.clients.values():
                with contextlib.suppress(LeaselockError):
                    await self.face.close(client)
            for task in self.tasks.values():
                await asyncio.wait([task.outcome])
            for lease in [*self.leases.values(), *self.kept]:
                if isinstance(lease, (Lease, AsyncLease)):
                    lease.detach()
            if self.redis is not None:
                self.redis.close()

    def filled(self, value: Any) -> Any:
        """The value with its placeholders replaced."""
        if isinstance(value, dict):
            return {k: v if k == "step" else self.filled(v) for k, v in value.items()}
        if isinstance(value, list):
            return [self.filled(v) for v in value]
        if isinstance(value, str):
            value = value.replace("<run>", self.text)
            value = re.sub(r"<repeat:([^:>]*):(\d+)>", lambda m: m[1] * int(m[2]), value)
            value = re.sub(r"<owner:([^>]+)>", lambda m: self.leases[m[1]].owner, value)
            return re.sub(r"<token:([^>]+)>", lambda m: str(self.leases[m[1]].token), value)
        return value

    async def outcome(self, step: dict[str, Any]) -> Outcome:
        """Does one step."""
        step = self.filled(step)
        started = time.monotonic()
        outcome = Outcome()
        try:
            operation: Callable[[dict[str, Any]], Awaitable[Any]] = getattr(self, f"op_{step['op']}")
            outcome.result = await operation(step)
        except AssertionError:
            raise
        except RedisError as error:
            outcome.error = {"name": "redis", "code": error.code, "reason": None}
        except Exception as error:
            code = getattr(error, "code", None)
            reason = error.reason if isinstance(error, LeaseLostError) else None
            outcome.error = {"name": type(error).__name__, "code": code, "reason": reason, "text": str(error)}
        outcome.took = (time.monotonic() - started) * 1000
        return outcome

    # -- operations --

    async def op_client(self, step: dict[str, Any]) -> None:
        options: dict[str, Any] = {}
        if "app" in step:
            options["app_id"] = step["app"]
        if "command_timeout" in step:
            options["command_timeout"] = step["command_timeout"] / 1000
        self.clients[step["as"]] = self.face.make(self.url, **options)

    def keep(self, step: dict[str, Any], lease: AnyLease) -> None:
        if "as" in step:
            if (before := self.leases.get(step["as"])) is not None:
                self.kept.append(before)
            self.leases[step["as"]] = lease
        else:
            self.kept.append(lease)

    @staticmethod
    def options(step: dict[str, Any]) -> dict[str, Any]:
        found = {k: step[k] for k in ("renew", "label", "shared", "permits") if k in step}
        durations = {k: step[k] for k in ("ttl", "wait", "max_hold", "min_hold") if k in step}
        return found | {k: None if v is None else v / 1000 for k, v in durations.items()}

    async def op_acquire(self, step: dict[str, Any]) -> None:
        client = self.clients[step["client"]]
        self.keep(step, await self.face.call(client.acquire, step["name"], **self.options(step)))

    async def op_try_acquire(self, step: dict[str, Any]) -> bool:
        client = self.clients[step["client"]]
        lease = await self.face.call(client.try_acquire, step["name"], **self.options(step))
        if lease is not None:
            self.keep(step, lease)
        return lease is not None

    async def op_acquire_all(self, step: dict[str, Any]) -> None:
        client = self.clients[step["client"]]
        self.keep(step, await self.face.call(client.acquire_all, step["names"], **self.options(step)))

    async def op_try_acquire_all(self, step: dict[str, Any]) -> bool:
        client = self.clients[step["client"]]
        group = await self.face.call(client.try_acquire_all, step["names"], **self.options(step))
        if group is not None:
            self.keep(step, group)
        return group is not None

    async def op_lead(self, step: dict[str, Any]) -> dict[str, Any]:
        client = self.clients[step["client"]]
        work = self.face.work(step["works"])
        led: dict[str, Any] = await self.face.call(client.lead, step["name"], work, **self.options(step))
        return led

    async def op_release_lease(self, step: dict[str, Any]) -> Any:
        return await self.face.call(self.leases[step["lease"]].release)

    async def op_release(self, step: dict[str, Any]) -> str:
        client = self.clients[step["client"]]
        status = await self.face.call(client.release, step["name"], step["owner"])
        return str(status.value)

    async def op_force_release(self, step: dict[str, Any]) -> str:
        status = await self.face.call(self.clients[step["client"]].force_release, step["name"])
        return str(status.value)

    async def op_extend_by_owner(self, step: dict[str, Any]) -> str:
        client = self.clients[step["client"]]
        status = await self.face.call(client.extend, step["name"], step["owner"], step["ttl"] / 1000)
        return str(status.value)

    async def op_inspect(self, step: dict[str, Any]) -> dict[str, Any] | None:
        info = await self.face.call(self.clients[step["client"]].inspect, step["name"])
        return None if info is None else described(info)

    async def op_locks(self, step: dict[str, Any]) -> list[dict[str, Any]]:
        infos = await self.face.locks(self.clients[step["client"]], step["pattern"])
        return sorted(map(described, infos), key=lambda info: str(info["name"]))

    async def op_lease(self, step: dict[str, Any]) -> dict[str, Any]:
        lease = self.leases[step["lease"]]
        values: dict[str, Any]
        if isinstance(lease, (LeaseGroup, AsyncLeaseGroup)):
            values = {"names": list(lease.names), "tokens": list(lease.tokens.values())}
            values |= {"state": lease.state, "held": lease.held}
        else:
            values = {name: getattr(lease, name) for name in ("name", "owner", "token", "state", "held")}
        return values | {"ttl": lease.ttl * 1000, "expires_in": lease.expires_in * 1000}

    async def op_newer(self, step: dict[str, Any]) -> bool:
        return bool(self.leases[step["lease"]].token > self.leases[step["than"]].token)

    async def op_extend(self, step: dict[str, Any]) -> None:
        await self.face.call(self.leases[step["lease"]].extend, **self.options(step))

    async def op_check(self, step: dict[str, Any]) -> None:
        self.leases[step["lease"]].check()

    async def op_detach(self, step: dict[str, Any]) -> None:
        self.leases[step["lease"]].detach()

    async def op_wait_lost(self, step: dict[str, Any]) -> str | None:
        lease = self.leases[step["lease"]]
        if not await self.face.call(lease.wait_lost, step["timeout"] / 1000):
            return None
        try:
            lease.check()
        except LeaseLostError as error:
            return error.reason
        raise StepError("wait_lost says it is lost, check() that it is held")

    async def op_stats(self, step: dict[str, Any]) -> dict[str, int]:
        stats = self.clients[step["client"]].stats()
        return {name: getattr(stats, name) for name in type(stats).__slots__}

    async def op_close(self, step: dict[str, Any]) -> None:
        await self.face.close(self.clients[step["client"]])

    async def op_sleep(self, step: dict[str, Any]) -> None:
        await asyncio.sleep(step["ms"] / 1000)

    async def op_reported(self, step: dict[str, Any]) -> dict[str, Any] | None:
        return await REPORTS.first(step["event"], step["name"], step["within"] / 1000)

    async def op_observed(self, step: dict[str, Any]) -> list[dict[str, Any]]:
        name, label, renewals = step["name"], step.get("label"), step.get("renewals", False)
        return await OBSERVATIONS.first(name, label, renewals, step["count"], step["within"] / 1000)

    async def op_until_waiters(self, step: dict[str, Any]) -> None:
        deadline = time.monotonic() + WAITERS_SECONDS
        while time.monotonic() < deadline:
            info = await self.op_inspect(step)
            if (0 if info is None else info["waiters"]) == step["count"]:
                return
            await asyncio.sleep(POLL_SECONDS)
        raise StepError(f"{step['name']} never had {step['count']} waiters: {info}")

    async def op_start(self, step: dict[str, Any]) -> None:
        self.tasks[step["task"]] = Task(step["step"], asyncio.create_task(self.outcome(step["step"])))

    async def op_pending(self, step: dict[str, Any]) -> bool:
        return not self.tasks[step["task"]].outcome.done()

    async def op_join(self, step: dict[str, Any]) -> None:
        task = self.tasks[step["task"]]
        task.joined = True
        done, _ = await asyncio.wait([task.outcome], timeout=JOIN_SECONDS)
        if not done:
            raise StepError("it never ended")
        task.outcome.result().judge(self.filled(task.step))

    def command(self, words: list[Any]) -> Any:
        """One command on a plain connection, made anew when it was cut."""
        for _ in range(2):
            if self.redis is None:
                assert self.connect is not None
                self.redis = self.connect()
            try:
                return self.redis.command(*words)
            except OSError:
                self.redis.close()
                self.redis = None
        raise StepError("the plain connection was cut twice")

    async def op_redis(self, step: dict[str, Any]) -> Any:
        return await asyncio.to_thread(self.command, step["args"])

    async def op_until_redis(self, step: dict[str, Any]) -> None:
        deadline = time.monotonic() + step["within"] / 1000
        while True:
            reply = await self.op_redis(step)
            if matches(step["expect"], reply):
                return
            if time.monotonic() > deadline:
                raise StepError(f"{step['args']} still answers {reply!r}")
            await asyncio.sleep(POLL_SECONDS)


def described(info: LockInfo) -> dict[str, Any]:
    """The fields of a LockInfo, times in milliseconds."""
    holders = [{"owner": it.owner, "expires_in": in_millis(it.expires_in)} for it in info.holders]
    return {
        "name": info.name,
        "owner": info.owner,
        "expires_in": in_millis(info.expires_in),
        "waiters": info.waiters,
        "mode": info.mode,
        "holders": holders,
        "holder_count": info.holder_count,
    }


def in_millis(seconds: float | None) -> float | None:
    return None if seconds is None else seconds * 1000
