"""Jobs that make life hard for whoever records their outcome."""

import os
import subprocess

from rq import get_current_job


def fail_at_length(characters):
    raise RuntimeError("x" * characters)


def delete_it(job, connection, result):
    job.delete()
    connection.rpush("test:callbacks", job.id)


def write_nonsense_into_its_record():
    job = get_current_job()
    job.connection.hset(job.key, mapping={"meta": b"\xff no pickle", "result_ttl": "nan", "created_at": "long ago"})
    return "done"


def leave_orphans(count):
    """Each ends a moment later, when nobody of its own is left to wait for it."""
    for _ in range(count):
        subprocess.run(["sh", "-c", "sleep 0.2 &"], check=True)
    return "read-only" if os.statvfs("/").f_flag & os.ST_RDONLY else "writable"
