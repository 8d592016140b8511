"""Endpoints that must not be at the same order at the same time: `uvicorn fastapi_app:app --workers 4`."""

import asyncio
from typing import Annotated

from fastapi import Depends, FastAPI

from leaselock import AsyncClient, AsyncLease
from leaselock.fastapi import Exclusive, client, lifespan

app = FastAPI(lifespan=lifespan)  # the store is in LEASELOCK_URL

# One at a time for each order, whichever endpoint: a second for the lock, then 423.
Order = Annotated[AsyncLease, Depends(Exclusive("order:{order_id}", wait=1, ttl=10))]


@app.post("/orders/{order_id:int}/pay")
async def pay(order_id: int, lease: Order) -> dict[str, int]:
    """Is cancelled if the lease is lost; `lease.token` is for what checks it."""
    await asyncio.sleep(0.5)  # the work
    return {"paid": order_id, "token": lease.token}


@app.post("/orders/{order_id:int}/ship")
def ship(order_id: int, lease: Order) -> dict[str, int]:
    """Runs in a thread, which nothing cancels: it looks before a step that matters."""
    lease.check()  # raises LeaseLostError if it was lost
    return {"shipped": order_id}


@app.get("/orders/{order_id:int}")
async def look(order_id: int, locks: Annotated[AsyncClient, Depends(client)]) -> dict[str, bool]:
    """The client itself, for all else."""
    return {"busy": await locks.inspect(f"order:{order_id}") is not None}
