"""What jobs may require of the host that runs them: labels, and memory. Checked for the client and for `App.queue`."""

import re
from collections.abc import Sequence

LABEL = re.compile(r"[A-Za-z0-9_.=-]+")
"""As the setting LABELS has them."""


def check_requires(given: object) -> tuple[str, ...]:
    """The labels, sorted, each once. Raises ValueError with a sentence on what was given and what to give."""
    if isinstance(given, str) or not isinstance(given, Sequence | set | frozenset):
        raise ValueError(f'requires={given!r}: give a list of labels, as in requires=["gpu"]')
    for label in given:
        if not isinstance(label, str) or not LABEL.fullmatch(label):
            raise ValueError(f"requires={given!r}: {label!r} is no label, which has letters, digits and _ . - = only")
    return tuple(sorted(set(given)))


def check_memory_mb(given: object) -> int:
    """Megabytes. Raises ValueError with a sentence on what was given and what to give."""
    if isinstance(given, bool) or not isinstance(given, int) or given <= 0:
        raise ValueError(f"memory_mb={given!r}: give a whole number of megabytes above 0")
    return given
