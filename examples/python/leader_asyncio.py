"""A job that runs in one place only, however many copies are started; the others stand by.

Start it twice: one leads. End that one (Ctrl-C), or kill it: the other takes over.
"""

import asyncio
import os

from leaselock import AsyncClient, AsyncLease

ME = os.getpid()


async def work(lease: AsyncLease) -> None:
    """The job itself: here it runs until it is cancelled, which it is when the lease is lost."""
    print(f"{ME} leads, token {lease.token}", flush=True)
    try:
        await asyncio.Event().wait()
    finally:
        print(f"{ME} no longer leads", flush=True)


async def main() -> None:
    """Stands by, leads, and stands by again if the lease is lost."""
    async with AsyncClient() as client:
        print(f"{ME} stands by", flush=True)
        await client.lead("scheduler", work, ttl=3, label=f"scheduler-{ME}")


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except KeyboardInterrupt:  # the name was given back: the next one need not wait for the lease to end
        print(f"{ME} ends", flush=True)
