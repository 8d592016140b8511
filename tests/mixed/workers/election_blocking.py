"""A candidate of the election in sync Python, which leads in its main thread."""

from __future__ import annotations

import contextlib
import os
import threading

from election_shared import BEAT_SECONDS, Candidate, OwnError

import leaselock


def main() -> None:
    print(os.getpid(), flush=True)
    candidate = Candidate()
    client = leaselock.Client()
    ending, at_work, over = threading.Event(), threading.Event(), threading.Event()

    def end() -> None:
        ending.set()
        # Its work ends by itself; where it only waits, closing the client ends that.
        while not over.wait(BEAT_SECONDS):
            if not at_work.is_set():
                client.close()

    def work(lease: leaselock.Lease) -> None:
        at_work.set()
        try:
            while not ending.is_set():
                if not candidate.writes(lease):
                    candidate.note("stopped", lease.token)
                    return
                lease.wait_lost(BEAT_SECONDS)
            candidate.note("ends", lease.token)
        finally:
            at_work.clear()

    candidate.listen(end)
    while not ending.is_set():
        with contextlib.suppress(OwnError, leaselock.ClientClosedError):
            client.lead(candidate.name, work, ttl=candidate.ttl, label=candidate.tag)
    over.set()
    client.close()


main()
