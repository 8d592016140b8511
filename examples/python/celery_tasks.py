"""Tasks that must not overlap with themselves: `celery -A celery_tasks worker`."""

import os
import time

from celery import Celery

from leaselock.celery import exclusive

app = Celery("celery_tasks", broker=os.environ["BROKER_URL"], backend=os.environ["BROKER_URL"])
app.conf.leaselock_url = os.environ["LEASELOCK_URL"]  # this is where it is looked for anyhow
app.conf.leaselock_app_id = "shop"


@app.task
@exclusive("import:{user_id}", on_busy="skip")
def import_contacts(user_id: int) -> str | None:
    """While one import of a user runs, another one is left out."""
    time.sleep(1)  # the work
    return f"imported the contacts of user {user_id}"


@app.task(bind=True, acks_late=True, reject_on_worker_lost=True, max_retries=20)
@exclusive("order:{order_id}", on_busy="retry", countdown=1)
def ship(self, order_id: int) -> str:  # type: ignore[no-untyped-def]  # noqa: ANN001 - the task
    """Every order is shipped, one task after the other; one whose worker dies is delivered again."""
    time.sleep(1)
    return f"order {order_id} is shipped, after {self.request.retries} retries"


@app.task
@exclusive("report", on_busy="wait", wait=60, max_hold=600)
def write_report() -> str:
    """Waits in line, a minute at most, and keeps a process of the worker busy meanwhile."""
    return "the report is written"


@app.task
@exclusive("nightly", min_hold=30)
def nightly() -> str:
    """Sent by the timers of several hosts a moment apart: it is done once."""
    return "done"
