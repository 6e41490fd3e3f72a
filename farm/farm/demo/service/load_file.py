"""The App of both hosts: each says the load that stands in a file of its own."""

import os
from pathlib import Path

import farm

app = farm.App()


@app.load
def load() -> float:
    """What the file named by DEMO_LOAD_FILE says, 0 to 1."""
    return float(Path(os.environ["DEMO_LOAD_FILE"]).read_text())
