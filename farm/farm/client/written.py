"""What is known of a job once it was enqueued."""

from typing import NamedTuple

from farm.client.options import Options


class Written(NamedTuple):
    """One job that is in Redis now."""

    id: str
    data: bytes
    """Its function and arguments as the serializer wrote them, not packed."""
    options: Options
