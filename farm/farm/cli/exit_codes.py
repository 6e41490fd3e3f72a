"""How a command ended, for scripts."""

OK = 0
FAILED = 1
USAGE = 2
"""An option, argument or setting cannot be used."""
NO_REDIS = 3
"""Redis does not answer, refuses, or is too old."""
NOT_FOUND = 4
"""There is no such job or host."""
TIMEOUT = 5
"""The time given was over first."""
