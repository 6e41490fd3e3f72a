"""A farm that has nothing to do leaves Redis, and the machine, alone."""

from farm.keys import Keys
from tests.support.farm import Farm
from tests.support.waiting import wait_out, wait_until

SETTLE_SECONDS = 7.0
"""By then each script was called once, and so sent to the server."""
MEASURED_SECONDS = 10.0
SENDS_PER_SECOND = 5
"""The beat, the coordinator's questions of each second in one message, waits that are renewed, and what is seldom."""


def sends(farm: Farm) -> int:
    """How often some client has sent something, this question not counted."""
    return int(farm.redis.info("stats")["total_reads_processed"]) - 1


def test_a_host_and_its_coordinator_that_idle_send_redis_little(farm: Farm) -> None:
    farm.host("one", processes=2)
    farm.wait_for(farm.enqueue("add", 1, 2))
    wait_until(lambda: farm.redis.hlen(Keys().reserved), "its queue is reserved for the host")
    wait_out(SETTLE_SECONDS)

    before = sends(farm)
    wait_out(MEASURED_SECONDS)

    assert sends(farm) - before <= SENDS_PER_SECOND * MEASURED_SECONDS
    farm.wait_for(farm.enqueue("add", 1, 2))
