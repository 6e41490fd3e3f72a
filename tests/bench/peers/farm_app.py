"""The farm's way to have a large application at hand in each process, before its first job."""

import time

import large_application

import farm

JOB_SECONDS = 0.02

app = farm.App()


def look() -> int:
    """A job of 20 ms that reads what was loaded."""
    time.sleep(JOB_SECONDS)
    return len(large_application.rows)
