"""What it costs to hand jobs over."""

from tests.bench.stage import stage
from tests.bench.systems import System, enqueues_its_own_way
from tests.bench.workload import Figure, Figures, Scale, Workload

WARM_JOBS = 50


def turn(system: System, mode: str, scale: Scale) -> Figures:
    """Jobs per second one at a time, and many together; nobody works on them."""
    count = scale.enqueued
    with stage(system, mode, 2 * (count + WARM_JOBS), commands=[]) as at_work:
        figures = {}
        for way, figure in (("each", "one_per_second"), ("many", "many_per_second")):
            at_work.ask(way, job="nothing", first=at_work.rows(WARM_JOBS), count=WARM_JOBS, arguments=[])
            answer = at_work.ask(way, job="nothing", first=at_work.rows(count), count=count, arguments=[])
            figures[figure] = count / float(answer["seconds"])
        return figures


WORKLOAD = Workload(
    name="enqueue",
    title="Enqueueing, by one caller, with no workers: one job after the other, and in the system's way for many",
    figures=(
        Figure("one_per_second", "one at a time, jobs/s", ratio=True),
        Figure("many_per_second", "many, jobs/s", ratio=True),
    ),
    turn=turn,
    takes_part=enqueues_its_own_way,
)
