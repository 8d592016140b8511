"""Views that must not be at the same order at the same time, in whatever process."""

from django.http import HttpRequest, HttpResponse

from leaselock import LockTimeoutError
from leaselock.django import aclient, exclusive, lock


def pay(_request: HttpRequest, order_id: int) -> HttpResponse:
    """A person waits for this: two seconds for the lock, and then an answer."""
    try:
        with lock(f"order:{order_id}", wait=2) as lease:
            return HttpResponse(f"order {order_id} is paid, token {lease.token}")
    except LockTimeoutError:
        return HttpResponse("this order is being worked on, try again", status=423)


async def ship(_request: HttpRequest, order_id: int) -> HttpResponse:
    """The same lock in an async view; `lock` would block the event loop."""
    async with aclient.lock(f"order:{order_id}", wait=2):
        return HttpResponse(f"order {order_id} is shipped")


@exclusive("report", on_busy="skip")
def write_report() -> str:
    """One at a time, wherever it is called from: a view, a command, a job. Who comes second gets None."""
    return "the report is written"


def report(_request: HttpRequest) -> HttpResponse:
    """Whoever comes while it is written is told so."""
    return HttpResponse(write_report() or "the report is being written")
