"""Jobs that write their own record while they run."""

from rq import get_current_job


def save():
    """Saves its record; says what that says then."""
    job = get_current_job()
    job.meta["saved"] = True
    job.save()
    return job.get_status(refresh=True).value, job.worker_name


def keep_for(seconds):
    """Says itself how long it is kept."""
    get_current_job().result_ttl = seconds
    return "kept"
