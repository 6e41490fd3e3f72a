"""An app whose host is never busy, with a queue of jobs that must not run twice."""

import farm

app = farm.App(queues=("default", "careful"))
app.queue("careful", on_lost="fail")


@app.load
def load():
    return 0.1
