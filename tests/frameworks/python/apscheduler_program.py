"""A scheduler with jobs that leave traces: `apscheduler_program.py KIND DATABASE add|go-on`."""

import asyncio
import os
import sys
from typing import Any

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.schedulers.background import BackgroundScheduler
from beats import work, work_async

from leaselock.apscheduler import exclusive

FOLDER = os.environ.get("FOLDER", "")
SECONDS = 2


@exclusive("short:{place}", min_hold=1.7)
def short(place: str) -> None:
    work(f"{FOLDER}/short-{place}", 0.05)


@exclusive("long", min_hold=1.7, ttl=1)
def long() -> None:
    work(f"{FOLDER}/long", 2.5)


@exclusive("coroutine", min_hold=1.7)
async def coroutine() -> None:
    await work_async(f"{FOLDER}/coroutine", 0.05)


def plain() -> None:
    work(f"{FOLDER}/plain", 0.05)


def fill(scheduler: Any, kind: str) -> None:
    every: dict[str, Any] = {"second": f"*/{SECONDS}", "misfire_grace_time": 1, "coalesce": True}
    scheduler.add_job(short, "cron", args=["oslo"], id="short", **every)
    scheduler.add_job(long, "cron", id="long", max_instances=5, **every)
    scheduler.add_job(plain, "cron", id="plain", **every)
    if kind == "asyncio":
        scheduler.add_job(coroutine, "cron", id="coroutine", **every)


async def main() -> None:
    kind, database, what = sys.argv[1:]
    scheduler = AsyncIOScheduler() if kind == "asyncio" else BackgroundScheduler()
    scheduler.add_jobstore("sqlalchemy", url=f"sqlite:///{database}")
    scheduler.start(paused=True)
    if what == "add":
        fill(scheduler, kind)
    scheduler.resume()
    print("runs", flush=True)
    await asyncio.sleep(3600)


if __name__ == "__main__":
    # Jobs are kept by reference: those of `__main__` would not be found by another program.
    import apscheduler_program

    asyncio.run(apscheduler_program.main())
