"""A host that measures a machine which a test made up: its kernel files are below KERNEL_FILES."""

import functools
import os
import runpy

from farm_worker import load_watch

if __name__ == "__main__":
    of_files = functools.partial(load_watch.Sampler, os.environ["KERNEL_FILES"])
    load_watch.Sampler = of_files  # type: ignore[assignment, misc]
    runpy.run_module("farm_worker", run_name="__main__")
