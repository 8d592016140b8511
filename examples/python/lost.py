"""What to do when a lease is lost: stop, write nothing more, and leave the rest to whoever has the lock now."""

import time

from leaselock import Client, LeaseLostError


def work(client: Client) -> None:
    """A job in steps, which looks before each one that matters."""
    with client.lock("nightly-report", ttl=1, wait=10) as lease:
        client.force_release("nightly-report")  # as a colleague may do by hand; a cut network ends a lease as well
        for step in range(1000):
            lease.check()  # raises LeaseLostError if it is no longer ours
            if step == 0:
                print("works")
            time.sleep(0.05)  # the step itself


with Client() as client:
    try:
        work(client)
    except LeaseLostError as lost:
        print(f"stopped: the lease was lost, {lost.reason}")
