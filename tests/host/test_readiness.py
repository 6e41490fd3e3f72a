"""What a service manager hears of real hosts and coordinators, on a socket as systemd's."""

import signal
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from farm.keys import Keys
from tests.support.farm import Farm
from tests.support.waiting import wait_until

KEYS = Keys()


class Manager:
    """Listens as systemd does."""

    def __init__(self, folder: Path) -> None:
        self.address = str(folder / "notify")
        self.heard: list[str] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self.address)
        self._socket.setblocking(False)

    def hears(self, word: str) -> bool:
        """Whether it was told this so far."""
        with suppress(BlockingIOError):
            while True:
                self.heard += self._socket.recv(4096).decode().splitlines()
        return any(said.startswith(word) for said in self.heard)

    def said(self, word: str) -> str:
        """The last line it was told that begins so."""
        return [said for said in self.heard if said.startswith(word)][-1]

    def forget(self) -> None:
        self.hears("")
        self.heard.clear()

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def manager(farm: Farm, tmp_path: Path) -> Iterator[Manager]:
    """Whatever the farm starts from now on is started by this one, with a watchdog of 2 s."""
    one = Manager(tmp_path)
    farm.environment |= {"NOTIFY_SOCKET": one.address, "WATCHDOG_USEC": "2000000"}
    yield one
    one.close()


def test_a_host_tells_that_it_is_ready_once_warm_that_it_lives_and_that_it_stops(farm: Farm, manager: Manager) -> None:
    warm = farm.folder / "warm"
    (farm.folder / "user" / "slow_app.py").write_text(
        f"""import os, time
from stopped_jobs import app

@app.prewarm
def wait(process):
    while not os.path.exists({str(warm)!r}):
        time.sleep(0.01)
"""
    )
    host = farm.host("one", ready=False, app="slow_app", close_timeout=2)

    wait_until(lambda: manager.hears("STATUS=one is starting"), "it says what it does", 30)
    assert not manager.hears("READY=1")
    warm.touch()
    wait_until(lambda: manager.hears("READY=1"), "it is ready", 30)
    assert farm.published("one")["state"] == "available"
    assert int(farm.published("one")["idle"]) == 1, "its first process is warm"
    before = manager.heard.index("READY=1")
    assert any(word.startswith("STATUS=one is starting") for word in manager.heard[:before])

    job = farm.queue().enqueue("stopped_jobs.variables")
    farm.wait_for(job)
    assert farm.fetch(job).return_value() == [], "no job may speak for its host"
    farm.wait_for_leader()
    told_of_children = [
        process.pid for process in host.tree()[1:] if any("NOTIFY" in name for name in process.environ())
    ]
    assert told_of_children == []

    manager.forget()
    wait_until(lambda: manager.hears("WATCHDOG=1"), "it lives")
    running = farm.enqueue("wait_for_go")
    farm.pid_of(running)
    host.send(signal.SIGTERM)
    wait_until(lambda: manager.hears("STOPPING=1"), "it stops")
    wait_until(
        lambda: manager.hears("STATUS=one drains (SIGTERM), running jobs: 1"), "it says why, and what it waits for"
    )
    manager.forget()
    wait_until(lambda: manager.hears("WATCHDOG=1"), "it lives while it drains")
    farm.go()
    assert host.wait() == 0
    assert not manager.hears("READY=1")


@pytest.mark.slow
def test_a_host_whose_processes_do_not_become_warm_is_not_ready_and_says_why(farm: Farm, manager: Manager) -> None:
    (farm.folder / "user" / "cold_app.py").write_text(
        "import farm\napp = farm.App()\n\n@app.prewarm\ndef cold(process):\n    raise RuntimeError('no database')\n"
    )
    host = farm.host("one", ready=False, app="cold_app")

    wait_until(lambda: manager.hears("STATUS=one is unhealthy"), "it is unhealthy", 40)
    assert "no database" in manager.said("STATUS=one is unhealthy")
    assert not manager.hears("READY=1")
    assert host.stop() == 0


def test_a_coordinator_tells_that_it_is_ready_when_it_leads_or_stands_by(farm: Farm, manager: Manager) -> None:
    for status in ("leads", "stands by"):
        manager.forget()
        coordinator = farm.coordinator()
        wait_until(lambda: manager.hears("READY=1"), "it is ready", 20)
        assert any(word.startswith("STATUS=") and status in word for word in manager.heard)
        wait_until(lambda: manager.hears("WATCHDOG=1"), "it lives")
    farm.members[0].stop()
    coordinator.stop()
    assert manager.hears("STOPPING=1")


@pytest.mark.slow
def test_a_host_that_hangs_does_not_feed_the_watchdog(farm: Farm, manager: Manager) -> None:
    host = farm.host("one", ready=False)
    wait_until(lambda: manager.hears("READY=1"), "it is ready", 30)

    host.send(signal.SIGSTOP)
    manager.forget()
    age = float(farm.redis.zscore(KEYS.hosts, "one") or 0)
    wait_until(lambda: float(farm.redis.time()[0]) - age > 3, "nothing comes for longer than the watchdog waits", 10)

    assert not manager.hears("WATCHDOG=1")
    host.send(signal.SIGCONT)
    assert host.stop() == 0
