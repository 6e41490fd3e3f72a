"""`farm capacity`: how many jobs fit on a machine, and how many machines a rate needs."""

import json
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from statistics import median
from typing import Any

import click

from farm.capacity import HostCost, JobCost, Lines, Machine, capacity
from farm.cli.amounts import duration, rate, size
from farm.cli.capacity_report import WORTH_TELLING, Answer, Job, as_json, report, shared_machines
from farm.cli.job_costs import measured_cost
from farm.cli.output import print_json
from farm.cli.session import Session, open_session
from farm.cli.setting_options import SettingOption, given_settings
from farm.cli.trial import Call, Trial, run_trial
from farm.errors import FarmError
from farm.store.address import resolve
from farm.store.connection import REDIS_ERRORS
from farm.store.host_reader import HostDetails, HostReader
from farm.store.inspect import snapshot
from farm_settings import SETTINGS, load

SETTINGS_HERE = ("threshold", "memory_threshold", "processes", "app", "path", "redis_url")

DISTURBED = 0.3
"""A share of the CPUs that others used meanwhile."""

EPILOG = """
\b
Examples:
  farm capacity --measure shop.bill 7
  farm capacity --function shop.bill --rate 50/s
  farm capacity --cores 4 --memory 16G --function shop.bill --hosts 3
  farm capacity --cores 4 --memory 16G --cpu-seconds 0.4 --wall 2s --job-memory 300M
  farm capacity --host worker-1 --function shop.bill --json
"""


def _run(**given: Any) -> None:
    """Say how many jobs run at once and per second on one host, what binds, and how many hosts a rate needs.

    The machine is this one (its allowed CPUs, its memory limit), that of a live host (--host), or one with --cores
    and --memory. What a job uses: as hosts measured it (--function), as it does here (--measure, which runs it and
    needs no Redis), or as you say (--cpu-seconds, --wall, --job-memory).

    Throughput goes by mean CPU time, what fits by the 95th percentile of memory. Below the threshold is what a host
    does without ever being full.

    Exit codes: 0 answered, 1 the call could not be measured, 2 an option cannot be used, 3 no Redis, 4 no such host,
    or no host has measured the function.
    """
    _check(given)
    flags = given_settings(given)
    needs_redis = given["host"] or given["function"] or given["queue"]
    session = open_session({"redis_url": given["redis_url"]}) if needs_redis else None
    stated = _stated_job(given) or _measured_by_hosts(session, given)
    hosts = _live_hosts(session, given)
    details = _details(session, given)
    call = _call(given)
    if call is not None:
        click.echo(f"Measures {call.function}: {call.runs} runs, then some for memory and side by side", err=True)
    trial = run_trial(flags, call, others=not given["host"] and given["cores"] is None)
    answer = _of_host(details, given, trial) if details is not None else _machine(given, trial)
    answer = replace(
        answer,
        job=stated if call is None else _tried(call, trial),
        hosts=given["hosts"],
        rate=given["rate"],
        warnings=_warnings(hosts, details, given, trial),
    )
    answer = _answered(answer)
    if given["as_json"]:
        print_json(as_json(answer))
    else:
        for line in report(answer):
            click.echo(line)


def _check(given: dict[str, Any]) -> None:
    numbers = [name for name in ("cpu_seconds", "wall", "job_memory") if given[name] is not None]
    ways = [bool(numbers), bool(given["function"] or given["queue"]), bool(given["measure"])]
    if sum(ways) > 1:
        raise click.UsageError("What a job uses is known in one way: --function, --measure or numbers.")
    if numbers and (given["wall"] is None or given["cpu_seconds"] is None):
        raise click.UsageError("Of a job it takes --cpu-seconds and --wall, and --job-memory if it is worth counting.")
    if given["wall"] == 0:
        raise click.UsageError("--wall is how long a job takes, so it is above 0.")
    if given["host"] and (given["cores"] is not None or given["memory"] is not None):
        raise click.UsageError("--host says what its machine has; leave out --cores and --memory.")
    if (given["cores"] is None) != (given["memory"] is None):
        raise click.UsageError("--cores and --memory describe a machine together.")
    if given["arguments"] and not given["measure"]:
        raise click.UsageError("Arguments are those of the function that --measure runs.")
    if given["measure"] and "." not in given["measure"]:
        raise click.UsageError(f"--measure takes MODULE.FUNCTION, not {given['measure']!r}.")


def _stated_job(given: dict[str, Any]) -> Job | None:
    if given["wall"] is None:
        return None
    return Job("a job", JobCost(given["cpu_seconds"], given["wall"], given["job_memory"] or 0), "as given")


def _measured_by_hosts(session: Session | None, given: dict[str, Any]) -> Job | None:
    if session is None or not (given["function"] or given["queue"]):
        return None
    name, cost, jobs = measured_cost(session, given["function"], given["queue"])
    return Job(name, cost, f"means and 95th percentile of memory, as hosts measured {max(jobs, 1):.0f} jobs")


def _call(given: dict[str, Any]) -> Call | None:
    if not given["measure"]:
        return None
    return Call(
        function=given["measure"],
        arguments=[_value(text) for text in given["arguments"]],
        named=_named(given["kwargs"]),
        timeout=given["timeout"],
        runs=given["runs"],
        side_by_side=given["side_by_side"],
    )


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _named(text: str | None) -> dict[str, Any]:
    value = {} if text is None else _value(text)
    if not isinstance(value, dict):
        raise click.BadParameter(f"{text!r} is no JSON object", param_hint="--kwargs")
    return value


def _tried(call: Call, trial: Trial) -> Job:
    assert trial.job is not None
    measured = trial.job
    beside = f", {measured.side_by_side} side by side" if measured.side_by_side else ", each alone"
    return Job(call.function, measured.cost, f"measured here: {measured.runs} runs{beside}")


def _details(session: Session | None, given: dict[str, Any]) -> HostDetails | None:
    if session is None or not given["host"]:
        return None
    lease = session.settings.lease
    return HostReader(session.redis_client, session.keys, lease.suspect_after, lease.host_timeout).details(
        given["host"]
    )


def _machine(given: dict[str, Any], trial: Trial) -> Answer:
    """The answer as far as it is about this machine, or a given one."""
    lines = _lines(trial)
    if given["cores"] is not None:
        machine = Machine(given["cores"], given["memory"], given["reserve"] or 0)
        return Answer("as given", machine, None, trial.host, lines)
    machine = trial.machine
    if given["reserve"] is not None:
        machine = replace(machine, memory_others=given["reserve"])
    return Answer("this one", machine, trial.others_load, trial.host, lines)


def _lines(trial: Trial) -> Lines:
    options = trial.options
    return Lines(options["threshold"], options["memory_threshold"], options["processes"])


def _of_host(details: HostDetails, given: dict[str, Any], trial: Trial) -> Answer:
    host, lines = details.host, _lines(trial)
    cores, total = host.number("cpu_count"), host.number("memory_total")
    if not cores or not total:
        raise FarmError(f"host {host.name} has not told its CPUs and memory yet; ask again in a second")
    idle = [process.memory for process in details.processes if process.state == "ready" and process.memory]
    cost = HostCost(trial.host.memory, int(median(idle)) if idle else trial.host.process_memory)
    runners = sum(runner.memory or 0 for runner in details.runners)
    own = cost.memory + runners + sum(process.memory or 0 for process in details.processes)
    others = given["reserve"]
    if others is None:
        others = max(int(host.number("memory") or 0) - own, 0)
    slots = host.number("slots")
    return Answer(
        f"that of host {host.name}",
        Machine(cores, int(total), others),
        host.number("others_load"),
        replace(cost, memory=cost.memory + runners),
        Lines(
            lines.threshold if given["threshold"] else host.number("threshold") or lines.threshold,
            lines.memory_threshold,
            lines.slots if given["processes"] else int(slots) if slots else None,
        ),
    )


def _answered(answer: Answer) -> Answer:
    if answer.job is None:
        return answer
    parts = (answer.host, answer.job.cost, answer.lines)
    beside = None
    if answer.others_load is not None and answer.others_load >= WORTH_TELLING:
        others = answer.others_load * answer.machine.cores
        beside = capacity(answer.machine, replace(answer.host, cpus=answer.host.cpus + others), *parts[1:])
    return replace(answer, result=capacity(answer.machine, *parts), beside_others=beside)


def _warnings(
    hosts: Iterable[tuple[str, str]], details: HostDetails | None, given: dict[str, Any], trial: Trial
) -> list[str]:
    warnings: list[str] = []
    if given["cores"] is None:
        boot_id = details.host.fields.get("boot_id", "") if details is not None else trial.boot_id
        warnings += shared_machines(host for host in hosts if host[1] == boot_id)
    if trial.job is not None and trial.others_load >= DISTURBED:
        warnings.append(
            f"others used {trial.others_load:.0%} of the CPU while this was measured. CPU time and memory hold, what "
            "jobs wait for may take less on a quiet machine"
        )
    return warnings


def _live_hosts(session: Session | None, given: dict[str, Any]) -> list[tuple[str, str]]:
    """Name and boot id of each, as far as there is a Redis to tell of them."""
    if session is not None:
        return _told_live(session)
    with suppress(FarmError, *REDIS_ERRORS):
        settings = load(flags={"redis_url": given["redis_url"]})
        with Session(settings, resolve(settings.redis)) as quiet:
            return _told_live(quiet)
    return []


def _told_live(session: Session) -> list[tuple[str, str]]:
    farm = snapshot(session.redis_client, session.keys, session.rq_keys)
    return [(host.name, host.fields.get("boot_id", "")) for host in farm.live_hosts]


command = click.Command(
    "capacity",
    callback=_run,
    params=[
        click.Argument(["arguments"], nargs=-1, metavar="[ARGUMENT]..."),
        click.Option(["--host"], metavar="NAME", help="The machine of this live host."),
        click.Option(["--cores"], type=click.FloatRange(0, min_open=True), metavar="N", help="A machine of N CPUs."),
        click.Option(["--memory"], type=size, metavar="SIZE", help="And so much memory: 16G, 16GiB."),
        click.Option(["--reserve"], type=size, metavar="SIZE", help="Memory that other programs use there."),
        click.Option(["--function"], metavar="NAME", help="Jobs of this function, as hosts measured them."),
        click.Option(["-q", "--queue"], metavar="QUEUE", help="Of this queue; alone: the mix of its functions."),
        click.Option(["--cpu-seconds"], type=duration, metavar="SECONDS", help="CPU time of a job."),
        click.Option(["--wall"], type=duration, metavar="DURATION", help="How long a job takes."),
        click.Option(["--job-memory"], type=size, metavar="SIZE", help="Memory that a job adds to its process."),
        click.Option(["--measure"], metavar="MODULE.FUNCTION", help="Run this here, in processes as a host's."),
        click.Option(["--kwargs"], metavar="JSON", help="Its arguments by name; those by position as in farm enqueue."),
        click.Option(["--runs"], type=click.IntRange(1, 1000), default=10, show_default=True, help="How often, alone."),
        click.Option(
            ["--side-by-side"],
            type=click.IntRange(1, 1000),
            help="Then so many at once. Default: as many as bring the load to the threshold.",
        ),
        click.Option(["--timeout"], type=duration, default=180, show_default=True, help="Of one run."),
        click.Option(["--hosts"], type=click.IntRange(1), default=1, help="What so many machines with a host each do."),
        click.Option(["--rate"], type=rate, metavar="RATE", help="How many hosts this needs: 50/s, 3000/m."),
        *(SettingOption(SETTINGS[name]) for name in SETTINGS_HERE),
        click.Option(["--json", "as_json"], is_flag=True, help="Print JSON."),
    ],
    help=_run.__doc__,
    epilog=EPILOG,
)
