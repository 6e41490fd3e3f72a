"""Runs stock RQ workers, one burst for each line of JSON on its input; answers each with a line.

The answer comes when the burst is over. Jobs that are due are queued first, as a worker with a scheduler does.
"""

import json
import sys

from rq import Queue, SimpleWorker, Worker
from rq.scheduler import RQScheduler
from rq.utils import import_attribute

from farm.store.connection import connect


def main(url: str, modules: str) -> None:
    sys.path.insert(0, modules)
    connection, answers = connect(url), sys.stdout
    sys.stdout = sys.stderr  # what workers log goes apart
    for line in sys.stdin:
        order = json.loads(line)
        queue = Queue(order["queue"], connection=connection, serializer=order["serializer"])
        scheduler = RQScheduler([queue], connection=connection)
        scheduler.acquire_locks()
        scheduler.enqueue_scheduled_jobs()
        scheduler.release_locks()
        kind = Worker if order["fork"] else SimpleWorker
        worker = kind(
            [queue],
            connection=connection,
            serializer=order["serializer"],
            job_class=order["job_class"],
            exception_handlers=[import_attribute(name) for name in order["exception_handlers"]],
        )
        worker.work(burst=True, logging_level="WARNING")
        print("done", file=answers, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
