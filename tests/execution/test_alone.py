"""A job that has to be alone and waits for its process: who waits behind it."""

import pytest

from farm_worker.execution import Execution
from farm_worker.pool.assignment import Assignment
from farm_worker.pool.reasons import Reason
from tests.execution import test_execution as bench


@pytest.mark.parametrize(("separates", "dealt"), [(True, [b"next", b"last"]), (False, [])])
def test_others_pass_it_only_where_it_waits_for_a_process_of_another_kind(separates: bool, dealt: list[bytes]) -> None:
    class Pool(bench.Pool):
        def dispatch(self, assignment: Assignment, depth: int) -> bool:
            if not assignment.alone or self.is_warm:
                self.given.append(assignment)
            return not assignment.alone or self.is_warm

    async def body(execution: Execution, _: bench.Store, pool: bench.Pool, __: list[str]) -> None:
        apart = Pool()
        apart.separates, apart.is_warm = separates, False  # type: ignore[attr-defined]
        execution.attach(apart)  # type: ignore[arg-type]
        held = [bench.assignment(name) for name in ("alone", "next", "last")]
        held[0].alone = True
        execution.process_ended(bench._end(Reason.CRASHED), None, held)
        await bench.turns()
        assert [one.job_id for one in apart.given] == dealt
        apart.is_warm = True  # type: ignore[attr-defined]
        execution.wake()
        await bench.turns()
        assert {one.job_id for one in apart.given} == {b"alone", b"next", b"last"}
        assert pool.given == []

    bench.run(body)
