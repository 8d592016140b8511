"""A job that timers start on several machines and that must not overlap with itself: who comes second skips it."""

import time

from leaselock import Client

with Client() as client:
    # A run that hangs blocks the next ones for ten minutes at most.
    lease = client.try_acquire("cleanup", ttl=10, max_hold=600)
    if lease is None:
        print("cleanup is running elsewhere, nothing to do")
    else:
        with lease:
            print(f"cleaning up, token {lease.token}", flush=True)
            time.sleep(1)  # the work
