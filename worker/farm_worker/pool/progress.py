"""How far a job says that it is: from what its process sends to what is kept."""

from datetime import UTC, datetime

import msgspec

from farm.store import job_status
from farm_worker.pool.protocol import Progress

TEXT_LENGTH = 1000
"""What a job says is shown on one line."""


def heard(said: Progress) -> job_status.Progress:
    """As it is kept: between 0 and 1, of bounded length, dated now."""
    fraction = said.fraction
    if fraction is not None:
        # Whatever is no number at all is neither below nor above.
        fraction = min(max(fraction, 0.0), 1.0) if fraction == fraction else None  # noqa: PLR0124
    return job_status.Progress(fraction, said.text[:TEXT_LENGTH], datetime.now(UTC))


def to_field(progress: job_status.Progress) -> bytes:
    """The value of `farm_progress` in the job's hash: JSON."""
    return msgspec.json.encode(progress)
