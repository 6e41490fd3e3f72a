"""An app one of whose queues needs a label."""

import farm

app = farm.App()
app.queue("special", requires=["gpu"])
