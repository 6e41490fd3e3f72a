"""EXECUTOR=thread: a job that ends its process ends it for its neighbours, too, and nobody can tell which it was."""

from tests.support.farm import Farm
from tests.support.waiting import wait_until


def test_jobs_that_share_a_crashed_process_run_again_each_in_a_process_apart(farm: Farm) -> None:
    farm.host("one", executor="thread", processes=2)
    neighbour = farm.enqueue("wait_for_go")
    shared = farm.pid_of(neighbour)
    crashing = farm.queue().enqueue("crashing_jobs.die_once")

    farm.wait_for(crashing)
    wait_until(lambda: farm.pid_of(neighbour) != shared, "the neighbour runs again")
    farm.go()
    farm.wait_for(neighbour)

    assert farm.count("crashed") == 2
    first, second = (int(number) for number in farm.redis.lrange(f"test:processes:{crashing.id}", 0, -1))
    apart = {second, farm.pid_of(neighbour)}
    assert first == shared
    assert len(apart) == 2
    last = farm.wait_for(farm.queue().enqueue("crashing_jobs.process_id"))
    assert last.return_value() not in apart
