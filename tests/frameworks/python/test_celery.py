"""`leaselock.celery` in real workers: prefork, threads and gevent."""

from __future__ import annotations

import os
import re
import signal
import sys
import time
import uuid
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest
from beats import never_two, runs
from celery import Celery
from conftest import PATIENCE, Process, process, wait_until

from leaselock import Client, InvalidArgumentError
from leaselock.celery import exclusive

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

POOLS = ["prefork", "threads", "gevent"]
pytestmark = pytest.mark.timeout(180)


class Workers:
    """Workers of one queue, and what sends them tasks."""

    def __init__(self, url: str, folder: Path, environment: dict[str, str], pool: str, stack: ExitStack) -> None:
        self._queue = f"queue-{uuid.uuid4().hex[:12]}"
        self._broker = f"{url}/1"
        self._folder = folder
        # The locks are where the app says, and not where the environment does.
        locks = {"LOCKS_URL": environment["LEASELOCK_URL"], "LOCKS_APP_ID": environment["LEASELOCK_APP_ID"]}
        own = {"BROKER": self._broker, "QUEUE": self._queue, "LEASELOCK_URL": "redis://127.0.0.1:1", **locks}
        self._environment = {**environment, **own}
        self._pool = pool
        self._stack = stack
        self._app = Celery(broker=self._broker, backend=self._broker)
        self._app.conf.task_default_queue = self._queue
        self._app.conf.result_backend_transport_options = {"global_keyprefix": self._queue}
        self.beats = str(folder / f"beats-{self._queue}")

    def start(self, concurrency: int = 4, **variables: str) -> Process:
        """Starts one."""
        words = [sys.executable, "-m", "celery", "--app", "celery_tasks", "worker", "--pool", self._pool]
        words += ["--concurrency", str(concurrency), "--without-mingle", "--without-gossip", "--without-heartbeat"]
        words += ["--loglevel", "INFO", "--hostname", f"{uuid.uuid4().hex[:6]}@host"]
        return self._stack.enter_context(process(words, self._folder, self._environment | variables))

    def send(self, task: str, user: str, seconds: float | None = None) -> Any:
        """Sends a task, which works for so long."""
        arguments: list[Any] = [self.path(user), user, *([] if seconds is None else [seconds])]
        return self._app.send_task(f"celery_tasks.{task}", arguments)

    def path(self, user: str) -> str:
        """Where the traces of what was done for a user are."""
        return f"{self.beats}-{user}"


@pytest.fixture
def workers(url: str, tmp_path: Path, environment: dict[str, str]) -> Iterator[Callable[[str], Workers]]:
    with ExitStack() as stack:
        yield lambda pool: Workers(url, tmp_path, environment, pool, stack)


def get(results: list[Any]) -> list[Any]:
    return [result.get(timeout=PATIENCE) for result in results]


@pytest.mark.parametrize("pool", POOLS)
def test_never_two_of_one_name(workers: Callable[[str], Workers], pool: str) -> None:
    """In two workers at once: they skip, they try again, they wait in line; users do not hinder each other."""
    on = workers(pool)
    started = [on.start(), on.start()]
    on.send("waits", "warm", 0).get(timeout=PATIENCE)
    skips = [on.send("skips", "ann", 1) for _ in range(4)]
    others = [on.send("skips", "bob", 0)]
    retries = [on.send("retries", "cy", 0.2) for _ in range(4)]
    once = [on.send("retries_once", "di", 1.5) for _ in range(2)]
    waits = [on.send("waits", "ed", 0.1) for _ in range(6)]

    did = get(skips)
    assert set(did) == {"done", None}
    assert did.count("done") == len(never_two(on.path("ann")))
    assert get(others) == ["done"]
    said = "".join(worker.said for worker in started)
    left_out = re.findall(r"INFO.*a call was left out, its lock is taken, event=skipped, name=skip:ann", said)
    assert len(left_out) == did.count(None)

    assert get(retries) == ["done"] * 4
    assert len(never_two(on.path("cy"))) == 4
    # No errors: Celery says that it will try again.
    assert "Retry in 0.1s: LockTimeoutError" in said
    errors = [result.get(timeout=PATIENCE, propagate=False) for result in once]
    # Either the second had its turn at its only retry, which the first one's length forbids, or it has failed.
    failed = [error for error in errors if not isinstance(error, int)]
    assert len(failed) == 1
    assert type(failed[0]).__name__ == "LockTimeoutError"
    assert "few:di" in str(failed[0])
    assert len(never_two(on.path("di"))) == 1

    assert get(waits) == ["done"] * 6
    assert len(never_two(on.path("ed"))) == 6


@pytest.mark.parametrize("pool", POOLS)
def test_what_waits_fails_when_its_wait_is_over(workers: Callable[[str], Workers], client: Client, pool: str) -> None:
    on = workers(pool)
    on.start(2)
    with client.lock("wait:ann"):
        error = on.send("waits_shortly", "ann", 0).get(timeout=PATIENCE, propagate=False)
    assert type(error).__name__ == "LockTimeoutError"
    assert on.send("waits_shortly", "ann", 0).get(timeout=PATIENCE) == "done"


@pytest.mark.parametrize("pool", POOLS)
def test_a_name_is_kept_though_the_work_is_done(workers: Callable[[str], Workers], client: Client, pool: str) -> None:
    on = workers(pool)
    on.start(2)
    assert on.send("is_kept", "ann").get(timeout=PATIENCE) == "done"
    ended = time.monotonic()
    assert on.send("is_kept", "ann").get(timeout=PATIENCE) is None
    assert on.send("is_kept", "bob").get(timeout=PATIENCE) == "done"
    with client.lock("least:ann", wait=PATIENCE):
        (run,) = runs(on.path("ann"))
        assert time.monotonic() - run.first > 1.4
        assert time.monotonic() - ended < 4


@pytest.mark.parametrize("pool", POOLS)
def test_a_task_whose_worker_was_killed_runs_again(
    workers: Callable[[str], Workers], client: Client, pool: str
) -> None:
    """After the TTL. Of prefork a process of the pool is killed, otherwise the worker."""
    on = workers(pool)
    first = on.start(2, VISIBLE_AFTER="1")
    result = on.send("is_delivered_again", "ann", 3)
    wait_until(lambda: runs(on.path("ann")), "it works", PATIENCE)
    (victim,) = runs(on.path("ann"))
    time.sleep(0.3)
    os.kill(victim.pid, signal.SIGKILL)
    killed = time.monotonic()
    if pool != "prefork":
        assert victim.pid == first.popen.pid
        time.sleep(1)
        on.start(2, VISIBLE_AFTER="1")
    assert result.get(timeout=PATIENCE) == "done"
    done = never_two(on.path("ann"))
    assert [run.ended for run in done] == [False, True]
    # The lease was no older than a third of its TTL of 6 s.
    assert done[1].first - killed > 3.9
    assert done[1].pid != victim.pid
    assert client.try_acquire("late:ann", label="free") is not None


@pytest.mark.parametrize("pool", POOLS)
def test_a_warm_shutdown_lets_the_work_end_under_its_lease(
    workers: Callable[[str], Workers], client: Client, pool: str
) -> None:
    on = workers(pool)
    worker = on.start(2)
    result = on.send("skips", "ann", 4)
    wait_until(lambda: runs(on.path("ann")), "it works", PATIENCE)
    worker.popen.send_signal(signal.SIGTERM)
    time.sleep(2.5)  # more than its TTL
    assert client.try_acquire("skip:ann") is None
    assert worker.popen.wait(PATIENCE) == 0
    (run,) = runs(on.path("ann"))
    assert run.ended
    assert result.get(timeout=PATIENCE) == "done"
    with client.lock("skip:ann", wait=0):
        pass


def test_without_a_worker_it_is_a_function(client: Client) -> None:
    app = Celery(set_as_current=False)

    @app.task(bind=True)
    @exclusive("plain:{a}-{b}", on_busy="retry", client=client)
    def plain(self: Any, a: int, *, b: int = 2) -> tuple[int, int]:
        assert self.name.endswith("plain")
        assert client.inspect(f"plain:{a}-{b}") is not None
        return a, b

    assert plain(1) == (1, 2)
    assert plain.apply(args=(1,), kwargs={"b": 3}).get() == (1, 3)
    with client.lock("plain:1-2"), pytest.raises(TimeoutError, match="plain:1-2"):
        plain(1)
    # Celery looks at the arguments when a task is sent, as without the decorator.
    with pytest.raises(TypeError, match="missing"):
        plain.apply_async(args=())


def test_what_cannot_be_is_refused_when_decorating() -> None:
    app = Celery(set_as_current=False)

    def plain(a: int, b: int) -> int:
        return a + b

    with pytest.raises(InvalidArgumentError, match=r"\{c\}.*a, b"):
        exclusive("job:{c}")(plain)
    with pytest.raises(InvalidArgumentError, match="'skip', 'retry', 'wait'"):
        exclusive("job", on_busy="never")  # type: ignore[arg-type]
    with pytest.raises(InvalidArgumentError, match="countdown"):
        exclusive("job", countdown=3)
    with pytest.raises(TypeError, match=r"below @app\.task"):
        exclusive("job")(app.task(plain))

    async def coroutine() -> None: ...

    with pytest.raises(TypeError, match="Celery does not run"):
        exclusive("job")(coroutine)


def test_the_app_may_have_its_settings_in_a_namespace(url: str, app_id: str, client: Client) -> None:
    app = Celery(set_as_current=False)
    app.config_from_object({"CELERY_LEASELOCK_URL": url, "CELERY_LEASELOCK_APP_ID": app_id}, namespace="CELERY")

    @app.task
    @exclusive("named")
    def named() -> bool:
        return client.inspect("named") is not None

    assert named.apply().get() is True
