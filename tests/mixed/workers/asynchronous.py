"""The worker of the mixed-language tests in asyncio: each request in a task of its own."""

from __future__ import annotations

import asyncio
import ctypes
import json
import os
import sys
import time
from typing import Any

import leaselock

client = leaselock.AsyncClient()
leases: dict[str, leaselock.AsyncLease] = {}


async def run(op: str, request: dict[str, Any]) -> Any:
    if op == "hello":
        return {"pid": os.getpid()}
    if op == "acquire":
        wait = request.get("wait")
        lease = await client.acquire(
            request["name"], ttl=request["ttl"] / 1000, wait=None if wait is None else wait / 1000, label="asyncio"
        )
        leases[request["as"]] = lease
        return {"owner": lease.owner, "token": lease.token}
    if op == "release":
        return await leases[request["lease"]].release()
    if op == "release_owner":
        return (await client.release(request["name"], request["owner"])).value
    if op == "look":
        lease = leases[request["lease"]]
        return {"state": lease.state, "held": lease.held, "expires_in": lease.expires_in * 1000}
    if op == "looks":
        lease = leases[request["lease"]]
        seen: list[tuple[int, bool]] = []
        while not seen or seen[-1][0] < request["until"]:
            seen.append((time.monotonic_ns(), lease.held))
            await asyncio.sleep(0.0005)
        return seen
    if op == "check":
        return leases[request["lease"]].check()
    if op == "wait_lost":
        return await wait_lost(leases[request["lease"]], request["timeout"] / 1000)
    if op == "block":
        ctypes.PyDLL(None).usleep(request["ms"] * 1000)  # the loop and the GIL
        return None
    if op == "count":
        return await count(request["name"], request["file"], request["ttl"] / 1000, request["up_to"])
    if op == "close":
        return await client.aclose()
    raise ValueError(op)


async def wait_lost(lease: leaselock.AsyncLease, timeout: float) -> str | None:
    if not await lease.wait_lost(timeout):
        return None
    try:
        lease.check()
    except leaselock.LeaseLostError as lost:
        return str(lost.reason)
    raise AssertionError("a lost lease that checks out")


async def count(name: str, path: str, ttl: float, up_to: int) -> int:
    file = os.open(path, os.O_RDWR)
    tokens = os.open(f"{path}.tokens", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    added = 0
    while True:
        async with client.lock(name, ttl=ttl) as lease:
            number = int(os.pread(file, 20, 0))
            if number >= up_to:
                break
            await asyncio.sleep(0)
            os.pwrite(file, str(number + 1).encode(), 0)
            os.write(tokens, f"{lease.token}\n".encode())
            added += 1
    os.close(file)
    os.close(tokens)
    return added


async def answer(request: dict[str, Any]) -> None:
    """Answers whatever comes of it: an answer that is missing holds the test up."""
    reply: dict[str, Any] = {"id": request["id"]}
    try:
        reply["result"] = await run(request["op"], request)
    except leaselock.LeaselockError as error:
        reason = getattr(error, "reason", None)
        reply["error"] = {
            "name": type(error).__name__,
            "code": error.code,
            "reason": None if reason is None else str(reason),
            "message": str(error),
        }
    except Exception as error:
        reply["error"] = {"name": type(error).__name__, "code": "", "reason": None, "message": str(error)}
    print(json.dumps(reply), flush=True)


async def main() -> None:
    loop = asyncio.get_running_loop()
    lines = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    tasks = set()
    async for line in lines:
        task = loop.create_task(answer(json.loads(line)))
        tasks.add(task)
        task.add_done_callback(tasks.discard)


asyncio.run(main())
