"""A job that runs in one place only, however many copies are started; the others stand by.

Start it twice: one leads. End that one (Ctrl-C), or kill it: the other takes over.
"""

import os

from leaselock import Client, Lease

ME = os.getpid()


def work(lease: Lease) -> None:
    """The job itself, a piece at a time for as long as it leads. Here it does nothing."""
    print(f"{ME} leads, token {lease.token}", flush=True)
    while lease.held:
        lease.wait_lost(1)  # sleeps for a second, or until the lease is lost
    print(f"{ME} no longer leads", flush=True)


def main() -> None:
    """Stands by, leads, and stands by again if the lease is lost."""
    with Client() as client:
        print(f"{ME} stands by", flush=True)
        client.lead("scheduler", work, ttl=3, label=f"scheduler-{ME}")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:  # the name was given back: the next one need not wait for the lease to end
        print(f"{ME} ends", flush=True)
