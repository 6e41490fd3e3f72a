"""One long job among many short ones: what was sent ahead to the process that runs it does not wait for its end."""

import pytest

from tests.support.farm import Farm

LONG_SECONDS = 5.0
MOST_SECONDS = 0.5
SHORT = 1000


@pytest.mark.slow
@pytest.mark.parametrize("place", [0, 300])
def test_no_short_job_waits_behind_a_long_one(farm: Farm, place: int) -> None:
    for name in ("one", "two"):
        farm.host(name)
    # Hosts have learned how short these jobs are, so they hold many of them in advance.
    farm.wait_for(*farm.enqueue_many("mark_time", [(f"before-{number}", 0.001) for number in range(200)]))

    seconds = [0.001] * SHORT
    seconds.insert(place, LONG_SECONDS)
    jobs = farm.enqueue_many("mark_time", list(enumerate(seconds)))
    farm.wait_for(*jobs, timeout=60)

    begun = {int(key): float(at) for key, at in farm.redis.hgetall("test:times").items() if key.isdigit()}
    first_after, latest = float("inf"), 0.0
    for number in reversed(range(len(jobs))):
        if number != place:
            latest = max(latest, begun[number] - first_after)
        first_after = min(first_after, begun[number])
    assert latest <= MOST_SECONDS, "so much later than a job that stood behind it"
    meanwhile = sum(begun[place] < at < begun[place] + LONG_SECONDS for at in begun.values())
    assert meanwhile > SHORT / 10, "the other host went on"
