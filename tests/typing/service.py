"""A service that uses the client. mypy must find exactly the errors that `# expect: code` says, and no others."""

from typing import Any, assert_type

from farm.client import AsyncClient, AsyncJobHandle, Call, Client, JobHandle


def bill(number: int, *, much: float = 1.0) -> str:
    return f"{number} {much}"


async def embed(text: str) -> list[float]:
    return [float(len(text))]


def synchronous(client: Client) -> None:
    queue = client.queue("calls", timeout=60, on_lost="fail", retry=3, depends_on=["one", client.job("two")])
    assert_type(queue.enqueue(bill, 7, much=2.5), JobHandle[str])
    assert_type(queue.enqueue(bill, 7).result(timeout=1.5), str)
    assert_type(queue.enqueue(embed, "text").result(), list[float])
    assert_type(queue.enqueue("shop.bill", 7, anything="goes"), JobHandle[Any])
    queue.enqueue_many([Call(bill, (7,)), ("shop.bill", (), {"number": 7})])
    queue.enqueue_many([Call(bill, (7,), options={"job_id": "bill-7", "timeout": "5m"})])
    queue.enqueue(bill, "seven")  # expect: call-overload
    queue.enqueue(bill)  # expect: call-overload
    queue.enqueue(bill, 7, price=1)  # expect: call-arg arg-type
    queue.enqueue(embed, 7)  # expect: call-overload
    client.queue("calls", requires=["gpu"], memory_mb=4096)
    client.queue("calls", requires=7)  # expect: typeddict-item arg-type
    client.queue("calls", memory_mb="much")  # expect: typeddict-item arg-type
    client.queue("calls", timeut=60)  # expect: call-arg
    client.queue("calls", on_lost="maybe")  # expect: typeddict-item arg-type
    queue.enqueue(bill, 7).result(5)
    client.queue("calls").enqueue(bill, 7).result() + 1  # expect: operator


async def asynchronous(client: AsyncClient) -> None:
    queue = client.queue("calls", delay=1.5)
    assert_type(await queue.enqueue(bill, 7), AsyncJobHandle[str])
    assert_type(await (await queue.enqueue(embed, "text")).result(timeout=1), list[float])
    await queue.enqueue(bill, "seven")  # expect: call-overload
    queue.enqueue(bill, 7).result()  # expect: attr-defined
