"""Scenarios of how jobs end by themselves."""

from rq import Callback, Repeat, Retry, Webhook

from tests.rq_state.scenario import JSON, OWN_CLASSES, Stage, scenario


@scenario()
def values(stage: Stage) -> None:
    stage.enqueue("add", 1, second=2)
    stage.enqueue("nothing")
    stage.enqueue("double", 21)
    stage.run()


@scenario()
def methods(stage: Stage) -> None:
    from state_jobs import Calculator

    stage.queue.enqueue(Calculator(3).plus, 4, job_id="method")
    stage.queue.enqueue(Calculator.nine, job_id="class-method")
    stage.run()


@scenario()
def result_ttls(stage: Stage) -> None:
    for ttl in (0, -1, 100):
        stage.enqueue("add", 1, job_id=f"ttl{ttl}", result_ttl=ttl)
    stage.run()


@scenario()
def a_failure(stage: Stage) -> None:
    stage.enqueue("fail")
    stage.enqueue("fail", job_id="short", failure_ttl=100)
    stage.run()


@scenario()
def a_failure_kept_for_ever(stage: Stage) -> None:
    stage.enqueue("fail", failure_ttl=-1)
    stage.run()


@scenario()
def a_failure_that_is_not_kept(stage: Stage) -> None:
    stage.enqueue("fail", failure_ttl=0)
    stage.run()


@scenario()
def a_job_that_exits(stage: Stage) -> None:
    stage.enqueue("exit_interpreter")
    stage.run()


@scenario()
def a_function_that_is_missing(stage: Stage) -> None:
    stage.enqueue("no_such_function")
    stage.run()


@scenario()
def a_timeout(stage: Stage) -> None:
    stage.enqueue("overstay", job_timeout=1)
    stage.run()


@scenario()
def a_payload_that_cannot_be_decoded(stage: Stage) -> None:
    stage.redis.hset(stage.enqueue("add", 1).key, "data", b"\x80nonsense")
    stage.enqueue("say", "next")
    stage.run()


@scenario()
def a_result_that_cannot_be_encoded(stage: Stage) -> None:
    stage.enqueue("lock")
    stage.run()


@scenario()
def retries(stage: Stage) -> None:
    stage.enqueue("fail_until", 1, retry=Retry(max=2))
    stage.enqueue("fail", retry=Retry(max=2))
    stage.run()


@scenario()
def retries_at_the_front(stage: Stage) -> None:
    stage.enqueue("fail_until", 1, retry=Retry(max=2, enqueue_at_front=True))
    stage.enqueue("say", "after")
    stage.run()


@scenario()
def retries_with_intervals(stage: Stage) -> None:
    stage.enqueue("fail", job_id="one", retry=Retry(max=3, interval=100))
    stage.enqueue("fail", job_id="more", retry=Retry(max=3, interval=[200, 300]))
    stage.run()


@scenario()
def a_job_gives_up_its_retries(stage: Stage) -> None:
    stage.enqueue("lose_retries", retry=Retry(max=3))
    stage.run()


@scenario()
def a_returned_retry(stage: Stage) -> None:
    stage.enqueue("ask_again", 1, 2)
    stage.enqueue("ask_again", 9, 2, job_id="too-often")
    stage.enqueue("ask_again", 9, 2, 100, job_id="scheduled")
    stage.run()


@scenario()
def a_returned_retry_at_the_front(stage: Stage) -> None:
    stage.enqueue("ask_again", 1, 2, 0, True)
    stage.enqueue("say", "after")
    stage.run()


@scenario()
def repeats(stage: Stage) -> None:
    stage.enqueue("add", 1, repeat=Repeat(times=2))
    stage.run()


@scenario()
def repeats_later(stage: Stage) -> None:
    stage.enqueue("add", 1, repeat=Repeat(times=3, interval=[100, 200, 300]))
    stage.run()


@scenario()
def repeats_that_are_not_kept(stage: Stage) -> None:
    stage.enqueue("say", "again", repeat=Repeat(times=2), result_ttl=0)
    stage.run()


@scenario()
def a_repeat_that_fails(stage: Stage) -> None:
    stage.enqueue("fail", repeat=Repeat(times=2))
    stage.run()


@scenario()
def callbacks(stage: Stage) -> None:
    both = {"on_success": Callback("state_jobs.on_success"), "on_failure": Callback("state_jobs.on_failure")}
    stage.enqueue("add", 1, **both)
    stage.enqueue("fail", **both)
    stage.enqueue("ask_again", 1, 1, **both)
    stage.enqueue("fail_until", 1, retry=Retry(max=1), **both)
    stage.enqueue("no_such_function", **both)
    stage.run()


@scenario()
def callbacks_that_raise(stage: Stage) -> None:
    stage.enqueue(
        "add", 1, on_success=Callback("state_jobs.raise_after_success"), on_failure=Callback("state_jobs.on_failure")
    )
    stage.enqueue("fail", on_failure=Callback("state_jobs.raise_after_failure"))
    stage.run()


@scenario()
def a_callback_that_is_missing(stage: Stage) -> None:
    stage.enqueue("add", 1, on_success=Callback("state_jobs.no_such_callback"))
    stage.enqueue("fail", on_failure=Callback("state_jobs.no_such_callback"))
    stage.run()


@scenario()
def a_callback_that_takes_too_long(stage: Stage) -> None:
    stage.enqueue("add", 1, on_success=Callback("state_jobs.overstay_after_success", timeout=1))
    stage.run()


@scenario()
def a_callback_changes_the_job(stage: Stage) -> None:
    stage.enqueue("add", 1, on_success=Callback("state_jobs.keep_longer"))
    stage.enqueue("add", 1, job_id="kept", result_ttl=0, on_success=Callback("state_jobs.keep_longer"))
    stage.run()


@scenario()
def webhooks(stage: Stage) -> None:
    hooks = [
        Webhook(f"{stage.webhooks}/finished", "finished"),
        Webhook(f"{stage.webhooks}/posted", "finished", method="POST", headers={"X-Token": "secret"}),
        Webhook(f"{stage.webhooks}/failed", "failed", method="POST"),
        Webhook(f"{stage.webhooks}/nobody", "failed", method="GET"),
    ]
    stage.enqueue("add", 1, webhooks=hooks)
    stage.enqueue("fail", webhooks=hooks)
    stage.enqueue("say", "not kept", job_id="gone", webhooks=hooks, result_ttl=0)
    stage.enqueue("fail_until", 1, webhooks=hooks, retry=Retry(max=1))
    stage.enqueue("ask_again", 9, 1, webhooks=hooks)
    stage.enqueue("add", 1, job_id="repeated", webhooks=hooks, repeat=Repeat(times=1, interval=100))
    stage.enqueue("add", 1, job_id="unreachable", webhooks=[Webhook("http://127.0.0.1:1/", "finished")])
    stage.run()


@scenario()
def a_webhook_of_a_payload_that_cannot_be_decoded(stage: Stage) -> None:
    hook = Webhook(f"{stage.webhooks}/failed", "failed")
    stage.redis.hset(stage.enqueue("add", 1, webhooks=[hook]).key, "data", b"\x80nonsense")
    stage.run()


@scenario()
def meta(stage: Stage) -> None:
    stage.enqueue("change_meta", True, job_id="saved", meta={"a": 1})
    stage.enqueue("change_meta", False, job_id="unsaved", meta={"a": 1})
    stage.run()


@scenario()
def a_job_changes_itself(stage: Stage) -> None:
    stage.enqueue("change_fields")
    stage.enqueue("save_itself")
    stage.run()


@scenario()
def a_job_deletes_itself(stage: Stage) -> None:
    stage.enqueue("delete_itself")
    stage.run()


@scenario(OWN_CLASSES)
def exception_handlers(stage: Stage) -> None:
    stage.enqueue("fail")
    stage.enqueue("fail_until", 1, retry=Retry(max=1))
    stage.run()


@scenario(OWN_CLASSES)
def a_job_class(stage: Stage) -> None:
    stage.enqueue("add", 1)
    stage.run()


@scenario(JSON)
def a_serializer(stage: Stage) -> None:
    stage.enqueue("add", 1, meta={"user": "me"})
    stage.enqueue("fail")
    stage.enqueue("change_meta", True, meta={"a": 1})
    stage.enqueue("ask_again", 1, 2)
    stage.run()


@scenario(JSON)
def a_result_that_the_serializer_does_not_take(stage: Stage) -> None:
    stage.enqueue("lock")
    stage.run()
