"""A producer that knows only rq and redis: python plain_rq.py REDIS_URL [ORDER ...]

`farm up` prints the address of its Redis when it starts.
"""

import sys
import time

from redis import Redis
from rq import Queue
from rq.job import Job, JobStatus

SECONDS_TO_WAIT = 60


def main(url: str, orders: list[int]) -> None:
    """Enqueues a bill for each order and prints them in the order given."""
    connection = Redis.from_url(url)
    queue = Queue("calls", connection=connection)
    prepared = [Queue.prepare_data("shop.bill", (order,), result_ttl=600) for order in orders]
    for job in queue.enqueue_many(prepared):
        print(f"{job.args[0]}: {wait(job)}")


def wait(job: Job) -> object:
    """The job's return value. Raises RuntimeError if it failed, TimeoutError if it takes too long."""
    deadline = time.monotonic() + SECONDS_TO_WAIT
    while time.monotonic() < deadline:
        status = job.get_status(refresh=True)
        if status == JobStatus.FINISHED:
            return job.return_value(refresh=True)
        if status in {JobStatus.FAILED, JobStatus.STOPPED, JobStatus.CANCELED}:
            result = job.latest_result()
            raise RuntimeError(f"job {job.id} {status.value}: {result.exc_string if result else 'no result'}")
        time.sleep(0.05)
    raise TimeoutError(f"job {job.id} did not end within {SECONDS_TO_WAIT} s")


if __name__ == "__main__":
    main(sys.argv[1], [int(order) for order in sys.argv[2:]] or [1, 2, 3])
