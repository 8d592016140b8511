"""The churn in asyncio: a task of the loop for each. `tests/mixed/README.md` says what it is told and answers."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys

from churn_shared import AFTER_FAILURE, Diary, Orders, Turn, block, counters

import leaselock


async def acquire(client: leaselock.AsyncClient, turn: Turn, diary: Diary) -> leaselock.AsyncLease:
    acquiring = client.acquire(turn.name, ttl=turn.ttl, wait=turn.wait, renew=turn.renew, label=diary.who)
    if turn.cancel is None:
        return await acquiring
    task = asyncio.ensure_future(acquiring)
    cancelling = asyncio.get_running_loop().call_later(turn.cancel, task.cancel)
    try:
        return await task
    finally:
        cancelling.cancel()


async def take_turn(client: leaselock.AsyncClient, turn: Turn, diary: Diary) -> None:
    diary.wants(turn)
    try:
        lease = await acquire(client, turn, diary)
    except leaselock.LockTimeoutError:
        diary.note("timeout", turn.name)
    except asyncio.CancelledError:
        diary.note("cancelled", turn.name)
    except leaselock.LeaselockError as error:
        diary.note("failed", turn.name, more=f"{error.code}: {error}")
        await asyncio.sleep(AFTER_FAILURE)
    else:
        try:
            await hold(lease, turn, diary)
        except leaselock.LeaselockError as error:
            diary.note("failed", turn.name, more=f"{error.code}: {error}")


async def hold(lease: leaselock.AsyncLease, turn: Turn, diary: Diary) -> None:
    for pause in turn.pauses:
        if not diary.writes(lease):
            return
        await asyncio.sleep(pause)
    if turn.block is not None:
        block(turn.block)
    if turn.extend is not None:
        diary.note("extends", lease.name, lease.token)
        with contextlib.suppress(leaselock.LeaseLostError):  # the next look says so
            await lease.extend(turn.extend)
    if not diary.writes(lease):
        return
    if turn.leave:
        diary.note("left", lease.name, lease.token)
        lease.detach()
    else:
        diary.note("ends", lease.name, lease.token)
        diary.note("released" if await lease.release() else "gone", lease.name, lease.token)


async def run(client: leaselock.AsyncClient, orders: Orders, task: int) -> None:
    diary = Diary(orders, task)
    for turn in orders.turns(task):
        await take_turn(client, turn, diary)


async def work(orders: Orders) -> str:
    """Works, and answers until there are other orders; these, or nothing at the end of the input."""
    async with contextlib.AsyncExitStack() as stack:
        made = [leaselock.AsyncClient(**orders.options) for _ in range(orders.clients)]
        clients = [await stack.enter_async_context(client) for client in made]
        await asyncio.gather(*(run(clients[task % len(clients)], orders, task) for task in range(orders.tasks)))
        orders.close()
        print("done", flush=True)
        while True:
            line: str = await asyncio.to_thread(sys.stdin.readline)
            if not line.isspace():
                return line
            print(counters(*clients), flush=True)


async def main() -> None:
    print(os.getpid(), flush=True)
    line = sys.argv[1]
    while line:
        line = await work(Orders(line))


asyncio.run(main())
