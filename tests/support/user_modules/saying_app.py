"""An app that says something while it warms up."""

import logging
from typing import Any

import farm

app = farm.App(threshold=1)
logging.basicConfig(format="mine: %(message)s")
print("imported")


@app.prewarm
def prewarm(_process: Any) -> None:
    logging.getLogger("shop").warning("prewarmed")
