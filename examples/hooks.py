# hooks.py      every hook of an app, in the order in which they run:   python hooks.py
import functools
import logging
import os
import sys

import farm

app = farm.App(processes=1, idle_processes=1)


def say(what):
    print(f"pid {os.getpid()}: {what}", file=sys.stderr, flush=True)


@functools.cache
def say_once(what):
    say(what)


@app.preload  # once per host, before its processes are forked: what it loads, they share
def preload(process):
    say("preload")
    process.userdata["rates"] = {"de": 1.19}


@app.arguments  # in each process: what is special about this one
def arguments(process):
    say("arguments")
    return {"device": process.number % 2}


@app.prewarm  # in each process, before it takes a job; what stands after the yield runs when the process ends
async def prewarm(process):
    say(f"prewarm, on device {process.arguments['device']}")
    yield
    say("prewarm, after its yield")


@app.around_job  # in the process, around every job
def around_job(job):
    say(f"around_job, attempt {job.attempt}")
    yield
    say("around_job, after its yield")


@app.entrypoint(timeout=60)  # what runs for "farm.entrypoint"; returning ends the job
async def entrypoint(job):
    say(f"entrypoint, with {job.payload} and {job.process.userdata['rates']}")
    job.add_shutdown_callback(lambda: say("shutdown callback"))
    return job.payload["net"] * job.process.userdata["rates"]["de"]


@app.load  # about once a second, in a process of its own
def load(host):
    say_once("load")
    return host.busy / 24


@app.accept  # in the same process, of each job before it gets one: True, or why this host does not run it
def accept(job):
    say_once("accept")
    return job.queue == "default" or "runs only what is in default"


@app.on("process_created")  # in a process of its own, as all handlers; they are called in this order
@app.on("process_started")
@app.on("process_ready")
@app.on("host_available")
@app.on("job_launched")
@app.on("job_finished")
@app.on("host_draining")
@app.on("process_closed")
async def tell(event):
    say(f"on {event.name}" + (f": {event.reason}" if event.reason else ""))


@app.on("process_killed")
def tell_of_trouble(event):
    logging.error("%s killed: %s %s", event.pid, event.reason, event.facts)


if __name__ == "__main__":
    farm.Client().queue("default").enqueue("farm.entrypoint", {"net": 100})
    app.run(["--burst", *sys.argv[1:]])  # ends when the queue is empty
