"""A candidate of the election in asyncio."""

from __future__ import annotations

import asyncio
import contextlib
import os

from election_shared import BEAT_SECONDS, Candidate, OwnError

import leaselock


async def main() -> None:
    print(os.getpid(), flush=True)
    candidate = Candidate()

    async def work(lease: leaselock.AsyncLease) -> None:
        try:
            while True:
                candidate.writes(lease)
                await asyncio.sleep(BEAT_SECONDS)
        except asyncio.CancelledError:
            candidate.note("ends" if lease.held else "stopped", lease.token)
            raise

    async def lead(client: leaselock.AsyncClient) -> None:
        while True:
            with contextlib.suppress(OwnError):
                await client.lead(candidate.name, work, ttl=candidate.ttl, label=candidate.tag)

    async with leaselock.AsyncClient() as client:
        leading = asyncio.create_task(lead(client))
        loop = asyncio.get_running_loop()
        candidate.listen(lambda: loop.call_soon_threadsafe(leading.cancel))
        with contextlib.suppress(asyncio.CancelledError):
            await leading


asyncio.run(main())
