"""A worker that can be deployed at any moment: told to end, it gives its lock back and ends."""

import os
import signal
import sys
import time

from leaselock import Client


def end(*_: object) -> None:
    """Ends the program from wherever the main thread is, a blocking acquire too: `with` blocks are left on the way."""
    sys.exit(0)


def main() -> None:
    """Works in turn with other workers."""
    signal.signal(signal.SIGTERM, end)
    with Client() as client:
        while True:
            with client.lock("worker", ttl=30, label=f"worker-{os.getpid()}") as lease:
                print(f"works, token {lease.token}", flush=True)
                time.sleep(5)  # the job itself


if __name__ == "__main__":
    main()
