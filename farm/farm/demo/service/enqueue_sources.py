"""A service with plain rq: `python enqueue_sources.py REDIS_URL QUEUE LIST LEDGER`.

LIST names one source file a line. Each number on stdin enqueues that many of them, one job a file; the end of stdin
ends the program. What rq accepted is written to LEDGER, one line a job: its id, a tab, the file.
"""

import sys
from itertools import islice
from pathlib import Path

from redis import Redis
from rq import Queue

AT_ONCE = 25


def main(redis_url: str, queue_name: str, listed: str, ledger: str) -> None:
    """Enqueues what is asked for on stdin."""
    queue = Queue(queue_name, connection=Redis.from_url(redis_url))
    paths = iter(Path(listed).read_text().splitlines())
    with Path(ledger).open("a") as accepted:
        for line in sys.stdin:
            wanted = islice(paths, int(line))
            while page := list(islice(wanted, AT_ONCE)):
                jobs = queue.enqueue_many([Queue.prepare_data("source_index.index", (path,)) for path in page])
                accepted.writelines(f"{job.id}\t{job.args[0]}\n" for job in jobs)
                accepted.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
