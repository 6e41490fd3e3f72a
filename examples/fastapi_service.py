"""A service that enqueues from its handlers: uvicorn fastapi_service:service (needs fastapi and uvicorn)."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, HTTPException

import farm
from farm.errors import JobFailed, ResultTimeout


@asynccontextmanager
async def connected(service: FastAPI) -> AsyncIterator[None]:
    """One client for the life of the service."""
    async with farm.AsyncClient() as client:
        service.state.calls = client.queue("calls", timeout=60, result_ttl=600)
        yield


service = FastAPI(lifespan=connected)


@service.post("/bills/{order}")
async def bill(order: int) -> object:
    """Waits for the bill; the handler holds no thread meanwhile."""
    job = await service.state.calls.enqueue("shop.bill", order)
    try:
        return await job.result(timeout=30)
    except JobFailed as error:
        raise HTTPException(422, str(error)) from error
    except ResultTimeout as error:
        raise HTTPException(504, str(error)) from error
