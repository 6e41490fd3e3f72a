"""Which connections wait at queues: those of processes that have a watch, and those of hosts; and jobs begun by one."""

import signal

from rq.job import Job

from tests.support.farm import Farm, Member
from tests.support.waiting import wait_until

CLIENT_NAME = "farm-process-queue"
HOST_CLIENT_NAME = "farm-host-queue"


def waiting(farm: Farm, name: str = CLIENT_NAME) -> list[str]:
    """Ids of the connections of this name that wait at a queue: by default those of processes."""
    return [one["id"] for one in farm.redis.client_list() if one["name"] == name and one["cmd"] == "blmove"]


def wait_until_lent(farm: Farm, count: int = 1) -> None:
    wait_until(lambda: len(waiting(farm)) == count, f"{count} processes wait at queues")


def wait_until_the_host_waits(farm: Farm) -> None:
    wait_until(lambda: waiting(farm, HOST_CLIENT_NAME), "the host waits at the queue itself")


def begin_while_its_host_stands_still(farm: Farm, host: Member) -> Job:
    """A job that waits for `farm.go()`, begun by the process that has the watch and by nobody else."""
    host.send(signal.SIGSTOP)
    try:
        job = farm.enqueue("wait_for_go")
        farm.pid_of(job)
    finally:
        host.send(signal.SIGCONT)
    return job
