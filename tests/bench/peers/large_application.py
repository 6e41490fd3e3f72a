"""Stands for an application: a second to import, 50 MB. Whoever imports it twice pays twice."""

import time

IMPORT_SECONDS = 1.0
ROWS = 600_000
"""About 50 MB."""

time.sleep(IMPORT_SECONDS)
rows = [f"row number {number}" for number in range(ROWS)]
