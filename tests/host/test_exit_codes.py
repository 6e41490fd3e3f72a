"""What a host's exit code says: 0 for who was asked to stop, something else for all others."""

import signal

import pytest

from farm.keys import Keys
from tests.support.farm import SHORT_TIMES, Farm
from tests.support.waiting import wait_until

KEYS = Keys()


@pytest.mark.slow
def test_a_host_whose_name_was_taken_while_it_was_away_cannot_go_on_and_fails(farm: Farm) -> None:
    first = farm.host("one", standby_coordinator="false", ready=False, **SHORT_TIMES)
    farm.coordinator(**SHORT_TIMES)
    farm.wait_for_state("one", "available")
    job = farm.enqueue("wait_for_go")
    farm.pid_of(job)
    first.send(signal.SIGSTOP)
    wait_until(lambda: farm.events("host.lost"), "it is given up", 20)
    second = farm.host("one", **SHORT_TIMES)

    first.send(signal.SIGCONT)

    assert first.wait(30) == 1
    assert "a host named one is alive" in first.says
    farm.go()
    farm.wait_for(job)
    assert farm.count("finished") == 1
    assert second.stop() == 0


def test_a_host_that_was_given_up_and_is_asked_to_stop_ends_as_one_that_was_asked(farm: Farm) -> None:
    host = farm.host("one")
    farm.redis.hdel(KEYS.identities, "one")

    assert host.stop() == 0
