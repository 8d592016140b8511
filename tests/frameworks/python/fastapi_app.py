"""An app whose endpoints leave traces of their work in files, in the folder FOLDER."""

import asyncio
import inspect
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated

from beats import work, work_async
from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.responses import JSONResponse, StreamingResponse

from leaselock import AsyncLease, LeaseLostError
from leaselock.fastapi import Exclusive, lifespan

FOLDER = os.environ["FOLDER"]
app = FastAPI(lifespan=lifespan)
router = APIRouter(prefix="/shops/{shop}")
Order = Annotated[AsyncLease, Depends(Exclusive("order:{order_id}", wait=20, ttl=2))]


def note(name: str, text: str) -> None:
    Path(FOLDER, name).write_text(text)


@app.post("/orders/{order_id:int}")
async def order(order_id: int, lease: Order) -> dict[str, object]:
    await work_async(f"{FOLDER}/orders", 0.05)
    return {"name": lease.name, "held": lease.held}


@app.post("/threads/{order_id:int}")
def in_thread(order_id: int, lease: Order) -> dict[str, object]:
    work(f"{FOLDER}/orders", 0.05)
    return {"name": lease.name, "held": lease.held}


@router.post("/busy", dependencies=[Depends(Exclusive("busy:{shop}", wait=0))])
async def busy(shop: str) -> str:
    return shop


app.include_router(router)


@app.post("/teapots/{pot:path}", dependencies=[Depends(Exclusive("pot:{pot}", wait=0, busy_status=409, retry_after=7))])
async def teapot(pot: str) -> str:
    return pot


@app.post("/headers", dependencies=[Depends(Exclusive(lambda request: f"tenant:{request.headers['tenant']}", wait=0))])
async def headers() -> str:
    return "done"


@app.post("/fails/{order_id:int}")
async def fails(order_id: int, lease: Order) -> None:
    raise ZeroDivisionError


@app.exception_handler(LeaseLostError)
async def lost(_request: Request, error: LeaseLostError) -> JSONResponse:
    return JSONResponse({"lost": error.reason}, 500)


@app.post("/long/{order_id:int}")
async def long(order_id: int, lease: Order) -> str:
    try:
        note("long", "begun")
        await asyncio.sleep(30)
    except asyncio.CancelledError:
        note("long", "cancelled")
        raise
    return "done"


@app.post("/long-thread/{order_id:int}")
def long_thread(order_id: int, lease: Order) -> str:
    note("long-thread", "begun")
    for _ in range(1000):
        try:
            lease.check()
        except LeaseLostError:
            note("long-thread", "stopped")
            raise
        time.sleep(0.03)
    return "done"


@app.get("/stream/{order_id:int}")
async def stream(order_id: int, lease: Order) -> StreamingResponse:
    async def lines() -> AsyncIterator[str]:
        for _ in range(3):
            await asyncio.sleep(0.1)
            yield f"{lease.state}\n"

    return StreamingResponse(lines())


@app.get("/long-stream/{order_id:int}")
async def long_stream(order_id: int, lease: Order) -> StreamingResponse:
    async def lines() -> AsyncIterator[str]:
        for _ in range(1000):
            yield f"{lease.state}\n"
            await asyncio.sleep(0.03)

    return StreamingResponse(lines())


# Since FastAPI 0.121.
if "scope" in inspect.signature(Depends).parameters:

    @app.post("/scoped", dependencies=[Depends(Exclusive("scoped", wait=0), scope="function")])
    async def scoped() -> str:
        return "done"
