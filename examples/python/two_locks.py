"""Switching from redis-py's Lock while both kinds of program run: for one release, take both locks."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import redis

from leaselock import Client, Lease

URL = os.environ["LEASELOCK_URL"]
WAIT = 10  # seconds, for each of the two
old, new = redis.Redis.from_url(URL), Client(URL)


@contextmanager
def both(name: str, seconds: float) -> Iterator[Lease]:
    """Excludes programs that know the old lock alone, and those that know the new one alone."""
    # Always in this order: two programs that took them in different orders could wait for each other. The old lock is
    # not renewed, so the new one is not either; and it begins earlier, by what the new one is waited for, so that it
    # has to be longer by that: else `lease.held` would say yes when the old lock has ended.
    with (
        old.lock(name, timeout=seconds + WAIT, blocking_timeout=WAIT),
        new.lock(name, ttl=seconds, renew=False, wait=WAIT) as lease,
    ):
        yield lease


with both("nightly-report", 60) as lease:
    print(f"works under both locks, token {lease.token}")
new.close()
