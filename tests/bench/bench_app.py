"""An app that takes long to load and has much: what processes are to share."""

import time
from collections.abc import Mapping
from typing import Any

import farm

IMPORT_SECONDS = 1.0
JOB_SECONDS = 0.02
ROWS = 600_000
"""About 50 MB."""

time.sleep(IMPORT_SECONDS)
app = farm.App()


@app.preload
def load(process: Any) -> None:
    process.userdata["rows"] = [f"row number {number}" for number in range(ROWS)]


def look() -> int:
    """A job of 20 ms that reads what was preloaded."""
    time.sleep(JOB_SECONDS)
    process = farm.current_process()
    userdata: Mapping[str, Any] = process.userdata if process is not None else {}
    return len(userdata["rows"])
