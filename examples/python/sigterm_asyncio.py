"""A worker on asyncio that can be deployed at any moment: told to end, it gives its lock back and ends."""

import asyncio
import contextlib
import os
import signal

from leaselock import AsyncClient


async def work() -> None:
    """Works in turn with other workers, until it is cancelled: `async with` blocks are left on the way."""
    async with AsyncClient() as client:
        while True:
            async with client.lock("worker", ttl=30, label=f"worker-{os.getpid()}") as lease:
                print(f"works, token {lease.token}", flush=True)
                await asyncio.sleep(5)  # the job itself


async def main() -> None:
    """Has SIGTERM cancel the work. (A web framework has hooks of its own for its end: close the client in one.)"""
    task = asyncio.create_task(work())
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await task


if __name__ == "__main__":
    asyncio.run(main())
