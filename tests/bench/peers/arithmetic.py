"""Work for a CPU: the same for whoever does it."""

import time

ROUNDS = 100


def work(repetitions: int) -> int:
    """What the job `burn` does: arithmetic without memory to speak of, in parts of some microseconds."""
    total = 0
    for _ in range(repetitions):
        for number in range(ROUNDS):
            total = (total * 31 + number) & 0xFFFFFFFF
    return total


def cpu_seconds_of(repetitions: int) -> float:
    """What so much of it takes, here and now."""
    began = time.thread_time()
    work(repetitions)
    return time.thread_time() - began
