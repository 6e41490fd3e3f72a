"""Where the farm differs from RQ, on purpose. A difference that no longer occurs has to leave this list."""

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase


@dataclass(frozen=True)
class Difference:
    """What may differ in some scenarios, and must."""

    reason: str
    paths: Sequence[str]
    """Patterns of what `dump` calls `key / field`. Each has to occur in each of the scenarios."""
    scenarios: Sequence[str]

    def covers(self, path: str) -> bool:
        return any(matches(pattern, path) for pattern in self.paths)


CHOSEN: Sequence[Difference] = (
    Difference(
        "A result of a failure ends with its job. RQ keeps it for ever if the job names no failure_ttl.",
        ["rq:results:* / TTL"],
        [
            "a_callback_that_is_missing",
            "a_callback_that_takes_too_long",
            "a_dependent_of_one_that_fails",
            "a_dependent_of_two_of_which_one_fails",
            "a_dependent_that_allows_failure",
            "a_failure",
            "a_function_that_is_missing",
            "a_group",
            "a_job_gives_up_its_retries",
            "a_job_that_exits",
            "a_payload_that_cannot_be_decoded",
            "a_process_is_killed_whose_job_must_not_run_twice",
            "a_rate_limit_with_failures",
            "a_repeat_that_fails",
            "a_returned_retry",
            "a_serializer",
            "a_stopped_callback_raises",
            "a_stopped_job_with_all_that_may_follow",
            "a_time_to_live",
            "a_timeout",
            "a_webhook_of_a_payload_that_cannot_be_decoded",
            "an_execution_is_stopped",
            "callbacks",
            "callbacks_that_raise",
            "exception_handlers",
            "exception_handlers_of_a_killed_process",
            "retries",
            "webhooks",
        ],
    ),
    Difference(
        "RQ's own result field of former versions is not written: results are in the stream, where RQ reads them.",
        ["rq:job:* / result"],
        [
            "a_returned_retry",
            "a_returned_retry_at_the_front",
            "a_serializer",
            "callbacks",
            "repeats",
            "repeats_later",
            "webhooks",
        ],
    ),
    Difference(
        "failure_ttl=-1 means for ever. RQ gives it a time that is over.",
        ["rq:failed:default / fail"],
        ["a_failure_kept_for_ever"],
    ),
    Difference(
        "A failed job that is not kept is in no registry. RQ leaves an entry without a job.",
        ["rq:failed:default", "rq:failed:default / *"],
        ["a_failure_that_is_not_kept"],
    ),
    Difference(
        "The id of a job that expired goes with it. RQ leaves it in a list.",
        ["rq:queue:default:intermediate", "rq:queue:default:intermediate / *"],
        ["a_job_that_expired_while_it_waited"],
    ),
    Difference(
        "The text of an error says what was wrong with the job's function or payload.",
        ["rq:results:* / entries"],
        [
            "a_function_that_is_missing",
            "a_payload_that_cannot_be_decoded",
            "a_webhook_of_a_payload_that_cannot_be_decoded",
            "callbacks",
        ],
    ),
    Difference(
        "A result that cannot be encoded fails the job (decision 6).",
        [
            "rq:failed:*",
            "rq:finished:*",
            "rq:job:lock / TTL",
            "rq:job:lock / status",
            "rq:results:lock / *",
            "workers / *_job_count",
        ],
        ["a_result_that_cannot_be_encoded", "a_result_that_the_serializer_does_not_take"],
    ),
    Difference(
        "A job that was deleted while it ran stays deleted. RQ writes it anew when it ends.",
        [
            "rq:finished:default",
            "rq:finished:default / *",
            "rq:job:*",
            "rq:results:*",
            "workers / successful_job_count",
        ],
        ["a_job_deletes_itself", "a_running_job_is_deleted"],
    ),
    Difference(
        "A job whose process was killed keeps its worker, its heartbeat and, if it was stopped, when it ended: "
        "RQ's parent writes the record as it had read it before the start.",
        ["rq:job:* / last_heartbeat", "rq:job:* / worker_name"],
        [
            "a_job_is_stopped",
            "a_process_is_killed",
            "a_process_is_killed_whose_job_must_not_run_twice",
            "a_stopped_callback_raises",
            "a_stopped_job_with_all_that_may_follow",
            "an_execution_is_stopped",
            "exception_handlers_of_a_killed_process",
        ],
    ),
    Difference(
        "The same, in its result and its record.",
        ["rq:results:wait_for_go / entries", "rq:job:wait_for_go / ended_at"],
        [
            "a_job_is_stopped",
            "a_stopped_callback_raises",
            "a_stopped_job_with_all_that_may_follow",
            "an_execution_is_stopped",
        ],
    ),
    Difference(
        "The same; its run after that overwrote the record.",
        ["rq:results:wait_for_go / entries"],
        ["a_stopped_job_is_enqueued_anew"],
    ),
    Difference(
        "A job whose process was killed runs again.",
        [
            "rq:failed:default",
            "rq:failed:default / *",
            "rq:finished:default",
            "rq:finished:default / *",
            "rq:job:killed / TTL",
            "rq:job:killed / status",
            "rq:results:killed / *",
            "workers / *_job_count",
        ],
        ["a_process_is_killed"],
    ),
    Difference(
        "The text of a failure says what is known of the process's end, after RQ's words.",
        ["rq:results:die / entries"],
        ["a_process_is_killed_whose_job_must_not_run_twice", "exception_handlers_of_a_killed_process"],
    ),
    Difference(
        "A job that must not run twice does not, whatever retries it has left: what it had done is not known.",
        [
            "rq:failed:default",
            "rq:failed:default / *",
            "rq:finished:default",
            "rq:finished:default / *",
            "rq:job:die_once / TTL",
            "rq:job:die_once / retries_left",
            "rq:job:die_once / status",
            "rq:results:die_once / *",
            "test:runs / die_once",
            "workers / successful_job_count",
        ],
        ["a_process_dies_and_retries_are_left"],
    ),
    Difference(
        "Failure callback and exception handlers hear of a job whose process died. RQ calls them for lost workers.",
        ["test:effects / items"],
        ["a_process_is_killed_whose_job_must_not_run_twice", "exception_handlers_of_a_killed_process"],
    ),
)


def chosen(scenario: str) -> list[Difference]:
    """Those of one scenario."""
    return [difference for difference in CHOSEN if scenario in difference.scenarios]


def matches(pattern: str, path: str) -> bool:
    """Whether the path is meant by the pattern."""
    return fnmatchcase(path, pattern)
