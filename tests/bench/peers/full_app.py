"""An app whose load is at the threshold for as long as a file exists."""

import os
from pathlib import Path

import farm

VARIABLE = "BENCH_FULL"

app = farm.App()


@app.load
def load() -> float:
    """1 is full, whatever the threshold."""
    return 1.0 if Path(os.environ[VARIABLE]).exists() else 0.0
