"""Jobs of an application that takes a second to import: who pays, and how often."""

from tests.bench.peers.adapter import PROCESSES
from tests.bench.stage import Stage, stage
from tests.bench.systems import System
from tests.bench.workload import Figure, Figures, Scale, Workload

JOBS = 8
PRELOADED = {"BENCH_PRELOAD": "1"}
"""Of systems whose workers import the modules that declare tasks: theirs imports the application."""
OF_AN_APP = {"FARM_APP": "farm_app"}


def turn(system: System, mode: str, scale: Scale) -> Figures:
    """Milliseconds from enqueue to done, one job after the other: the first, the second, the worst of the others."""
    more = OF_AN_APP if mode == "app" else {} if mode == "no app" or system.environment == "rq" else PRELOADED
    with stage(system, "default", JOBS, **more) as at_work:
        at_work.warm(PROCESSES)
        first = at_work.rows(JOBS)
        taken = [_milliseconds(at_work, first + number) for number in range(JOBS)]
    return {"first": taken[0], "second": taken[1], "worst": max(taken[2:])}


def _milliseconds(at_work: Stage, index: int) -> float:
    called = at_work.ask("single", job="look", first=index, arguments=[])["called"]
    return (at_work.marks.row(index)[1] - int(called)) / 1e6


WORKLOAD = Workload(
    name="cold",
    title="Jobs of an application that takes 1 s to import, one after the other, ms from enqueue to done, after"
    " other jobs have warmed the workers. The farm with the application named (`--app`), and without; the"
    " others as their users do, with tasks declared in a module that the worker imports; RQ has no such "
    "module",
    figures=(Figure("first", "first job", 1), Figure("second", "second", 1), Figure("worst", "worst of six more", 1)),
    turn=turn,
    modes_of_ours=("app", "no app"),
)
