"""A job that runs in one place only, however many copies are started; the others stand by.

Start it twice: one leads. End that one (Ctrl-C), or kill it: the other takes over.
"""

import asyncio
import os

from leaselock import AsyncClient, LeaseLostError

ME = os.getpid()


async def lead() -> None:
    """The job itself: here it runs until it is cancelled."""
    await asyncio.Event().wait()


async def main() -> None:
    """Stands by, leads, and stands by again if the lease is lost."""
    async with AsyncClient() as client:
        while True:
            print(f"{ME} stands by", flush=True)
            try:
                async with client.lock("scheduler", ttl=3, label=f"scheduler-{ME}") as lease:
                    print(f"{ME} leads, token {lease.token}", flush=True)
                    await lead()
            except LeaseLostError as lost:
                print(f"{ME} no longer leads: {lost.reason}", flush=True)


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except KeyboardInterrupt:  # leaving the scopes gave the lock back: the next one need not wait for the lease to end
        print(f"{ME} ends", flush=True)
