"""A worker of the demo, in Python: takes the lock, writes to the resource with its token, gives the lock back."""

from __future__ import annotations

import json
import sys
import time
import urllib.request

from leaselock import Client, LeaselockError

ME, LOCK, TTL, RESOURCE = sys.argv[1], sys.argv[2], float(sys.argv[3]), sys.argv[4]


def tell(what: str, token: int) -> dict[str, str]:
    """Sends one request to the resource; a refusal raises `HTTPError` 412."""
    body = json.dumps({"worker": ME, "token": token}).encode()
    with urllib.request.urlopen(urllib.request.Request(f"{RESOURCE}/{what}", data=body), timeout=5) as reply:
        answer: dict[str, str] = json.load(reply)
    return answer


def work() -> None:
    """Takes turns until told to stop."""
    order = "work"
    with Client() as client:  # the store is in LEASELOCK_URL
        while order != "stop":
            with client.lock(LOCK, ttl=TTL, label=ME) as lease:
                order = tell("enter", lease.token)["order"]
                if order == "hang":
                    sys.stdin.read()  # for ever; the lease is renewed all the while, until this process is killed
                time.sleep(0.25)  # the work
                tell("write", lease.token)
                tell("leave", lease.token)


try:
    work()
except LeaselockError as error:
    sys.exit(f"{ME}: {type(error).__name__}: {error}")
