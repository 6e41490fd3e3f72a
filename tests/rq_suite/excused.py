"""RQ's own tests that the farm's worker does not pass, each with the reason. At most twelve."""

from collections.abc import Mapping

MOST = 12

_INTERMEDIATE = "replaces Worker.{}, to leave a job in the list where RQ keeps what it popped; the farm pops nothing"

EXCUSED: Mapping[str, str] = {
    "test_intermediate_queue.py::TestIntermediateQueue::test_cleanup_intermediate_queue": (
        _INTERMEDIATE.format("execute_job")
    ),
    "test_intermediate_queue.py::TestIntermediateQueue::test_cleanup_intermediate_queue_in_maintenance": (
        _INTERMEDIATE.format("execute_job")
    ),
    "test_intermediate_queue.py::TestIntermediateQueue::test_no_cleanup_while_in_started_queue": (
        _INTERMEDIATE.format("perform_job")
    ),
    "test_queue.py::TestQueue::test_intermediate_queue": _INTERMEDIATE.format("execute_job"),
    "test_worker.py::TestWorker::test_heartbeat_survives_lost_connection": (
        "replaces Worker.heartbeat by one that fails, and counts how often RQ's loop calls it"
    ),
    "test_worker.py::TestWorker::test_heartbeat_survives_redis_timeout": (
        "replaces Worker.heartbeat by one that fails, and counts how often RQ's loop calls it"
    ),
    "test_worker.py::TestWorker::test_horse_fails": "replaces Worker.perform_job by a function that fails",
    "test_worker.py::TestWorker::test_job_dependency_race_condition": (
        "replaces Queue.move_dependents_to_ready to come between RQ's reads and writes, and counts Worker.execute_job; "
        "the farm releases dependents in one script"
    ),
    "test_repeat.py::TestWorkerRepeat::test_repeat_state_survives_transaction_retry": (
        "replaces Queue.move_dependents_to_ready to come between RQ's reads and writes; the farm writes in one script"
    ),
    "test_rate_limit.py::TestRateLimitEnqueue::test_release_after_aborted_immediate_repeat": (
        "replaces redis-py's Pipeline.execute in the calling process, to fail RQ's transaction once"
    ),
}
"""`file::class::test` → reason."""
