"""What ends the demo early."""

from farm.errors import FarmError


class DemoFailed(FarmError):
    """Something did not come in its time, or ended by itself. The text says what, and what the parts logged last."""
