"""Jobs that the benchmark runs."""


def nothing() -> None:
    """A job that costs nothing itself: what is measured is everything around it."""
