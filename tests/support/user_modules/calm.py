"""An app whose host is never busy, whatever else the machine does: for tests whose subject is not the load."""

import farm

app = farm.App()


@app.load
def load():
    return 0.1
