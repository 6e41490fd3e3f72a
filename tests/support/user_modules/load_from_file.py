"""An app whose host is as busy as a file says: its path is in LOAD_FILE."""

import os
from pathlib import Path

import farm

app = farm.App()


@app.load
def load():
    return float(Path(os.environ["LOAD_FILE"]).read_text())
