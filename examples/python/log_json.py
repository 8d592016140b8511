"""Prints what leaselock logs as JSON, a line for each record, with its fields."""

import json
import logging
import time

from leaselock import Client

ORDINARY = vars(logging.makeLogRecord({}))


class Json(logging.Formatter):
    """A formatter as those for log collectors, such as python-json-logger's, in a few lines."""

    def format(self, record: logging.LogRecord) -> str:
        fields = {name: value for name, value in vars(record).items() if name not in ORDINARY}
        return json.dumps({"level": record.levelname, "logger": record.name, **fields})


handler = logging.StreamHandler()
handler.setFormatter(Json())
logging.basicConfig(level=logging.INFO, handlers=[handler])

with Client("memory:logs", app_id="shop") as client:
    lease = client.acquire("nightly-report", ttl=0.2, renew=False)
    time.sleep(0.5)  # work that takes longer than the lease
    print(lease.state)
