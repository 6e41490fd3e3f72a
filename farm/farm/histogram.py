"""Values counted in buckets whose widths grow with the value: percentiles of what many hosts saw, in a few numbers.

Eight buckets per doubling: a percentile is within 4.5 % of the true one, whatever the values are like, and the counts
of two histograms can be added. (A mean with a spread fits one shape of distribution only, and estimates of a percentile
that move with each value can't be merged.)
"""

import math
from collections.abc import Mapping

BUCKETS_PER_DOUBLING = 8
NOTHING = -1000
"""The bucket of 0, and of what is too small to be anything."""

_SMALLEST = 2.0 ** (NOTHING / BUCKETS_PER_DOUBLING)


def bucket_of(value: float) -> int:
    """Where a value is counted."""
    return math.floor(math.log2(value) * BUCKETS_PER_DOUBLING) if value > _SMALLEST else NOTHING


def value_of(bucket: int) -> float:
    """The value that stands for all of a bucket: its middle, by ratio."""
    return 0.0 if bucket <= NOTHING else 2.0 ** ((bucket + 0.5) / BUCKETS_PER_DOUBLING)


def percentile(counts: Mapping[int, float], share: float) -> float:
    """The least value that `share` (0 to 1) of all values don't exceed, 0 if there is none."""
    wanted = share * sum(counts.values())
    reached, bucket = 0.0, NOTHING
    for bucket in sorted(counts):
        reached += counts[bucket]
        if reached >= wanted:
            break
    return value_of(bucket)
