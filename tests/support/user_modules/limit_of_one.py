"""An app whose host says it is fully loaded by one job."""

import farm

app = farm.App(admission="strict")


@app.load
def load(host):
    return min(host.busy / 1, 1.0)
