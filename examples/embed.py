# embed.py      one model per host, shared by all of its jobs:  farm worker texts --app embed     (or: python embed.py)
import os
from collections import Counter
from itertools import pairwise
from math import sqrt
from pathlib import Path

import farm

app = farm.App(queues="texts", processes=4, idle_processes=2)


@app.runner("embed", batch=8, memory_limit_mb=2000)  # one process per host holds the model, however many jobs run
class Embed:
    def initialize(self):  # a real one reads gigabytes, or fills a GPU: once, before the host takes jobs
        pairs = Counter(pairwise(Path(__file__).with_name("rates.csv").read_text().lower()))
        self.weights = {pair: 1 / count for pair, count in pairs.items()}

    def run(self, texts):  # up to 8 calls that wait, in one go; without `batch` it is run(self, text)
        return [(self.vector(text), os.getpid()) for text in texts]

    def vector(self, text):
        return {pair: count * self.weights.get(pair, 1.0) for pair, count in Counter(pairwise(text.lower())).items()}


async def compare(one, other):  # a job: it runs in any process of the pool, none of which has the model
    embed = farm.runner("embed")
    first, model_pid = await embed.acall(one, timeout=30)
    second, _ = await embed.acall(other, timeout=30)  # in a plain function: embed.call(other, timeout=30)
    product = sum(weight * second.get(pair, 0.0) for pair, weight in first.items())
    similarity = product / (length(first) * length(second))
    return {"similarity": round(similarity, 3), "process": os.getpid(), "model": model_pid}


def length(vector):
    return sqrt(sum(weight * weight for weight in vector.values())) or 1.0


if __name__ == "__main__":
    app.run()

# any other service:  Queue("texts", connection=redis).enqueue("embed.compare", "hello", "hallo")
