"""Tasks for workers: each leaves traces of its work in a file."""

from __future__ import annotations

import os
from typing import Any

from beats import work
from celery import Celery

from leaselock.celery import exclusive

app = Celery("tasks", broker=os.environ["BROKER"], backend=os.environ["BROKER"])
app.conf.update(
    task_default_queue=os.environ["QUEUE"],
    result_backend_transport_options={"global_keyprefix": os.environ["QUEUE"]},
    # After so many seconds what a killed worker had taken is delivered again. A worker looks for it while its `BRPOP`
    # waits: where it has no event loop of its own, as with gevent, that has to be more than 2 s.
    broker_transport_options={
        "visibility_timeout": float(os.environ.get("VISIBLE_AFTER", "3600")),
        "polling_interval": 5,
    },
    broker_connection_retry_on_startup=True,
    worker_prefetch_multiplier=1,
    leaselock_url=os.environ["LOCKS_URL"],
    leaselock_app_id=os.environ["LOCKS_APP_ID"],
)

# Long enough for another worker to be there before the name is free.
LATE_TTL = 6


@app.task
@exclusive("skip:{user}", on_busy="skip", ttl=2)
def skips(path: str, user: str, seconds: float) -> str:
    work(path, seconds)
    return "done"


@app.task(max_retries=100)
@exclusive("retry:{user}", on_busy="retry", countdown=0.1, ttl=2)
def retries(path: str, user: str, seconds: float) -> str:
    work(path, seconds)
    return "done"


@app.task(max_retries=1, bind=True)
@exclusive("few:{user}", on_busy="retry", countdown=0.1, ttl=2)
def retries_once(self: Any, path: str, user: str, seconds: float) -> int:
    work(path, seconds)
    return int(self.request.retries)


@app.task(bind=True)
@exclusive("wait:{user}", on_busy="wait", wait=60, ttl=2)
def waits(self: Any, path: str, user: str, seconds: float) -> str:
    assert self.name.endswith("waits")
    work(path, seconds)
    return "done"


@app.task
@exclusive("wait:{user}", on_busy="wait", wait=0.2, ttl=2)
def waits_shortly(path: str, user: str, seconds: float) -> str:
    work(path, seconds)
    return "done"


# `acks_late` and `reject_on_worker_lost`: a task whose worker was killed is delivered again.
@app.task(acks_late=True, reject_on_worker_lost=True, max_retries=None)
@exclusive("late:{user}", on_busy="retry", countdown=0.2, ttl=LATE_TTL)
def is_delivered_again(path: str, user: str, seconds: float) -> str:
    work(path, seconds)
    return "done"


@app.task
@exclusive("least:{user}", min_hold=1.5)
def is_kept(path: str, user: str) -> str:
    work(path, 0)
    return "done"
