"""Work for a CPU: the same for whoever does it."""

ROUNDS = 100


def work(repetitions: int) -> int:
    """What the job `burn` does: arithmetic without memory to speak of, in parts of some microseconds."""
    total = 0
    for _ in range(repetitions):
        for number in range(ROUNDS):
            total = (total * 31 + number) & 0xFFFFFFFF
    return total
