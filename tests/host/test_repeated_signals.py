"""Who asks a host to stop may go on asking."""

import signal

from tests.support.farm import Farm
from tests.support.waiting import wait_until


def test_a_host_that_is_asked_again_and_again_ends_cleanly(farm: Farm) -> None:
    host = farm.host("one")
    job = farm.enqueue("wait_for_go")
    farm.pid_of(job)

    def ask_again() -> bool:
        if host.process.poll() is None:
            host.send(signal.SIGTERM)
        return host.process.poll() is not None

    wait_until(ask_again, "the host has ended", 20)

    assert host.process.returncode == 0
    assert farm.waiting() == [job.id]
