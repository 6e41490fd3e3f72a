"""What is known of a job once it was enqueued."""

from dataclasses import dataclass

from farm.client.options import Options


@dataclass(frozen=True, slots=True)
class Written:
    """One job that is in Redis now."""

    id: str
    data: bytes
    """Its function and arguments as the serializer wrote them, not packed."""
    options: Options
