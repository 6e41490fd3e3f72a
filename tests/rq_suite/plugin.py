"""A plugin of pytest for RQ's own tests: the farm's worker stands in the place of RQ's."""

import rq
import rq.worker
import rq.worker.worker_classes
import rq.worker_pool

from farm_worker.rq import Worker

for module in (rq, rq.worker, rq.worker.worker_classes, rq.worker_pool):
    module.Worker = Worker
