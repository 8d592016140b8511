"""Quickstart: one job at a time, from asyncio."""

import asyncio

from leaselock import AsyncClient, LeaseLostError, LockTimeoutError


async def main() -> None:
    async with AsyncClient() as client:  # the store is in LEASELOCK_URL
        try:
            async with client.lock("nightly-report", ttl=30, wait=10) as lease:
                print(f"writing the report under token {lease.token}")
                await asyncio.sleep(0.1)  # cancelled at once if the lease is lost
        except LockTimeoutError:
            print("someone else had it for ten seconds")
        except LeaseLostError as lost:
            print(f"stopped: the lease was lost, {lost.reason}")


asyncio.run(main())
