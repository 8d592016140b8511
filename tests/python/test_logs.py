"""Log records carry their fields: a formatter of JSON sees them under the names of the page on logs."""

from __future__ import annotations

import json
import logging
import time
from typing import TYPE_CHECKING

import pytest
from logged import fields

from leaselock import Client, LeaseLostError, LockTimeoutError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from proxy import Proxy


class Json(logging.Formatter):
    """One object on a line, as formatters for log collectors make it."""

    def format(self, record: logging.LogRecord) -> str:
        return json.dumps({"level": record.levelname, "message": record.getMessage(), **fields(record)})


class Lines(logging.Handler):
    """Keeps what it would print."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(Json())
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)

    def until(self, event: str) -> dict[str, object]:
        """The first line of this event."""
        give_up_at = time.monotonic() + 5
        while time.monotonic() < give_up_at:
            for record in self.records:
                line: dict[str, object] = json.loads(self.format(record))
                if line["event"] == event:
                    return line
            time.sleep(0.01)
        pytest.fail(f"no record of {event}: {self.records}")


@pytest.fixture
def lines() -> Iterator[Lines]:
    handler = Lines()
    logger = logging.getLogger("leaselock")
    logger.addHandler(handler)
    level = logger.level
    logger.setLevel(logging.INFO)
    yield handler
    logger.removeHandler(handler)
    logger.setLevel(level)


def test_a_loss(client: Client, other: Client, app_id: str, name: str, lines: Lines) -> None:
    lease = client.acquire(name, ttl=0.3, renew=False)
    other.force_release(name)
    assert lease.wait_lost(3)
    line = lines.until("lost")
    message = line.pop("message")
    assert line == {
        "level": "WARNING",
        "event": "lost",
        "client": client.id,
        "app_id": app_id,
        "lock": name,
        "owner": lease.owner,
        "token": lease.token,
        "reason": "expired",
    }
    # Who has no such formatter reads them in the text.
    assert message == (
        f"a lease was lost, event=lost, client={client.id}, app_id={app_id}, name={name}, owner={lease.owner}, "
        f"token={lease.token}, reason=expired"
    )


def test_a_renewal_that_fails_and_a_connection_made_again(proxy: Proxy, app_id: str, name: str, lines: Lines) -> None:
    with Client(proxy.url, app_id=app_id, command_timeout=0.3) as client:
        lease = client.acquire(name, ttl=1.5)
        proxy.refuse = True
        proxy.cut()
        failed = lines.until("renew_failed")
        assert failed["lock"] == name
        assert failed["owner"] == lease.owner
        assert failed["client"] == client.id
        assert failed["error"]
        proxy.refuse = False
        again = lines.until("reconnect")
        assert again["client"] == client.id
        assert "lock" not in again


def test_a_callback_that_fails(client: Client, name: str, lines: Lines) -> None:
    def fail(_: LeaseLostError) -> None:
        raise ZeroDivisionError("100 %s")

    lease = client.acquire(name, ttl=0.1, renew=False)
    lease.on_lost(fail)
    line = lines.until("callback_failed")
    assert line["level"] == "ERROR"
    assert "fail" in str(line["message"])
    [record] = [r for r in lines.records if r.levelno == logging.ERROR]
    assert record.exc_info
    assert record.exc_info[0] is ZeroDivisionError


def test_percent_signs_are_text_and_templates_are_constant(client: Client, name: str, lines: Lines) -> None:
    for number in range(2):
        client.acquire(f"{name} 100%s {number}", ttl=0.1, renew=False).wait_lost(3)
    give_up_at = time.monotonic() + 3
    while len(lines.records) < 2 and time.monotonic() < give_up_at:
        time.sleep(0.01)
    one, other = lines.records
    assert one.msg == other.msg
    assert {f"name={name} 100%s {number}," in str(r.getMessage()) for number, r in enumerate((one, other))} == {True}


def test_what_a_programs_own_records_have_stays(client: Client, name: str, lines: Lines) -> None:
    made = logging.getLogRecordFactory()

    def factory(*args: object, **kwargs: object) -> logging.LogRecord:
        record = made(*args, **kwargs)
        record.client = "the program's"
        return record

    logging.setLogRecordFactory(factory)
    try:
        client.acquire(name, ttl=0.1, renew=False).wait_lost(3)
        line = lines.until("lost")
    finally:
        logging.setLogRecordFactory(made)
    assert line["client"] == "the program's"
    assert line["leaselock_client"] == client.id


def test_levels(client: Client, name: str, lines: Lines) -> None:
    logging.getLogger("leaselock").setLevel(logging.ERROR)
    client.acquire(name, ttl=0.1, renew=False).wait_lost(3)
    with client.lock(name), pytest.raises(LockTimeoutError):
        client.acquire(name, wait=0)
    time.sleep(0.2)
    assert lines.records == []
