# compute.py    what this machine has and uses, in the log:   farm worker --app compute     (or: python compute.py)
import logging
import time

import farm

log = logging.getLogger("compute")
app = farm.App(queues="compute", processes=2, threshold=0.75)


@app.prewarm  # in each process, before it takes a job
def tell(process):
    log.info("process %d of %s is warm", process.number, process.host)


@app.load  # about once a second, in a process of its own; what it returns is compared with the threshold
def load(host):
    value = max(host.cpu, host.memory_share)
    log.info(
        "cpu=%.2f cores=%g memory=%.1f/%.1fGB slots=%d/%d load=%.2f threshold=%.2f",
        *(host.cpu, host.cpu_count, host.memory / 1e9, host.memory_total / 1e9),
        *(host.busy, host.slots, value, host.threshold),
    )
    return value


def burn(seconds):
    """A job: keeps one core busy."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass


if __name__ == "__main__":
    app.run()
