"""What a service manager is told, and by whom: datagrams to a socket of a test's own."""

import asyncio
import os
import socket
from collections.abc import Iterator
from contextlib import suppress
from math import inf
from pathlib import Path

import pytest

from farm.service_manager import Report, ServiceManager


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    """A socket that listens, and its address as NOTIFY_SOCKET names it."""
    address = str(tmp_path / "notify") if request.param == "path" else f"@farm-test-{os.getpid()}-{id(request)}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(address.replace("@", "\0", 1))
        listening.setblocking(False)
        yield listening, address


def words(listening: socket.socket) -> list[str]:
    """All words that were sent until now."""
    found: list[str] = []
    with suppress(BlockingIOError):
        while True:
            found += listening.recv(4096).decode().splitlines()
    return found


def test_it_is_told_what_is_news_and_each_step_once(manager: tuple[socket.socket, str]) -> None:
    listening, address = manager
    told = ServiceManager(address)

    told.tell(Report("one starts"), 0.0)
    told.tell(Report("one starts"), 1.0)
    told.tell(Report("one is\navailable", ready=True), 2.0)
    told.tell(Report("one is full", ready=True), 3.0)
    told.tell(Report("one drains", stopping=True), 4.0)
    told.tell(Report("one drains", ready=True, stopping=True), 5.0)

    assert words(listening) == [
        "STATUS=one starts",
        "STATUS=one is available",
        "READY=1",
        "STATUS=one is full",
        "STATUS=one drains",
        "STOPPING=1",
    ]


def test_the_watchdog_is_fed_at_half_of_its_time_and_only_by_what_is_alive(manager: tuple[socket.socket, str]) -> None:
    listening, address = manager
    told = ServiceManager(address, watchdog=10.0)

    for now in range(12):
        told.tell(Report(""), now)
    assert words(listening).count("WATCHDOG=1") == 3, "at 0, 5 and 10"
    for now in range(12, 40):
        told.tell(Report("", alive=False), now)
    assert "WATCHDOG=1" not in words(listening)


def test_the_variables_are_taken_so_that_no_child_has_them() -> None:
    environ = {"NOTIFY_SOCKET": "/run/notify", "WATCHDOG_USEC": "2000000", "WATCHDOG_PID": str(os.getpid()), "A": "b"}

    assert ServiceManager.take(environ)._watchdog == 2.0
    assert environ == {"A": "b"}


@pytest.mark.parametrize(
    "variables",
    [
        {"WATCHDOG_USEC": "2000000", "WATCHDOG_PID": "1"},
        {"WATCHDOG_USEC": "soon"},
        {"WATCHDOG_USEC": "0"},
        {},
    ],
)
def test_a_watchdog_that_is_meant_for_another_process_or_makes_no_sense_is_none(variables: dict[str, str]) -> None:
    assert ServiceManager.take({"NOTIFY_SOCKET": "/run/notify", **variables})._watchdog == inf


@pytest.mark.parametrize("address", ["", "vsock:2:1234", "relative"])
def test_nobody_is_told_where_nobody_listens_that_it_can_reach(address: str) -> None:
    told = ServiceManager.take({"NOTIFY_SOCKET": address})

    told.tell(Report("one starts", ready=True), 0.0)
    asyncio.run(told.keep_told(lambda: pytest.fail("asked how things are")))


def test_a_service_manager_that_is_gone_or_full_is_no_reason_to_wait_or_end(tmp_path: Path) -> None:
    ServiceManager(str(tmp_path / "gone")).tell(Report("one starts"), 0.0)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as full:
        full.bind(str(tmp_path / "full"))
        told = ServiceManager(str(tmp_path / "full"))
        for number in range(2000):
            told.tell(Report(f"status {number}"), float(number))


def test_the_watchdog_is_fed_from_the_event_loop_until_that_ends(manager: tuple[socket.socket, str]) -> None:
    listening, address = manager

    async def run() -> None:
        telling = asyncio.create_task(ServiceManager(address, watchdog=0.4).keep_told(lambda: Report("", ready=True)))
        fed = 0
        while fed < 3:
            fed += words(listening).count("WATCHDOG=1")
            await asyncio.sleep(0.01)
        telling.cancel()

    asyncio.run(asyncio.wait_for(run(), 10))
    assert words(listening) == []
